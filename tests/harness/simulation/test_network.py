from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest

from splitbrain.harness.environment import CLIENTS, Address, Conditions, Interference
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


def test_a_cut_swallows_what_is_under_way_or_lets_it_arrive_and_healing_brings_nothing_back() -> None:
    async def scenario(network: SimulatedNetwork) -> tuple[bytes, ...]:
        received = listen(network, ("n2", 7))
        for number in range(3):
            network.send(("n1", 7), bytes([number]), ("n2", 7))
        await network.cut([("n1", "n2")])
        network.send(("n1", 7), b"after the cut", ("n2", 7))
        await network.heal()
        network.send(("n1", 7), b"healed", ("n2", 7))
        await asyncio.sleep(1)
        return tuple(sorted(datagram for _, datagram, _ in received))

    seen = {with_network(scenario, seed=seed) for seed in range(20)}
    # All that was under way or none of it, never a part: it is one choice.
    assert seen == {(b"healed",), (b"\0", b"\1", b"\2", b"healed")}


def test_a_link_is_cut_while_any_holder_cuts_it() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        received = listen(network, ("n2", 7))

        async def passes() -> bool:
            received.clear()
            network.send(("n1", 7), b"x", ("n2", 7))
            await asyncio.sleep(1)
            return bool(received)

        await network.cut([("n1", "n2"), ("n2", "n3")], "partition-0")
        await network.cut([("n1", "n2")], "partition-1")
        await network.heal("partition-0")
        assert not await passes()
        observed = {(seen.source, seen.target) for seen in await network.observe() if seen.cut}
        assert observed == {("n1", "n2")}
        await network.heal("partition-1")
        assert await passes()
        await network.cut([("n1", "n2")], "partition-2")
        await network.heal()
        assert await passes()

    with_network(scenario)


def test_clients_can_be_cut_off_from_a_node_all_of_them() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        at_n1, at_n2, answers = (listen(network, (host, 7)) for host in ("n1", "n2", "laptop"))
        await network.cut([(CLIENTS, "n1")])
        for client in ("laptop", "desktop"):
            for node in ("n1", "n2"):
                network.send((client, 7), b"x", (node, 7))
        network.send(("n1", 7), b"x", ("laptop", 7))
        await asyncio.sleep(1)
        assert (len(at_n1), len(at_n2), len(answers)) == (0, 2, 1)
        observed = (await network.observe())[-1]
        assert (observed.source, observed.target, observed.cut, observed.heard) == (CLIENTS, "n1", True, False)
        assert observed.dropped == 2
        await network.heal()
        assert CLIENTS not in {end for seen in await network.observe() for end in (seen.source, seen.target)}

    with_network(scenario)


def test_what_one_link_carries_changes_nothing_on_another() -> None:
    async def scenario(network: SimulatedNetwork, busy: bool) -> Received:
        received = listen(network, ("n2", 7))
        for number in range(50):
            network.send(("n1", 7), bytes([number]), ("n2", 7))
            if busy:
                network.send(("n1", 7), b"x", ("n3", 7))
                network.send(("n3", 7), b"x", ("n1", 7))
        if busy:
            await network.observe()
        await asyncio.sleep(1)
        return received

    quiet, busy = (
        with_network(lambda network, busy=busy: scenario(network, busy), loss=0.3, duplication=0.3)  # type: ignore[misc]
        for busy in (False, True)
    )
    assert quiet == busy


async def degraded(network: SimulatedNetwork, conditions: Conditions, sends: int = 1000) -> Received:
    """What arrives of `sends` datagrams of 100 bytes on a link that is degraded, within ten seconds."""
    received = listen(network, ("n2", 7))
    await network.degrade([("n1", "n2")], conditions, "packets-0")
    for number in range(sends):
        network.send(("n1", 7), number.to_bytes(2, "big") * 50, ("n2", 7))
    await asyncio.sleep(10)
    return received


async def interference(network: SimulatedNetwork) -> Interference:
    observed = {(seen.source, seen.target): seen.interference for seen in await network.observe()}
    assert all(seen is None for link, seen in observed.items() if link != ("n1", "n2"))
    of_the_link = observed["n1", "n2"]
    assert of_the_link is not None
    return of_the_link


def test_a_degraded_link_loses_and_duplicates_and_counts_both() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        received = await degraded(network, Conditions(loss=0.25, duplication=0.5))
        seen = await interference(network)
        assert len(received) == 1000 - seen.lost + seen.duplicated
        # Three standard deviations of a binomial distribution.
        assert 209 < seen.lost < 291
        assert abs(seen.duplicated - (1000 - seen.lost) / 2) < 45
        assert (seen.corrupted, seen.delayed, seen.held) == (0, 0, 0)

    with_network(scenario)


def test_corruption_flips_one_bit_of_what_arrives() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        received = await degraded(network, Conditions(corruption=0.5))
        seen = await interference(network)
        sent = [int.from_bytes(number.to_bytes(2, "big") * 50, "big") for number in range(1000)]
        flipped = 0
        for _, datagram, _ in received:
            distance = min((int.from_bytes(datagram, "big") ^ each).bit_count() for each in sent)
            assert distance <= 1
            flipped += distance
        assert flipped == seen.corrupted > 400

    with_network(scenario)


def test_delay_comes_on_top_and_reorders() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        received = await degraded(network, Conditions(delay_s=(0.05, 0.5)), sends=100)
        assert all(0.05 <= at <= 0.501 for at, _, _ in received)
        order = [datagram for _, datagram, _ in received]
        assert sorted(order) != order and len(order) == 100
        assert (await interference(network)).delayed == 100

    with_network(scenario)


def test_a_limited_rate_makes_a_queue_of_a_second_and_loses_the_rest() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        received = await degraded(network, Conditions(rate_bytes_s=6_400), sends=200)
        # 64 datagrams of 100 bytes pass in a second. The first goes at once, and so many wait for a second at most.
        assert [datagram[:2] for _, datagram, _ in received] == [n.to_bytes(2, "big") for n in range(65)]
        gaps = [later[0] - earlier[0] for earlier, later in pairwise(received)]
        assert all(abs(gap - 1 / 64) < 1e-9 for gap in gaps)
        seen = await interference(network)
        assert (seen.lost, seen.delayed) == (135, 64)

    with_network(scenario, delay_s=(0.001, 0.001))


def test_what_is_held_back_comes_at_once_when_the_link_is_healed_in_another_order() -> None:
    async def scenario(network: SimulatedNetwork) -> tuple[bytes, ...]:
        received = await degraded(network, Conditions(hold=True), sends=50)
        assert received == []
        assert (await interference(network)).held == 50
        await network.heal("another")
        await asyncio.sleep(1)
        assert received == []
        await network.heal("packets-0")
        await asyncio.sleep(1)
        assert len({at for at, _, _ in received}) == 1
        return tuple(datagram[:2] for _, datagram, _ in received)

    first, again, other = (with_network(scenario, seed=seed) for seed in (1, 1, 2))
    sent = [number.to_bytes(2, "big") for number in range(50)]
    assert first == again != other
    assert sorted(first) == sent != list(first)  # type: ignore[call-overload]


def test_of_two_that_degrade_a_link_the_later_counts_and_each_heals_its_own() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        received = listen(network, ("n2", 7))

        async def arrive() -> int:
            received.clear()
            network.send(("n1", 7), b"x", ("n2", 7))
            await asyncio.sleep(1)
            return len(received)

        await network.degrade([("n1", "n2")], Conditions(loss=1.0), "a")
        await network.degrade([("n1", "n2")], Conditions(duplication=1.0), "b")
        assert await arrive() == 2
        await network.heal("b")
        assert await arrive() == 0
        await network.heal("a")
        assert await arrive() == 1
        assert all(seen.interference is None for seen in await network.observe())

    with_network(scenario)


def test_degrading_a_link_does_not_change_what_it_does_anyway() -> None:
    async def scenario(network: SimulatedNetwork, conditions: Conditions | None) -> list[tuple[float, bytes]]:
        received = listen(network, ("n2", 7))
        if conditions is not None:
            await network.degrade([("n1", "n2")], conditions)
        for number in range(100):
            network.send(("n1", 7), bytes([number]), ("n2", 7))
        await asyncio.sleep(1)
        return [(at, datagram) for at, datagram, _ in received]

    clean, lossy = (
        with_network(lambda network, each=each: scenario(network, each), loss=0.2)  # type: ignore[misc]
        for each in (None, Conditions(loss=0.5))
    )
    assert set(lossy) < set(clean)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "wrong",
    [{"loss": 1.1}, {"corruption": -0.1}, {"duplication": 2}, {"delay_s": (2.0, 1.0)}, {"rate_bytes_s": 0}],
)
def test_conditions_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must lie|must be|nothing pass"):
        Conditions(**wrong)


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
        await network.degrade([("n1", "n2")], Conditions(loss=1.0))
        silent = [(seen.source, seen.target) for seen in await network.observe() if not seen.heard]
        assert silent == [("n1", "n2")]

    with_network(scenario)


def test_what_is_no_link_can_be_neither_cut_nor_degraded() -> None:
    async def scenario(network: SimulatedNetwork) -> None:
        for link in (("laptop", "n1"), ("n1", "n1"), (CLIENTS, CLIENTS)):
            with pytest.raises(ValueError, match=f"{link[0]} -> {link[1]} is no link between two of n1, n2, n3"):
                await network.cut([link])
            with pytest.raises(ValueError, match="is no link"):
                await network.degrade([link], Conditions(loss=1.0))

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
