"""Health: ways to tell that a node serves.

An open port says little: the kernel takes connections for a process that is paused. A question that the program itself
has to answer says more.
"""

from __future__ import annotations

import asyncio
import contextlib
import urllib.error
import urllib.request
from http import HTTPStatus

HEALTH_S = 1.0
"""How long one question may take."""


async def port_open(host: str, port: int, *, patience_s: float = HEALTH_S) -> bool:
    """Whether a TCP connection is taken there."""
    try:
        async with asyncio.timeout(patience_s):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def answers(host: str, port: int, question: bytes, expected: bytes, *, patience_s: float = HEALTH_S) -> bool:
    """Whether the program there answers this question, sent over TCP, with bytes that begin as expected."""
    try:
        async with asyncio.timeout(patience_s):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(question)
                return await reader.readexactly(len(expected)) == expected
            finally:
                writer.close()
    except (OSError, EOFError, TimeoutError):
        return False


async def answers_http(url: str, *, patience_s: float = HEALTH_S) -> bool:
    """Whether a GET there is answered with 200."""

    def ask() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=patience_s) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except (OSError, ValueError, urllib.error.HTTPError):
            return False

    return await asyncio.to_thread(ask)
