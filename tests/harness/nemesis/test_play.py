from __future__ import annotations

from splitbrain.checkers.histories.event import Event
from splitbrain.harness.generators import nemesis
from splitbrain.harness.nemesis import FaultPackage, Strike
from splitbrain.harness.nemesis.families import families
from tests.harness.fixed_latency import MILLISECOND, SECOND, invocations, play


def played(*strikes: Strike, latency_ns: int = 10 * MILLISECOND, limit: int = 8) -> list[tuple[str, int, float]]:
    """(what was asked of the nemesis, of which strike, when in seconds)."""
    known = families()
    used = tuple(known[name] for name in dict.fromkeys(strike.family for strike in strikes))
    events = play(nemesis(FaultPackage(used, strikes).generator), latency_ns=latency_ns, nemesis_limit=limit)
    return [(event.f, event.value["strike"], round(event.time / SECOND, 3)) for event in invocations(events)]


def kill(number: int, at_s: float, for_s: float, *nodes: str) -> Strike:
    return Strike(number, "kill", at_s, for_s, {"nodes": list(nodes)})


def cut(number: int, at_s: float, for_s: float) -> Strike:
    return Strike(number, "partition", at_s, for_s, {"cut": [["n1", "n2"]]})


def test_each_strike_starts_and_stops_at_its_time() -> None:
    assert played(kill(0, 1.0, 2.0, "n1"), kill(1, 5.0, 0.75, "n2")) == [
        ("kill", 0, 1.0),
        ("restart", 0, 3.0),
        ("kill", 1, 5.0),
        ("restart", 1, 5.75),
    ]


def test_strikes_that_hold_different_things_stand_at_once() -> None:
    asked = played(kill(0, 1.0, 3.0, "n1"), cut(1, 1.5, 1.0), kill(2, 2.0, 4.0, "n2"), cut(3, 2.2, 1.0))
    assert [(f, strike) for f, strike, _ in asked] == [
        ("kill", 0),
        ("start-partition", 1),
        ("kill", 2),
        ("start-partition", 3),
        ("stop-partition", 1),
        ("stop-partition", 3),
        ("restart", 0),
        ("restart", 2),
    ]


def test_a_strike_waits_for_the_end_of_one_that_holds_the_same_and_others_do_not_wait_for_it() -> None:
    # The first restart takes two seconds, until 5 s, though the second kill of n1 was to be at 3.5 s.
    asked = played(kill(0, 1.0, 1.0, "n1"), kill(1, 3.5, 1.0, "n1", "n2"), cut(2, 4.0, 1.0), latency_ns=2 * SECOND)
    assert asked == [
        ("kill", 0, 1.0),
        # It stands since 3 s, and for half a second at least.
        ("restart", 0, 3.5),
        ("start-partition", 2, 4.0),
        ("kill", 1, 5.5),
        ("stop-partition", 2, 6.5),
        ("restart", 1, 8.0),
    ]


def test_no_more_are_under_way_at_once_than_may_be() -> None:
    asked = played(cut(0, 1.0, 5.0), cut(1, 1.0, 5.0), cut(2, 1.0, 5.0), latency_ns=SECOND, limit=2)
    assert [time for f, _, time in asked if f == "start-partition"] == [1.0, 1.0, 2.0]


def test_the_stop_says_again_what_was_struck() -> None:
    known = families()
    events: list[Event] = play(nemesis(FaultPackage((known["kill"],), (kill(0, 1.0, 1.0, "n3"),)).generator))
    assert [event.value["nodes"] for event in invocations(events)] == [["n3"], ["n3"]]
