from __future__ import annotations

from splitbrain.checkers.service.availability import check
from tests.checkers.script import Script


def test_the_ok_rate_is_given_overall_under_each_fault_and_without() -> None:
    script = Script().add(1, at=0).cut(at=10).add(2, at=20, type_="fail").add(3, at=30).heal(at=40).add(4, at=50)
    evidence = check(script.history).evidence
    assert (evidence["ok_rate"], evidence["fail"], evidence["info"]) == (0.75, 1, 0)
    assert evidence["without_fault"] == {"operations": 2, "ok": 2, "ok_rate": 1.0}
    (window,) = evidence["windows"]
    assert (window["fault"], window["operations"], window["ok"]) == ("partition halves", 2, 1)
    assert (window["start_ms"], window["stop_ms"], window["recovered_after_ms"]) == (11.0, 40.0, 11.0)


def test_an_operation_that_spans_the_whole_fault_was_struck_by_it() -> None:
    script = Script().invoke(0, "add", "s0", 1, at=0).cut(at=10).heal(at=20).complete(0, "ok", 1, at=30)
    evidence = check(script.history).evidence
    assert (evidence["windows"][0]["operations"], evidence["windows"][0]["ok_rate"]) == (1, 1.0)


def test_silence_is_from_one_ok_to_the_next_while_somebody_waits() -> None:
    script = Script().add(1, at=0).add(2, at=10, type_="fail").add(3, at=20, type_="fail").add(4, at=30)
    evidence = check(script.history).evidence
    assert evidence["longest_silence"] == [10.0, 31.0]


def test_nobody_asking_is_no_silence() -> None:
    assert check(Script().add(1, at=0).add(2, at=5000).history).evidence["longest_silence_ms"] == 1.0


def test_an_operation_left_waiting_counts_from_the_last_answer() -> None:
    script = Script().invoke(9, "add", "s0", 9, at=0).add(1, at=10).add(2, at=500)
    assert check(script.history).evidence["longest_silence"] == [11.0, 501.0]


def test_silence_lasts_to_the_end_if_nobody_was_served_again() -> None:
    script = Script().add(1, at=0).add(2, at=10, type_="fail").add(3, at=90, type_="fail")
    assert check(script.history).evidence["longest_silence"] == [10.0, 91.0]


def test_what_the_harness_asks_after_the_heal_and_its_polls_are_not_judged() -> None:
    script = Script().stage("load", at=0).add(1, at=0).poll(["a"], at=5, node="n1").add(2, at=10, type_="fail")
    script.stage("recovery", at=20).read([1], at=30)
    evidence = check(script.history).evidence
    assert (evidence["operations"], evidence["ok"]) == (2, 1)


def test_recovery_takes_until_the_first_answer_to_something_asked_after_the_heal() -> None:
    # The answer at 55 ms is to a question from before the heal: it may have been decided then.
    script = Script().cut(at=0).invoke(5, "add", "s0", 1, at=10).heal(at=50).complete(5, "ok", 1, at=55)
    script.add(2, at=60, type_="fail").add(3, at=70)
    assert check(script.history).evidence["windows"][0]["recovered_after_ms"] == 21.0


def test_recovery_from_a_kill_takes_until_the_slowest_of_its_nodes_serves_again() -> None:
    script = Script().act("kill", "kill", "start", at=0, nodes=["n1", "n2"])
    script.act("restart", "kill", "stop", at=50, nodes=["n1", "n2"]).add(1, at=60, node="n1").add(2, at=70, node="n3")
    assert check(script.history).evidence["windows"][0]["recovered_after_ms"] is None
    script.add(3, at=80, node="n2").add(4, at=90, node="n1")
    assert check(script.history).evidence["windows"][0]["recovered_after_ms"] == 31.0


def test_recovery_counts_from_the_moment_the_heal_was_begun() -> None:
    script = Script().cut(at=0).nemesis("stop-partition", {"fault": "partition", "phase": "stop"}, at=50).add(1, at=60)
    healed = {"fault": "partition", "phase": "stop", "evidence": {"effective": True}}
    script.nemesis("stop-partition", healed, at=5000).add(2, at=5010)
    assert check(script.history).evidence["windows"][0]["recovered_after_ms"] == 11.0


def test_a_system_that_never_served_again_has_no_time_to_recover() -> None:
    script = Script().add(1, at=0).cut(at=10).heal(at=20).add(2, at=30, type_="fail")
    assert check(script.history).evidence["windows"][0]["recovered_after_ms"] is None


def test_a_bound_on_the_ok_rate_is_kept_when_met_exactly() -> None:
    history = Script().add(1, at=0).add(2, at=10, type_="fail").history
    assert check(history, min_ok_rate=0.5).outcome == "valid"
    verdict = check(history, min_ok_rate=0.51)
    assert verdict.outcome == "invalid"
    assert verdict.reason.endswith("at least 51.00% must be ok")


def test_nothing_served_at_all_is_described_and_only_a_bound_makes_it_invalid() -> None:
    history = Script().add(1, at=0, type_="fail").history
    assert (check(history).outcome, check(history).evidence["ok_rate"]) == ("valid", 0.0)
    assert check(history, min_ok_rate=0.1).outcome == "invalid"
