from __future__ import annotations

from typing import Any

import pytest

from splitbrain.checkers import HistoryError
from splitbrain.checkers.eventual.convergence import check
from tests.checkers.script import Script


def healed() -> Script:
    return Script().cut(at=0).add(1, at=10).heal(at=20).stage("recovery", at=30)


def test_convergence_is_the_last_moment_seen_to_differ_counted_from_the_heal() -> None:
    script = healed().poll(["a"], at=40, node="n1").poll(["b"], at=50, node="n2").poll(["b"], at=60, node="n1")
    verdict = check(script.history)
    assert verdict.outcome == "valid"
    assert verdict.evidence["keys"]["s0"] == {"converged_after_ms": 21.0, "agreed_by_ms": 31.0, "replicas": 2}
    assert verdict.evidence["fall_off"] == [[11.0, 0], [21.0, 1], [31.0, 0]]


def test_replicas_that_differ_again_later_have_not_converged_before() -> None:
    script = healed().poll(["a"], at=40, node="n1").poll(["a"], at=50, node="n2")
    script.poll(["b"], at=60, node="n1").poll(["b"], at=70, node="n2")
    assert check(script.history).evidence["converged_after_ms"] == 31.0


def test_a_key_that_still_differs_in_the_end_never_converged() -> None:
    script = healed().poll(["a"], at=40, node="n1").poll(["a", "b"], at=50, node="n2")
    verdict = check(script.history)
    assert (verdict.outcome, verdict.reason) == ("invalid", "1 of 1 key never converged: s0")
    assert verdict.witness is not None
    assert verdict.witness.data["versions"] == {"n1": ("a",), "n2": ("a", "b")}


def test_where_the_environment_was_lost_replicas_that_still_differ_may_only_have_lacked_the_time() -> None:
    script = healed().stage("convergence", at=35).poll(["a"], at=40, node="n1").poll(["b"], at=50, node="n2")
    assert check(script.history).outcome == "invalid"
    verdict = check(script.stage("environment-lost", at=60).history)
    assert (verdict.outcome, verdict.evidence["never_converged"]) == ("unknown", ["s0"])


def test_an_empty_replica_beside_a_full_one_differs() -> None:
    script = healed().poll(["a"], at=40, node="n1").poll([], at=50, node="n2")
    verdict = check(script.history)
    assert verdict.witness is not None
    assert "n1 held a; n2 held nothing" in verdict.witness.text


def test_a_node_that_keeps_the_key_only_for_another_does_not_count() -> None:
    script = healed().poll(["a"], at=40, node="n1").poll(["a"], at=50, node="n2")
    assert check(script.poll(["b"], at=60, node="n4", home=False).history).outcome == "valid"


def test_polls_during_the_fault_and_those_begun_before_the_heal_do_not_count() -> None:
    script = Script().cut(at=0).poll(["a"], at=5, node="n1").poll(["b"], at=10, node="n2")
    script.invoke(7, "replica", "s0", at=15, node="n2").heal(at=20)
    late = {"home": True, "versions": ["b"], "values": [], "hinted": 0}
    script.complete(7, "ok", late, at=25).poll(["a"], at=30, node="n1").poll(["a"], at=40, node="n2")
    verdict = check(script.history)
    assert (verdict.outcome, verdict.evidence["converged_after_ms"]) == ("valid", 0.0)
    assert verdict.evidence["diverged_over_time"] == [[6.0, 0], [11.0, 1], [41.0, 0]]


def test_while_clients_write_replicas_may_differ() -> None:
    # Without stages: healed at 1 ms, but the last add ends at 51, and so does the right to differ.
    script = Script().heal(at=0).poll(["a"], at=10, node="n1").poll(["b"], at=20, node="n2").add(1, at=50)
    script.poll(["b"], at=60, node="n1").poll(["b"], at=70, node="n2")
    verdict = check(script.history)
    assert (verdict.evidence["clock_start_ms"], verdict.evidence["converged_after_ms"]) == (51.0, 0.0)


def test_without_any_fault_the_clock_starts_at_the_end_of_the_last_write() -> None:
    script = Script().add(1, at=5).poll(["a"], at=10, node="n1").poll(["b"], at=20, node="n2")
    script.poll(["b"], at=30, node="n1")
    assert check(script.history).evidence["converged_after_ms"] == 15.0


def test_a_bound_is_kept_up_to_its_last_moment() -> None:
    script = healed().poll(["a"], at=40, node="n1").poll(["b"], at=50, node="n2").poll(["b"], at=60, node="n1")
    assert check(script.history, within_ms=21).outcome == "valid"
    verdict = check(script.history, within_ms=20.9)
    assert verdict.outcome == "invalid"
    assert verdict.reason == "s0 was seen to differ 21.0 ms after the heal, later than the 20.9 ms allowed"
    assert verdict.witness is not None
    assert verdict.witness.text == "at 0.051 s the replicas of s0 still differed: n1 held a; n2 held b"


def test_a_replica_that_fell_silent_while_it_differed_leaves_it_unknown() -> None:
    script = healed().poll(["a"], at=40, node="n1").poll(["a"], at=50, node="n2").poll(["b"], at=60, node="n3")
    script.poll(None, at=70, node="n3", type_="info")
    assert check(script.history).outcome == "unknown"


def test_a_replica_whose_last_poll_was_not_ok_leaves_it_unknown_and_is_named() -> None:
    script = healed().poll(["a"], at=40, node="n1").poll(["a"], at=50, node="n2").poll(["a"], at=60, node="n3")
    verdict = check(script.poll(None, at=70, node="n3", type_="info").history)
    assert (verdict.outcome, verdict.reason) == ("unknown", "the last poll of s0 on n3 was not ok")


def test_a_replica_whose_last_poll_was_never_completed_leaves_it_unknown() -> None:
    script = healed().poll(["a"], at=40, node="n1").poll(["a"], at=50, node="n2")
    assert check(script.invoke(5, "replica", "s0", at=60, node="n3").history).outcome == "unknown"


def hold(script: Script, value: Any, *, at: float, node: str) -> Script:
    answer = {"home": True, "versions": ["a"], "values": [value], "hinted": 0}
    return script.invoke(0, "replica", "s0", at=at, node=node).complete(0, "ok", answer, at=at + 1)


def test_replicas_that_hold_different_values_under_the_same_version_differ() -> None:
    verdict = check(hold(hold(healed(), [1, 2], at=40, node="n1"), [2], at=50, node="n2").history)
    assert verdict.outcome == "invalid"
    assert verdict.witness is not None
    assert verdict.witness.text.endswith("n1 held a = [1, 2]; n2 held a = [2]")
    same = hold(hold(healed(), {"x": 1, "y": 2}, at=40, node="n1"), {"y": 2, "x": 1}, at=50, node="n2")
    assert check(same.history).outcome == "valid"


def test_a_last_heal_without_effect_leaves_convergence_unknown() -> None:
    script = Script().cut(at=0).add(1, at=10).act("stop-partition", "partition", "stop", at=20, effective=False)
    script.stage("recovery", "convergence", at=30).poll(["a"], at=40, node="n1").poll(["b"], at=50, node="n2")
    verdict = check(script.history)
    assert verdict.outcome == "unknown"
    assert verdict.reason == "the last heal had no effect: stop-partition at 0.020 s"


def test_one_replica_alone_can_not_agree() -> None:
    verdict = check(healed().poll(["a"], at=40, node="n1").history)
    assert (verdict.outcome, verdict.reason) == ("unknown", "no key was polled on two home replicas after the heal")


def test_a_fault_that_was_never_healed_leaves_nothing_to_judge() -> None:
    script = Script().cut(at=0).poll(["a"], at=10, node="n1").poll(["b"], at=20, node="n2")
    verdict = check(script.history)
    assert (verdict.outcome, verdict.reason) == ("unknown", "partition halves stood until the end")


def test_an_answer_that_is_no_answer_is_refused_with_its_line() -> None:
    script = Script().invoke(0, "replica", "s0", at=0).complete(0, "ok", 5, at=1)
    with pytest.raises(HistoryError, match="line 2: an ok replica poll needs a list of versions"):
        check(script.history)


def test_a_replica_that_is_no_longer_home_did_not_fall_silent() -> None:
    script = healed().poll(["a"], at=40, node="n1").poll(["a"], at=50, node="n2").poll(["b"], at=60, node="n3")
    assert check(script.poll([], at=70, node="n3", home=False).history).outcome == "valid"


def test_a_replica_that_fell_silent_and_came_back_as_no_home_is_forgotten() -> None:
    # The oracle run found this: what it had last shown as a home still counted.
    script = healed().poll(["a"], at=40, node="n1").poll(["a"], at=50, node="n2").poll(["b"], at=60, node="n3")
    script.poll(None, at=70, node="n3", type_="info").poll([], at=80, node="n3", home=False, process=1)
    assert check(script.history).outcome == "valid"
