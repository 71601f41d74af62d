"""Datagrams and addresses, as asyncio programs use them."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from splitbrain.harness.simulation import LinkConditions
from tests.harness.simulation.programs.bench import Bench, on_machines

PORT = 5353


class Says(asyncio.DatagramProtocol):
    """Prints what it is told, and answers."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        print(data.decode(), addr[0])
        if not data.startswith(b"re:"):
            self.transport.sendto(b"re:" + data, addr)

    def error_received(self, exc: Exception) -> None:
        print(type(exc).__name__, exc)

    def connection_lost(self, exc: Exception | None) -> None:
        print("closed", exc)


async def answers() -> None:
    await asyncio.get_running_loop().create_datagram_endpoint(Says, ("0.0.0.0", PORT))
    await asyncio.sleep(1000)


async def asks(to: str) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Says, remote_addr=(to, PORT))
    print(transport.get_extra_info("peername"))
    transport.sendto(b"hello")
    await asyncio.sleep(1)
    transport.sendto(bytes(70_000))
    await asyncio.sleep(1)
    transport.close()
    transport.sendto(b"too late")
    await asyncio.sleep(1)


def test_datagrams_go_both_ways_and_one_that_is_too_long_is_an_error() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("n1", answers)
        await asyncio.sleep(0.1)
        await bench.start("n2", asks, "n1")
        await asyncio.sleep(5)
        assert await bench.log("n1") == ["hello 10.0.0.2"]
        assert await bench.log("n2") == [
            "('10.0.0.1', 5353)",
            "re:hello 10.0.0.1",
            "OSError [Errno 90] Message too long",
            "closed None",
            "exited",
        ]

    on_machines(scenario)


def test_a_client_outside_the_cluster_has_datagrams_too() -> None:
    async def scenario(bench: Bench) -> list[bytes]:
        heard: list[bytes] = []

        class Hears(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                heard.append(data)

        await bench.start("n1", answers)
        await asyncio.sleep(0.1)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Hears, remote_addr=("n1", PORT))
        transport.sendto(b"hello")
        await asyncio.sleep(1)
        transport.close()
        assert await bench.log("n1") == ["hello 10.1.0.1"]
        return heard

    assert on_machines(scenario) == [b"re:hello"]


def test_datagrams_are_lost_and_repeated_as_the_network_s_are() -> None:
    async def floods() -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Says, remote_addr=("n1", PORT))
        for number in range(1000):
            transport.sendto(b"re:%d" % number)
            await asyncio.sleep(0.01)

    async def scenario(bench: Bench) -> list[str]:
        await bench.start("n1", answers)
        await asyncio.sleep(0.1)
        await bench.start("n2", floods)
        await asyncio.sleep(20)
        return await bench.log("n1")

    heard = on_machines(scenario, conditions=LinkConditions(loss=0.3, duplication=0.1))
    # Of 1000: 700 arrive, and 100 a second time; standard deviations 14 and 9.
    assert 600 < len(set(heard)) < 850
    assert 50 < len(heard) - len(set(heard)) < 110


def test_a_port_in_use_is_refused_and_free_again_once_it_is_closed() -> None:
    async def binds() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("0.0.0.0", PORT))
        try:
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("0.0.0.0", PORT))
        except OSError as problem:
            print(problem.strerror)
        transport.close()
        await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("0.0.0.0", PORT))
        try:
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("n2", PORT))
        except OSError as problem:
            print(problem.strerror)

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", binds)
        await asyncio.sleep(1)
        used, foreign, _ = await bench.log("n1")
        assert used == "Address already in use: n1:5353"
        assert foreign == "Cannot assign requested address: n2 is not n1's"

    on_machines(scenario)


def test_names_resolve_as_on_a_network_of_ipv4() -> None:
    async def resolves() -> None:
        loop = asyncio.get_running_loop()
        for asked in (("n3", 80), ("10.0.0.3", "80"), ("localhost", 80), (None, 80)):
            print(*await loop.getaddrinfo(*asked, type=socket.SOCK_STREAM))
        print(len(await loop.getaddrinfo("n1", 1)), await loop.getnameinfo(("10.0.0.1", 80)))
        for asked, family in (("n9", 0), ("n1", socket.AF_INET6)):
            try:
                await loop.getaddrinfo(asked, 80, family=family)
            except socket.gaierror as problem:
                print(problem.errno)

    async def scenario(bench: Bench) -> None:
        await bench.start("n1", resolves)
        await asyncio.sleep(1)
        stream = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        assert await bench.log("n1") == [
            *(str((*stream, (ip, 80))) for ip in ("10.0.0.3", "10.0.0.3", "127.0.0.1", "127.0.0.1")),
            "2 ('10.0.0.1', '80')",
            str(int(socket.EAI_NONAME)),
            str(int(socket.EAI_FAMILY)),
            "exited",
        ]

    on_machines(scenario)


def test_a_paused_process_finds_the_datagrams_that_its_buffer_held() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.start("n1", answers)
        await asyncio.sleep(0.1)
        await bench.machine("n1").pause()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("n1", PORT))
        for number in range(5):
            transport.sendto(b"re:%d" % number)
            await asyncio.sleep(1)
        assert await bench.log("n1") == []
        await bench.machine("n1").resume()
        await asyncio.sleep(1)
        assert await bench.log("n1") == [f"re:{number} 10.1.0.1" for number in range(5)]

    on_machines(scenario)
