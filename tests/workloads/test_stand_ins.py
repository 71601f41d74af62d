"""Reads through nodes that are no home replica, as polls have shown."""

from __future__ import annotations

from splitbrain.checkers.histories.event import Event
from splitbrain.harness.generators import Context, Generator, numbered
from splitbrain.harness.generators.core import Test
from splitbrain.harness.operation import Invocation
from splitbrain.workloads.stand_ins import ThroughStandIns

NODES = ("n1", "n2", "n3")
TEST = Test()
CONTEXT = Context(0, free=(0,), processes={0: 0})


def reads_of(key: str) -> Generator:
    reads = numbered(lambda number: Invocation("read", key=key, node=NODES[number % 3]))
    return ThroughStandIns(reads, frozenset({"t-rest-0"}), NODES)


def polled(generator: Generator, key: str, **homes: bool) -> Generator:
    for node, home in homes.items():
        value = {"home": home, "versions": [], "values": [], "hinted": 0}
        generator = generator.update(TEST, CONTEXT, Event(0, 0, 0, "ok", "replica", key, value, node))
    return generator


def taken(generator: Generator, count: int) -> list[str | None]:
    nodes = []
    for _ in range(count):
        step = generator.op(TEST, CONTEXT)
        assert step is not None and isinstance(step[0], Invocation)
        nodes.append(step[0].node)
        generator = step[1]
    return nodes


def test_every_other_read_of_a_home_goes_to_a_node_that_is_none() -> None:
    known = polled(reads_of("t-rest-0"), "t-rest-0", n1=True, n2=True, n3=False)
    assert taken(known, 6) == ["n3", "n2", "n3", "n3", "n2", "n3"]


def test_where_nothing_is_known_and_where_all_are_homes_reads_stay_where_they_were() -> None:
    assert taken(reads_of("t-rest-0"), 3) == list(NODES)
    assert taken(polled(reads_of("t-rest-0"), "t-rest-0", n1=True, n2=True, n3=True), 3) == list(NODES)


def test_a_node_that_became_a_home_is_no_stand_in_any_more() -> None:
    before = polled(reads_of("t-rest-0"), "t-rest-0", n1=True, n2=False, n3=True)
    assert taken(before, 1) == ["n2"]
    assert taken(polled(before, "t-rest-0", n2=True), 3) == list(NODES)


def test_other_keys_are_left_alone() -> None:
    assert taken(polled(reads_of("t0"), "t0", n1=True, n2=False, n3=True), 3) == list(NODES)
