"""The methods of an event loop that open sockets, for loops on a simulated network.

1. Both loops have them: a process's, and the harness's own for clients outside the cluster.
2. They only take apart what asyncio's callers give; `sockets` does the work.
"""

from __future__ import annotations

from typing import Any


class SocketMethods:
    """A mix-in. sockets: the host's (`programs.sockets.HostSockets`), or None where there is no network."""

    sockets: Any = None

    def _host(self) -> Any:
        if self.sockets is None:
            raise RuntimeError("there is no simulated network yet; open a SimulatedEnvironment first")
        return self.sockets

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        return await self._host().getaddrinfo(host, port, **options)

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        return str(sockaddr[0]), str(sockaddr[1])

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, *, local_addr: Any = None, **options: Any
    ) -> Any:
        return await self._host().create_connection(protocol_factory, host, port, local_addr, options)

    async def create_server(
        self,
        protocol_factory: Any,
        host: Any = None,
        port: Any = None,
        *,
        backlog: int = 100,
        start_serving: bool = True,
        **options: Any,
    ) -> Any:
        return await self._host().create_server(protocol_factory, host, port, start_serving, backlog, options)

    async def create_datagram_endpoint(
        self, protocol_factory: Any, local_addr: Any = None, remote_addr: Any = None, **options: Any
    ) -> Any:
        return await self._host().create_datagram_endpoint(protocol_factory, local_addr, remote_addr, options)

    def _start_serving(self, factory: Any, listening: Any, sslcontext: Any, server: Any, *limits: Any) -> None:
        """What asyncio's own `Server` asks for."""
        self._host().serve(factory, listening, server)

    def _stop_serving(self, listening: Any) -> None:
        listening.tcp.release(listening.port)
