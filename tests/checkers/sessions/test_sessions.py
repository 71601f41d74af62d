from __future__ import annotations

from typing import Any

import pytest

from splitbrain.checkers import sessions
from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.verdict import Verdict
from tests.checkers.golden_histories import load, names_in
from tests.checkers.script import Script
from tests.checkers.versions.register_script import Registers

RYW, MR, MW, WFR = "read your writes", "monotonic reads", "monotonic writes", "writes follow reads"


def counts(verdict: Verdict, guarantee: str) -> tuple[int, int, int, int]:
    each = verdict.evidence["guarantees"][guarantee]
    return each["checked"], each["violations"], each["contradictory"], each["unprovable"]


def test_only_the_guarantees_asked_for_are_judged() -> None:
    history = load("sessions/distinct-monotonic-reads")
    assert sessions.check(history, guarantees=(RYW,)).outcome == "unknown"
    verdict = sessions.check(history, guarantees=(RYW, MR))
    assert (verdict.outcome, verdict.reason) == ("invalid", "violated: monotonic reads (1 time)")
    assert list(verdict.evidence["guarantees"]) == [RYW, MR]


def test_a_stale_read_among_many_is_one_violation() -> None:
    script = Registers()
    for value in range(1, 6):
        script.write(0, value).reads(1, value)
    script.reads(1, 3, 5)
    verdict = sessions.check(script.history)
    assert counts(verdict, MR) == (6, 1, 0, 0)
    assert counts(verdict, RYW) == (0, 0, 0, 0)


def test_reads_that_found_nothing_demand_nothing_of_those_that_follow() -> None:
    verdict = sessions.check(Registers().write(0, 1).reads(1, 1, None, None, 1).history)
    # Each must not be older than 1, the last value that the session had read.
    assert counts(verdict, MR) == (3, 2, 0, 0)


def test_keys_are_judged_apart() -> None:
    script = Registers().write(0, 1, "x").write(0, 1, "y").reads(0, 1, key="x").reads(0, None, key="y")
    verdict = sessions.check(script.history)
    assert counts(verdict, RYW) == (2, 1, 0, 0)
    assert verdict.witness is not None and verdict.witness.data["demanded"]["key"] == "y"


def test_the_first_violation_is_the_witness() -> None:
    script = Registers().write(0, 1).write(1, 2, "y").reads(1, None, key="y").reads(0, None)
    verdict = sessions.check(script.history)
    assert verdict.witness is not None
    assert verdict.witness.text == (
        "process 1 wrote 2 to y at 0.020 s (n1); then process 1 read nothing from y at 0.040 s (n1)"
    )
    assert verdict.witness.events == (2, 3, 4, 5)


def test_a_version_known_to_be_older_through_others_is_too_old() -> None:
    # 1 was known to who wrote 2, and 2 to who wrote 3.
    script = Registers().write(0, 1).reads(1, 1).write(1, 2).reads(2, 2).write(2, 3).reads(3, 3, 1)
    assert counts(sessions.check(script.history), MR) == (1, 1, 0, 0)


def test_a_version_that_may_be_newer_is_not_too_old() -> None:
    script = Registers().write(0, 1).write(1, 2).write(2, 3).reads(3, 3, 1, 2)
    assert sessions.check(script.history).outcome == "valid"


def test_sessions_that_read_two_versions_in_different_orders_contradict_one_another() -> None:
    script = Registers().write(0, 1).write(1, 2).reads(2, 1, 2).reads(3, 2, 1)
    verdict = sessions.check(script.history)
    assert counts(verdict, MR) == (2, 0, 2, 0)
    assert verdict.witness is not None
    assert verdict.witness.text.startswith("no order of the versions allows this: process 2 read 2 from x")


def test_what_only_one_order_for_all_forbids_is_called_contradictory() -> None:
    verdict = sessions.check(load("sessions/distinct-orders-differ"))
    assert (verdict.outcome, verdict.reason) == (
        "invalid",
        "contradictory if each key has one order of its versions: read your writes (2 times)",
    )


def test_what_one_session_demands_no_order_of_its_own_can_meet_so_that_is_violated() -> None:
    verdict = sessions.check(load("sessions/distinct-flicker"))
    assert counts(verdict, MR)[1:3] == (0, 2)
    assert verdict.reason == "violated: monotonic reads (2 times)"


def test_a_session_that_contradicts_itself_among_others_that_contradict_one_another_is_violated() -> None:
    script = Registers().write(0, 1).write(1, 2).reads(2, 1, 2).reads(3, 2, 1)
    assert sessions.check(script.history).reason.startswith("contradictory if")
    assert sessions.check(script.reads(4, 1, 2, 1).history).reason == "violated: monotonic reads (4 times)"


def test_writes_that_followed_one_another_are_violated_under_any_order() -> None:
    assert (
        sessions.check(load("sessions/distinct-each-knew-the-other")).reason
        == "violated: writes follow reads (2 times)"
    )


def test_violated_and_contradictory_demands_are_reported_separately() -> None:
    # Read your writes of x is contradictory only; monotonic reads of y are violated, for 2 was written by who knew 1.
    script = Registers().write(0, 1).write(1, 2).reads(0, 2).reads(1, 1)
    script.write(2, 1, "y").write(2, 2, "y").reads(3, 2, 1, key="y")
    assert sessions.check(script.history).reason == (
        "violated: monotonic reads (1 time); contradictory if each key has one order of its versions: read your writes "
        "(2 times)"
    )


def test_held_guarantees_are_said_to_be_held_each_by_itself() -> None:
    history = load("sessions/distinct-all-together")
    assert sessions.check(history).reason.startswith("held, each by itself: monotonic reads (1); put to no test: ")
    assert sessions.check(history, guarantees=(MR,)).reason == "held: monotonic reads (1)"


def test_a_write_read_before_its_own_session_wrote_it_follows_no_reads() -> None:
    script = Registers().reads(0, 1).write(0, 1)
    verdict = sessions.check(script.history)
    assert counts(verdict, WFR) == (0, 0, 1, 0)
    assert verdict.witness is not None and "and only then wrote 1 to x" in verdict.witness.text


def test_a_session_may_lose_what_an_unanswered_read_showed() -> None:
    script = Registers().write(0, 1).op(1, "read", None, type_="info").reads(2, None)
    assert sessions.check(script.history).outcome == "unknown"


def test_the_witness_of_writes_follow_reads_says_who_had_read_what() -> None:
    witness = sessions.check(load("sessions/distinct-writes-follow-reads")).witness
    assert witness is not None
    assert witness.text == (
        "process 1 read 1 from y at 0.020 s (n2), and later wrote 2 to x at 0.030 s (n2), which process 2 had read; "
        "then process 2 read nothing from y at 0.050 s (n3)"
    )
    # All of it: also the write of 1 and the read of 2.
    assert witness.events == tuple(range(10))


def test_the_witness_of_siblings_tells_what_was_lacking() -> None:
    witness = sessions.check(load("sessions/versioned-monotonic-writes-across-keys")).witness
    assert witness is not None
    assert witness.text == (
        "process 0 put 1 to y at 0.010 s (n1), and after that put 2 to x at 0.020 s (n1); process 1 read 2 from x at "
        "0.035 s (n2), which covers 2; then process 1 read nothing from y at 0.045 s (n2), so 1 is missing"
    )
    assert witness.events == tuple(range(8))
    assert witness.data["lacking"] == 1


def test_every_write_demanded_must_be_covered_and_not_only_the_last() -> None:
    script = Script().put(1, [], at=0).put(2, [], at=10).read([2], at=20, key="r0")
    verdict = sessions.check(script.history)
    assert counts(verdict, RYW) == (1, 1, 0, 0)
    assert verdict.witness is not None and verdict.witness.data["lacking"] == 1


def test_a_failed_put_that_was_read_is_not_required_of_later_reads() -> None:
    script = Script().put(1, [], at=0, type_="fail").put(2, [], at=10)
    script.read([1, 2], at=20, process=1, key="r0").read([2], at=30, process=1, key="r0")
    verdict = sessions.check(script.history)
    assert (verdict.outcome, counts(verdict, MR)) == ("valid", (1, 0, 0, 0))


def test_what_may_have_been_covered_is_unprovable_and_what_came_later_is_not() -> None:
    script = Script().put(1, [], at=0).put(2, None, at=10, process=1).put(3, [], at=20)
    verdict = sessions.check(script.read([2], at=30, key="r0").history)
    assert counts(verdict, RYW) == (1, 1, 0, 0)
    assert verdict.witness is not None and verdict.witness.data["lacking"] == 3


@pytest.mark.parametrize("value", [None, 3, {"a": 1}, ["a"]])
def test_a_read_of_a_versioned_register_that_is_no_list_of_ids_is_refused(value: Any) -> None:
    script = Script().put(1, [], at=0).read(value, at=10, key="r0")
    with pytest.raises(HistoryError, match="line 4: an ok read needs a list of write ids"):
        sessions.check(script.history)


def test_polls_of_replicas_and_the_nemesis_are_passed_over() -> None:
    script = Registers().write(0, 1).reads(0, 1)
    script.cut(at=60).poll(["v"], at=70, node="n1", process=5).heal(at=80)
    assert sessions.check(script.history).outcome == "valid"


def test_the_values_of_a_register_may_be_lists() -> None:
    script = Registers().write(0, [1]).reads(0, [1], None)
    assert counts(sessions.check(script.history), RYW) == (2, 1, 0, 0)


def test_a_golden_history_is_judged_the_same_way_twice() -> None:
    for name in sorted(names_in("sessions")):
        assert sessions.check(load(name)) == sessions.check(load(name))
