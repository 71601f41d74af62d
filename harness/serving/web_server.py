"""Serving the pages on all runs, until the user ends it."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from splitbrain.harness.running.experiment import UsageProblem
from splitbrain.harness.serving.run_index import RunIndex
from splitbrain.harness.serving.web_app import web_app, without_extra

LOOPBACK = "127.0.0.1"
_OWN_NAMES = ("localhost", "127.0.0.1", "::1", "[::1]")
_SHUTDOWN_S = 1


def serve(roots: Sequence[Path], host: str, port: int, told: Callable[[str], None]) -> None:
    """Serve the runs in these folders. Returns when a Ctrl-C or SIGTERM ends it.

    host: the address to listen on. port: 0 for any that is free. told: is given the address, once it can be opened.
    Raises UsageProblem.
    """
    try:
        import uvicorn
    except ImportError as problem:
        raise without_extra(problem) from None
    index = RunIndex(roots)
    app = web_app(index, _names(host))
    listener = _listening(host, port)
    try:
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                lifespan="off",
                timeout_graceful_shutdown=_SHUTDOWN_S,
            )
        )
        shown = f"[{host}]" if ":" in host else host
        told(f"http://{shown}:{listener.getsockname()[1]}/")
        # It hands the signal on once it has ended, and a server is not interrupted: it is over.
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    finally:
        listener.close()


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        # Before the address is told, so that a browser that is opened by then is answered.
        listener.listen(64)
    except (OSError, OverflowError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise UsageProblem(
            f"can't listen on {host}, port {port} ({reason}); give another with --host or --port"
        ) from None
    return listener


def _names(host: str) -> Sequence[str]:
    """The names under which it is asked for: any, where it listens on every address of the machine."""
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        everywhere = False
    return ("*",) if everywhere else (*_OWN_NAMES, host, f"[{host}]")
