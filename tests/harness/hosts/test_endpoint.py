from __future__ import annotations

import asyncio

import pytest

from splitbrain.harness.environment import Address, EnvironmentFailure
from splitbrain.harness.hosts.endpoint import DRAIN_LIMIT, UdpEndpoint


def test_a_burst_of_datagrams_arrives_with_its_source() -> None:
    async def burst() -> None:
        heard: list[tuple[bytes, Address]] = []
        done = asyncio.Event()

        def receive(datagram: bytes, source: Address) -> None:
            heard.append((datagram, source))
            if len(heard) == 50:
                done.set()

        target = UdpEndpoint(receive, "127.0.0.1")
        source = UdpEndpoint(lambda *_: None, "127.0.0.1")
        for number in range(50):
            source.send(bytes([number]), target.address)
        async with asyncio.timeout(10):
            await done.wait()
        assert [datagram for datagram, _ in heard] == [bytes([number]) for number in range(50)]
        assert {address for _, address in heard} == {source.address}
        target.close()
        source.close()

    asyncio.run(burst())


def test_a_receiver_may_close_the_socket_in_the_middle_of_a_burst() -> None:
    async def burst() -> int:
        heard: list[bytes] = []

        def receive(datagram: bytes, source: Address) -> None:
            heard.append(datagram)
            target.close()

        target = UdpEndpoint(receive, "127.0.0.1")
        source = UdpEndpoint(lambda *_: None, "127.0.0.1")
        for _ in range(3):
            source.send(b"x", target.address)
        async with asyncio.timeout(10):
            while not heard:
                await asyncio.sleep(0)
        target.close()
        source.close()
        return len(heard)

    assert asyncio.run(burst()) == 1


def test_a_datagram_that_cannot_be_sent_is_dropped_silently() -> None:
    async def send() -> None:
        endpoint = UdpEndpoint(lambda *_: None, "127.0.0.1")
        endpoint.send(bytes(100_000), endpoint.address)
        endpoint.close()
        endpoint.close()
        endpoint.send(b"late", ("127.0.0.1", 9))

    asyncio.run(send())


def test_an_address_of_another_machine_is_refused() -> None:
    async def bind() -> None:
        UdpEndpoint(lambda *_: None, "192.0.2.1")

    with pytest.raises(EnvironmentFailure, match=r"192\.0\.2\.1 .*this machine's own"):
        asyncio.run(bind())


def test_a_flood_of_datagrams_does_not_keep_the_loop_from_its_other_work() -> None:
    async def flooded() -> list[int]:
        heard = 0
        seen: list[int] = []

        def receive(datagram: bytes, source: Address) -> None:
            nonlocal heard
            heard += 1
            if heard == 1:
                asyncio.get_running_loop().call_soon(lambda: seen.append(heard))
            if heard < 5000:
                target.send(datagram, target.address)  # So there is always one more to be read.
            else:
                done.set()

        done = asyncio.Event()
        target = UdpEndpoint(receive, "127.0.0.1")
        target.send(b"flood", target.address)
        async with asyncio.timeout(30):
            await done.wait()
        target.close()
        return seen

    (seen,) = asyncio.run(flooded())
    assert seen <= DRAIN_LIMIT
