from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from splitbrain.harness.environment import Address
from splitbrain.harness.simulation.loop import VirtualLoop, run_simulated
from splitbrain.harness.simulation.network import LARGEST_DATAGRAM, LinkConditions, SimulatedNetwork

NODES = ("n1", "n2", "n3")
Received = list[tuple[float, bytes, Address]]


def with_network(
    scenario: Callable[[SimulatedNetwork], Awaitable[object]], *, seed: int = 1, **conditions: object
) -> object:
    async def main() -> object:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        return await scenario(
            SimulatedNetwork(loop, NODES, seed=seed, conditions=LinkConditions(**conditions))  # type: ignore[arg-type]
        )

    return run_simulated(main)


def listen(network: SimulatedNetwork, address: Address) -> Received:
    received: Received = []
    loop = asyncio.get_running_loop()
    network.bind(address, lambda datagram, source: received.append((loop.time(), datagram, source)))
    return received


def ignore(datagram: bytes, source: Address) -> None:
    """A receiver for those who only send."""


def test_a_datagram_arrives_within_the_links_delay() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        received = listen(network, ("n2", 7))
        network.bind(("n1", 7), ignore).send(b"hello", ("n2", 7))
        await asyncio.sleep(1)
        [(time, datagram, source)] = received
        assert 0.01 <= time <= 0.02
        assert (datagram, source) == (b"hello", ("n1", 7))

    with_network(scenario, delay_s=(0.01, 0.02))


def test_unequal_delays_reorder_and_the_seed_decides_how() -> None:
    async def scenario(network: SimulatedNetwork) -> Received:
        received = listen(network, ("n2", 7))
        sender = network.bind(("n1", 7), ignore)
        for number in range(50):
            sender.send(bytes([number]), ("n2", 7))
        await asyncio.sleep(1)
        return received

    first, again, other = (with_network(scenario, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert sorted(datagram for _, datagram, _ in first) == [bytes([number]) for number in range(50)]  # type: ignore[attr-defined]
    assert [datagram for _, datagram, _ in first] != [bytes([number]) for number in range(50)]  # type: ignore[attr-defined]


def test_loss_and_duplication_follow_their_probabilities() -> None:
    async def scenario(network: SimulatedNetwork) -> int:
        received = listen(network, ("n2", 7))
        sender = network.bind(("n1", 7), ignore)
        for _ in range(10_000):
            sender.send(b"x", ("n2", 7))
        await asyncio.sleep(1)
        return len(received)

    assert 7_200 < with_network(scenario, loss=0.25) < 7_800  # type: ignore[operator]
    assert 12_200 < with_network(scenario, duplication=0.25) < 12_800  # type: ignore[operator]


def test_a_cut_is_one_way() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        at_n1, at_n2 = listen(network, ("n1", 7)), listen(network, ("n2", 7))
        await network.cut([("n1", "n2")])
        network.send(("n1", 7), b"swallowed", ("n2", 7))
        network.send(("n2", 7), b"heard", ("n1", 7))
        await asyncio.sleep(1)
        assert [datagram for _, datagram, _ in at_n1] == [b"heard"]
        assert at_n2 == []

    with_network(scenario)


def test_a_cut_swallows_what_is_under_way_and_healing_does_not_bring_it_back() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        received = listen(network, ("n2", 7))
        network.send(("n1", 7), b"under way", ("n2", 7))
        await network.cut([("n1", "n2")])
        await asyncio.sleep(1)
        await network.heal()
        network.send(("n1", 7), b"later", ("n2", 7))
        await asyncio.sleep(1)
        assert [datagram for _, datagram, _ in received] == [b"later"]

    with_network(scenario)


def test_an_observation_distinguishes_cut_links_and_counts_drops_without_its_own_probes() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        await network.cut([("n1", "n2"), ("n3", "n1")])
        for _ in range(5):
            network.send(("n1", 7), b"x", ("n2", 7))
        await network.observe()
        observed = {(seen.source, seen.target): seen for seen in await network.observe()}
        assert list(observed) == [
            ("n1", "n2"),
            ("n1", "n3"),
            ("n2", "n1"),
            ("n2", "n3"),
            ("n3", "n1"),
            ("n3", "n2"),
        ]
        assert {link for link, seen in observed.items() if seen.cut} == {("n1", "n2"), ("n3", "n1")}
        assert all(seen.heard != seen.cut for seen in observed.values())
        assert observed["n1", "n2"].dropped == 5
        assert observed["n3", "n1"].dropped == 0
        assert observed["n1", "n3"].dropped is None
        await network.heal()
        assert all(seen.heard and not seen.cut for seen in await network.observe())

    with_network(scenario)


def test_an_observation_hears_a_link_that_loses_half() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        assert all(seen.heard for seen in await network.observe())

    with_network(scenario, loss=0.5)


def test_an_observation_is_not_fooled_by_a_cut_that_was_not_made() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        network.set_conditions([("n1", "n2")], LinkConditions(loss=1.0))
        silent = [(seen.source, seen.target) for seen in await network.observe() if not seen.heard]
        assert silent == [("n1", "n2")]

    with_network(scenario)


def test_a_clients_link_has_no_name_to_cut_it_by() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        with pytest.raises(ValueError, match="client -> n1 is no link"):
            await network.cut([("client", "n1")])
        with pytest.raises(ValueError, match="n1 -> n1 is no link"):
            await network.cut([("n1", "n1")])

    with_network(scenario)


def test_what_no_udp_datagram_can_carry_is_refused() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        sender = network.bind(("n1", 7), ignore)
        sender.send(bytes(LARGEST_DATAGRAM), ("n2", 7))
        with pytest.raises(OSError, match="longer"):
            sender.send(bytes(LARGEST_DATAGRAM + 1), ("n2", 7))

    with_network(scenario)


def test_a_closed_endpoint_neither_sends_nor_receives_and_its_address_is_free_again() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        received = listen(network, ("n2", 7))
        sender = network.bind(("n1", 7), ignore)
        with pytest.raises(OSError, match="in use"):
            network.bind(("n1", 7), ignore)
        sender.close()
        sender.send(b"x", ("n2", 7))
        network.bind(("n1", 7), ignore)
        await asyncio.sleep(1)
        assert received == []

    with_network(scenario)
