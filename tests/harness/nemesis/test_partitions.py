from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from splitbrain.harness.environment import CLIENTS, Link, LinkObservation
from splitbrain.harness.nemesis.flapping import Flapper
from splitbrain.harness.nemesis.partitions import (
    FAMILIES,
    PARTITIONS,
    Partitioner,
    bridge,
    clients_cut_off,
    clients_unheard,
    halves,
    isolate_one,
    majorities_ring,
    one_way,
    random_halves,
)
from splitbrain.harness.nemesis.targets import Targets
from splitbrain.harness.operation import Invocation
from splitbrain.harness.seeds import draw
from splitbrain.harness.simulation import SimulatedEnvironment, run_simulated
from tests.harness.nemesis.echo_system import EchoSystem

FIVE = ("n1", "n2", "n3", "n4", "n5")
CLUSTERS = st.integers(min_value=2, max_value=9).map(lambda size: tuple(f"n{n}" for n in range(1, size + 1)))
SEEDS = st.integers(min_value=0, max_value=2**64 - 1)


def heard_by(node: str, nodes: tuple[str, ...], cut: set[Link]) -> set[str]:
    return {other for other in nodes if other == node or (other, node) not in cut}


def groups(nodes: tuple[str, ...], cut: set[Link]) -> set[frozenset[str]]:
    return {frozenset(heard_by(node, nodes, cut)) for node in nodes}


def test_halves_are_the_first_two_of_five_and_the_rest() -> None:
    assert groups(FIVE, halves(FIVE, draw(1))) == {frozenset({"n1", "n2"}), frozenset({"n3", "n4", "n5"})}


@given(CLUSTERS, SEEDS)
def test_random_halves_part_the_cluster_in_two(nodes: tuple[str, ...], seed: int) -> None:
    parts = groups(nodes, random_halves(nodes, draw(seed)))
    assert sorted(len(part) for part in parts) == sorted({len(nodes) // 2, len(nodes) - len(nodes) // 2}) or (
        len(nodes) % 2 == 0 and [len(part) for part in parts] == [len(nodes) // 2] * 2
    )
    assert frozenset().union(*parts) == set(nodes)


@given(CLUSTERS, SEEDS)
def test_isolate_one_leaves_one_node_alone_and_the_others_together(nodes: tuple[str, ...], seed: int) -> None:
    parts = groups(nodes, isolate_one(nodes, draw(seed)))
    assert len(parts) == 2
    assert min(len(part) for part in parts) == 1


@given(CLUSTERS.filter(lambda nodes: len(nodes) >= 3), SEEDS)
def test_in_a_majorities_ring_each_node_hears_a_bare_majority_and_no_two_the_same(
    nodes: tuple[str, ...], seed: int
) -> None:
    cut = majorities_ring(nodes, draw(seed))
    assert {len(heard_by(node, nodes, cut)) for node in nodes} == {len(nodes) // 2 + 1}
    assert len(groups(nodes, cut)) == len(nodes)


@given(CLUSTERS.filter(lambda nodes: len(nodes) >= 3), SEEDS)
def test_a_bridge_is_heard_by_all_and_its_ends_are_apart(nodes: tuple[str, ...], seed: int) -> None:
    cut = bridge(nodes, draw(seed))
    middles = [node for node in nodes if all(node not in link for link in cut)]
    assert len(middles) == 1
    assert {len(part) for part in groups(nodes, cut) if part != frozenset(nodes)} <= {
        (len(nodes) - 1) // 2 + 1,
        len(nodes) - 1 - (len(nodes) - 1) // 2 + 1,
    }


@given(CLUSTERS, SEEDS)
def test_one_way_never_cuts_both_directions_of_a_link(nodes: tuple[str, ...], seed: int) -> None:
    cut = one_way(nodes, draw(seed))
    assert cut
    assert not any((target, source) in cut for source, target in cut)


@given(CLUSTERS, SEEDS)
def test_clients_that_are_cut_off_or_unheard_miss_some_nodes_but_not_all_of_many(
    nodes: tuple[str, ...], seed: int
) -> None:
    off, unheard = clients_cut_off(nodes, draw(seed)), clients_unheard(nodes, draw(seed))
    mute = {source for source, target in unheard}
    assert mute < set(nodes) and unheard == {(node, CLIENTS) for node in mute}
    assert off == unheard | {(CLIENTS, node) for node in mute}


def test_every_shape_comes_before_any_comes_again() -> None:
    partition = FAMILIES[0]
    shapes = [partition.aim(Targets(FIVE), 3, turn)["shape"] for turn in range(8)]
    assert set(shapes[:4]) == set(shapes[4:]) == set(PARTITIONS)


def test_where_the_system_says_who_holds_a_key_all_that_hold_one_are_isolated_in_their_turn() -> None:
    owners = (("n1", "n2", "n3"), ("n3", "n4", "n5"))
    aims = [FAMILIES[0].aim(Targets(FIVE, primaries=owners), 3, turn) for turn in range(50)]
    isolated = set()
    for how in [how for how in aims if how["shape"] == "primaries"]:
        cut = {(source, target) for source, target in how["cut"]}
        isolated.add(tuple(sorted(node for node in FIVE if heard_by(node, FIVE, cut) == {node})))
    assert isolated == set(owners)


def test_the_same_seed_gives_the_same_partitions_and_another_seed_others() -> None:
    def cuts(seed: int) -> list[object]:
        return [FAMILIES[0].aim(Targets(FIVE), seed, turn)["cut"] for turn in range(12)]

    assert cuts(1) == cuts(1)
    assert cuts(1) != cuts(2)


def with_cluster(scenario: Callable[[SimulatedEnvironment, Partitioner], Awaitable[None]]) -> None:
    async def main() -> None:
        environment = SimulatedEnvironment(FIVE, seed=1)
        await environment.open(lambda text: None)
        await scenario(environment, Partitioner(environment, EchoSystem()))

    run_simulated(main)


def silence(environment: SimulatedEnvironment, silent: Link) -> None:
    """Nothing is heard over this link any more, though nobody cut it."""
    look = environment.network.observe

    async def observe() -> list[LinkObservation]:
        links = await look()
        return [replace(link, heard=link.heard and (link.source, link.target) != silent) for link in links]

    environment.network.observe = observe  # type: ignore[method-assign]


START = Invocation("start-partition", {"fault": "partition", "phase": "start", "cut": [["n1", "n2"], ["n2", "n1"]]})
STOP = Invocation("stop-partition", {"fault": "partition", "phase": "stop"})


def test_the_evidence_of_a_cut_is_that_its_links_are_silent() -> None:
    async def scenario(environment: SimulatedEnvironment, nemesis: Partitioner) -> None:
        value = await nemesis.invoke(START)
        assert value["cut"] == START.value["cut"]
        assert value["evidence"]["effective"] is True
        assert value["evidence"]["detail"] == "2 of 2 directed links silent, 18 others heard"
        assert len(value["evidence"]["links"]) == 20
        assert {"source": "n1", "target": "n2", "cut": True, "heard": False, "dropped": 0} in value["evidence"]["links"]

    with_cluster(scenario)


def test_the_evidence_of_a_heal_is_that_all_links_are_heard_and_it_tells_what_was_dropped() -> None:
    async def scenario(environment: SimulatedEnvironment, nemesis: Partitioner) -> None:
        await nemesis.invoke(START)
        for _ in range(7):
            environment.network.send(("n1", 9), b"x", ("n2", 9))
        evidence = (await nemesis.invoke(STOP))["evidence"]
        assert evidence["effective"] is True
        assert evidence["detail"] == "20 of 20 directed links heard"
        assert evidence["dropped"] == 7
        assert (await nemesis.invoke(STOP))["evidence"]["dropped"] == 0

    with_cluster(scenario)


def test_a_cut_that_cuts_nothing_was_without_effect() -> None:
    async def scenario(environment: SimulatedEnvironment, nemesis: Partitioner) -> None:
        async def do_nothing(links: object, holder: str) -> None: ...

        environment.network.cut = do_nothing  # type: ignore[method-assign]
        evidence = (await nemesis.invoke(START))["evidence"]
        assert evidence["effective"] is False
        assert evidence["detail"] == "0 of 2 directed links silent, 18 others heard"

    with_cluster(scenario)


def test_a_heal_that_leaves_a_link_silent_was_without_effect() -> None:
    async def scenario(environment: SimulatedEnvironment, nemesis: Partitioner) -> None:
        silence(environment, ("n3", "n4"))
        evidence = (await nemesis.invoke(STOP))["evidence"]
        assert evidence["effective"] is False
        assert evidence["detail"] == "19 of 20 directed links heard"

    with_cluster(scenario)


def test_a_cut_that_took_more_links_than_asked_for_is_not_the_fault_that_was_asked_for() -> None:
    async def scenario(environment: SimulatedEnvironment, nemesis: Partitioner) -> None:
        silence(environment, ("n3", "n4"))
        evidence = (await nemesis.invoke(START))["evidence"]
        assert evidence["effective"] is False
        assert evidence["detail"] == "2 of 2 directed links silent, 17 of 18 others heard"

    with_cluster(scenario)


def test_a_cut_that_vanished_by_itself_did_not_stand() -> None:
    async def scenario(environment: SimulatedEnvironment, nemesis: Partitioner) -> None:
        await nemesis.invoke(START)
        assert (await nemesis.invoke(STOP))["evidence"]["stood"] is True
        await nemesis.invoke(START)
        look = environment.network.observe

        async def look_at_leaking_links() -> list[LinkObservation]:
            return [replace(seen, heard=True) for seen in await look()]

        environment.network.observe = look_at_leaking_links  # type: ignore[method-assign]
        assert (await nemesis.invoke(STOP))["evidence"]["stood"] is False

    with_cluster(scenario)


def strike(number: int, phase: str, *cut: Link) -> Invocation:
    value = {"fault": "partition", "phase": phase, "strike": number, "cut": [list(link) for link in cut]}
    return Invocation(f"{phase}-partition", value)


def test_overlapping_partitions_heal_apart() -> None:
    async def scenario(environment: SimulatedEnvironment, nemesis: Partitioner) -> None:
        first, second = [("n1", "n2"), ("n1", "n3")], [("n1", "n3"), ("n4", "n5")]
        await nemesis.invoke(strike(1, "start", *first))
        began = (await nemesis.invoke(strike(2, "start", *second)))["evidence"]
        assert began["effective"] and began["detail"] == "2 of 2 directed links silent, 17 others heard"
        healed = (await nemesis.invoke(strike(1, "stop", *first)))["evidence"]
        assert healed["effective"] and healed["stood"]
        assert healed["detail"] == "18 of 18 directed links heard; 2 others are still disturbed"
        still = {(link.source, link.target) for link in await environment.network.observe() if not link.heard}
        assert still == set(second)
        assert (await nemesis.invoke(strike(2, "stop", *second)))["evidence"]["detail"] == (
            "20 of 20 directed links heard"
        )

    with_cluster(scenario)


def test_flapping_links_are_cut_and_healed_in_turn_until_they_are_healed_for_good() -> None:
    async def scenario(environment: SimulatedEnvironment, nemesis: Partitioner) -> None:
        flapper = Flapper(environment, EchoSystem())
        value = {"fault": "flapping", "strike": 3, "cut": [["n1", "n2"]], "flap_s": 1.0}
        began = asyncio.get_running_loop().time()
        assert (await flapper.invoke(Invocation("f", {**value, "phase": "start"})))["evidence"]["effective"]
        heard = []
        for moment in (0.5, 1.5, 2.5, 3.5):
            await asyncio.sleep(began + moment - asyncio.get_running_loop().time())
            [link] = [o for o in await environment.network.observe() if (o.source, o.target) == ("n1", "n2")]
            heard.append(link.heard)
        assert heard == [False, True, False, True]
        stopped = (await flapper.invoke(Invocation("f", {**value, "phase": "stop"})))["evidence"]
        assert stopped["effective"] and stopped["flaps"] == 2
        await asyncio.sleep(5)
        assert all(link.heard for link in await environment.network.observe())

    with_cluster(scenario)
