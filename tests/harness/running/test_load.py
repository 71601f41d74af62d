from __future__ import annotations

from collections.abc import Callable

import pytest

from splitbrain.checkers.histories.event import Event
from splitbrain.harness.generators import any_of, clients, nemesis, numbered, sequence, stagger
from splitbrain.harness.nemesis import FaultPackage, Strike
from splitbrain.harness.nemesis.families import families
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.load import AfterHeals, loaded
from tests.harness.fixed_latency import SECOND, play

WORKS: Callable[[Invocation], Completion] = lambda invocation: Completion("ok", invocation.value)  # noqa: E731
MUTE: Callable[[Invocation], Completion] = lambda invocation: Completion("fail", None, "no: never")  # noqa: E731


def invoked(
    limit_s: float, *strikes: Strike, rate: float = 20, outcome: Callable[[Invocation], Completion] = WORKS
) -> list[Event]:
    """The clients' invocations under this load: nine writes and a read in turn."""
    package = FaultPackage((families()["partition"],), strikes)
    mixed = numbered(lambda number: Invocation("read" if number % 10 == 9 else "add", number))
    load = any_of(clients(stagger(1 / rate, mixed, seed=1)), nemesis(package.generator))
    events = play(loaded(limit_s, len(strikes), load), nemesis_limit=8, outcome=outcome)
    return [event for event in events if event.type == "invoke"]


def cut(number: int, at_s: float, for_s: float) -> Strike:
    return Strike(number, "partition", at_s, for_s, {"cut": [["n1", "n2"]]})


def last_s(events: list[Event]) -> float:
    return events[-1].time / SECOND


def test_without_faults_the_load_ends_with_its_time() -> None:
    assert 9.7 < last_s(invoked(10)) < 10


def test_a_heal_long_before_the_end_changes_nothing() -> None:
    assert 29.7 < last_s(invoked(30, cut(0, 2, 3))) < 30


def test_after_the_last_heal_the_load_goes_on_for_five_seconds_and_fifty_writes() -> None:
    events = invoked(10, cut(0, 2, 1), cut(1, 8, 1.5))
    assert 14.2 < last_s(events) < 14.6
    slow = invoked(10, cut(0, 8, 1.5), rate=4)
    writes = [event for event in slow if event.f == "add" and event.time > 9.5 * SECOND]
    assert 49 <= len(writes) <= 51 and last_s(slow) > 20


def test_a_system_that_takes_no_write_is_given_thirty_seconds_after_the_last_heal() -> None:
    assert 39.2 < last_s(invoked(10, cut(0, 8, 1.5), outcome=MUTE)) < 39.6


def test_a_load_too_slow_for_fifty_writes_ends_after_as_long() -> None:
    assert 37 < last_s(invoked(10, cut(0, 8, 1.5), rate=1)) < 39.6


@pytest.mark.parametrize("wakes_s", [12.0, 30.0])
def test_the_load_ends_as_soon_as_a_mute_system_has_woken_up_and_five_seconds_have_passed(wakes_s: float) -> None:
    def outcome(invocation: Invocation) -> Completion:
        return WORKS(invocation) if (invocation.time_ns or 0) > wakes_s * SECOND else MUTE(invocation)

    end = max(14.5, wakes_s)
    assert end - 0.4 < last_s(invoked(10, cut(0, 8, 1.5), outcome=outcome)) < end + 0.4


def test_what_is_wanted_after_a_heal_is_done_at_once_beside_the_pace() -> None:
    package = FaultPackage((families()["partition"],), (cut(0, 2, 1), cut(1, 5, 2)))
    paced = clients(stagger(2.0, numbered(lambda number: Invocation("add", number)), seed=1))
    source = AfterHeals(
        any_of(paced, nemesis(package.generator)),
        lambda heals: clients(sequence(*[Invocation("read", heals * 10 + number) for number in range(3)])),
    )
    events = play(loaded(12, 2, source), nemesis_limit=8, outcome=WORKS)
    healed = [event for event in events if event.f == "stop-partition" and event.type == "info" and event.value]
    stops_s = [event.time / SECOND for event in healed if "evidence" in event.value]
    reads = [event for event in events if event.f == "read" and event.type == "invoke"]
    assert [event.value for event in reads] == [0, 1, 2, 10, 11, 12]
    for number, stop_s in enumerate(stops_s):
        mine = reads[3 * number : 3 * number + 3]
        assert all(stop_s <= event.time / SECOND < stop_s + 0.2 for event in mine)
    assert len(stops_s) == 2
