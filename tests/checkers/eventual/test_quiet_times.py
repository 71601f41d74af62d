"""When staleness is judged: a put at 0 s, faults, and a read that returns nothing of it."""

from __future__ import annotations

from splitbrain.checkers.eventual.staleness import check
from splitbrain.checkers.verdict import Verdict
from tests.checkers.script import Script

HOMES = ("n1", "n2", "n3")
S = 1000.0


def polled(script: Script, *others: str, at: float) -> Script:
    """Polls that tell the homes of r0, and the nodes that are none."""
    for number, node in enumerate((*HOMES, *others)):
        script.poll([], at=at + 2 * number, node=node, home=node in HOMES, key="r0", process=9)
    return script


def judged(script: Script, quiet_s: float = 3.0) -> Verdict:
    return check(script.history, max_k=0, quiet_s=quiet_s)


def put(*, at: float = 0.0) -> Script:
    return polled(Script(), "n4", "n5", at=0.0).put(1, [], at=at + 20)


def miss(script: Script, *, at: float) -> Script:
    return script.read([], at=at, key="r0", process=1)


def test_while_nothing_fails_a_read_must_show_what_was_acknowledged_before_it() -> None:
    verdict = judged(miss(put(), at=30))
    assert (verdict.outcome, verdict.evidence["stale"], verdict.evidence["excused"]) == ("invalid", 1, 0)


def test_during_a_partition_no_read_is_judged() -> None:
    verdict = judged(miss(put().cut(at=1 * S), at=2 * S).heal(at=3 * S))
    assert (verdict.outcome, verdict.evidence["excused"]) == ("unknown", 1)


def test_right_after_a_partition_a_read_must_show_what_was_settled_before_it() -> None:
    assert judged(miss(put().cut(at=1 * S).heal(at=2 * S), at=2.1 * S)).outcome == "invalid"


def test_right_after_a_partition_a_write_that_it_met_may_be_missed() -> None:
    # Acknowledged 0.3 s before the cut: a replica may have missed it.
    verdict = judged(miss(put(at=680.0).cut(at=1 * S).heal(at=2 * S), at=2.1 * S))
    assert (verdict.outcome, verdict.evidence["stale"]) == ("valid", 0)


def test_what_a_partition_met_must_be_shown_once_it_was_quiet_for_long_enough() -> None:
    def at(moment: float) -> Verdict:
        return judged(miss(put(at=680.0).cut(at=1 * S).heal(at=2 * S), at=moment))

    assert at(4.9 * S).outcome == "valid"
    assert at(5.1 * S).outcome == "invalid"


def test_right_after_a_partition_no_read_is_judged_where_as_many_can_stand_in_as_are_at_home() -> None:
    script = polled(put(), "n4", "n5", "n6", at=100.0)
    verdict = judged(miss(script.cut(at=1 * S).heal(at=2 * S), at=2.1 * S))
    assert (verdict.outcome, verdict.evidence["excused"]) == ("unknown", 1)


def test_while_a_node_is_down_no_read_is_judged() -> None:
    script = put().act("kill", "kill", "start", at=1 * S, nodes=["n4"])
    assert judged(miss(script, at=2 * S)).evidence["excused"] == 1


def test_after_a_fault_that_the_promise_does_not_cover_nothing_is_judged() -> None:
    script = put().act("wipe", "wipe", "start", at=1 * S, nodes=["n1"])
    script.act("restart-wiped", "wipe", "stop", at=2 * S, nodes=["n1"])
    history = miss(script, at=9 * S).history
    assert check(history, max_k=0, quiet_s=3.0).outcome == "invalid"
    verdict = check(history, max_k=0, quiet_s=3.0, until_fault=("wipe",))
    assert (verdict.outcome, verdict.evidence["reads"]) == ("unknown", 0)
