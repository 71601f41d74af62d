from __future__ import annotations

import pytest

from splitbrain.checkers import History, Verdict, check
from tests.checkers.script import Script


def judged(script: Script, *faults: str, enough: int = 1) -> Verdict:
    return check("evidence", script.history, faults=faults, min_operations=enough)


def sound() -> Script:
    script = Script().stage("load", at=0).cut(at=1).add(1, at=5).heal(at=10).stage("recovery", "recovered", at=20)
    return script.stage("final-reads", at=30).read([1], at=40)


def test_a_sound_test_says_what_it_rests_on() -> None:
    verdict = judged(sound(), "partition")
    assert verdict.outcome == "valid"
    assert verdict.reason == (
        "2 operations on 1 key; partition took effect once and overlapped 1 operation; 1 of 1 node read at the end"
    )


def test_too_few_operations_are_counted_without_polls_and_failures() -> None:
    script = sound().poll(["a"], at=50, node="n1").add(2, at=60, type_="fail")
    assert judged(script, enough=1).outcome == "valid"
    verdict = judged(script, enough=2)
    assert (verdict.outcome, verdict.reason) == ("unknown", "only 1 operation was ok, and 2 are needed")


def test_final_reads_do_not_make_up_for_too_few_operations_before_the_recovery() -> None:
    script = sound()
    for number in range(20):
        script.read([1], at=50 + number * 2)
    assert judged(script, enough=2).outcome == "unknown"
    assert judged(script).evidence["ok_before_recovery"] == 1


def test_writes_of_which_none_was_ok_are_a_doubt() -> None:
    script = Script().read([], at=0).add(1, at=2, type_="fail").add(2, at=4, type_="fail")
    assert (judged(script).outcome, judged(script).reason) == ("unknown", "none of 2 writes was ok")
    assert judged(Script().read([], at=0)).outcome == "valid"


def outage(tried: int, *, heal: bool | None = True) -> Script:
    script = Script().stage("load", at=0).add(0, at=1).cut(at=5).read([0], at=7)
    script.act("stop-partition", "partition", "stop", at=10, effective=heal)
    for number in range(tried):
        script.add(number + 1, at=20 + number * 2, type_="fail")
    script.stage("recovery", "recovered", "convergence", "final-reads", at=100)
    return script.read([0], at=110)


def test_a_system_that_takes_no_write_any_more_after_the_first_fault_is_invalid() -> None:
    verdict = judged(outage(10))
    assert (verdict.outcome, verdict.reason) == ("invalid", "no write succeeded any more after the first fault")
    assert verdict.witness is not None
    assert verdict.witness.data["tried"] == 10


@pytest.mark.parametrize("script", [outage(9), outage(10, heal=False)])
def test_too_few_failed_writes_or_a_heal_without_effect_only_make_it_doubtful(script: Script) -> None:
    verdict = judged(script)
    assert verdict.outcome == "unknown"
    assert "no write succeeded any more after the first fault" in verdict.reason


def test_one_write_that_was_ok_after_the_first_fault_is_enough() -> None:
    script = Script().stage("load", at=0).invoke(9, "add", "s0", 99, at=0).add(0, at=1).cut(at=5).heal(at=10)
    script.complete(9, "ok", 99, at=15)
    for number in range(10):
        script.add(number + 1, at=20 + number * 2, type_="fail")
    script.stage("recovery", "final-reads", at=100)
    assert judged(script.read([0, 99], at=110)).outcome == "valid"


def ended(**seen: object) -> Script:
    script = Script().stage("load", at=0).cut(at=1).add(1, at=5)
    stop = {"fault": "partition", "phase": "stop"}
    script.nemesis("stop-partition", stop, at=10)
    script.nemesis("stop-partition", {**stop, "evidence": {"effective": True, "detail": "seen", **seen}}, at=11)
    return script.stage("recovery", "recovered", "final-reads", at=20).read([1], at=40)


def test_a_fault_that_was_gone_before_it_was_ended_is_a_doubt() -> None:
    verdict = judged(ended(stood=False), "partition")
    assert verdict.outcome == "unknown"
    assert verdict.reason == "partition halves started at 0.001 s was gone before it was healed"
    assert judged(ended(stood=True), "partition").outcome == "valid"


def test_a_process_that_died_by_itself_is_invalid_and_named() -> None:
    verdict = judged(ended(stood=True, died=["n2"]))
    assert (verdict.outcome, verdict.reason) == ("invalid", "n2 died by itself; see its log")
    assert verdict.witness is not None
    assert verdict.witness.events == (5, 6)
    assert judged(ended(died=["n3", "n2"])).reason == "n2 and n3 died by themselves; see their logs"


def test_every_key_asked_in_the_end_needs_a_final_read_through_every_node() -> None:
    script = sound().read([1], at=50, node="n2").read([], at=60, key="s1", node="n1")
    verdict = judged(script.read(None, at=70, key="s1", node="n2", type_="fail"))
    assert (verdict.outcome, verdict.reason) == ("unknown", "s1 had no final read through n2")
    assert judged(script.read([], at=80, key="s1", node="n2")).outcome == "valid"


def test_a_fault_that_was_asked_for_and_never_started_is_named() -> None:
    verdict = judged(sound(), "partition", "kill")
    assert (verdict.outcome, verdict.reason) == ("unknown", "kill was asked for and never started")


def test_a_fault_of_which_nothing_shows_an_effect_counts_only_if_it_was_asked_for() -> None:
    script = Script().cut(at=1, effective=None).add(1, at=5).heal(at=10)
    assert judged(script).outcome == "valid"
    assert judged(script, "partition").reason == "nothing shows that partition took effect"


@pytest.mark.parametrize("error", [None, "ssh: no route to host"])
def test_an_action_without_effect_is_named_even_if_nobody_asked_for_it(error: str | None) -> None:
    script = sound().act("kill", "kill", "start", at=50, effective=error is not None, error=error, nodes=["n1"])
    verdict = judged(script, "partition")
    assert verdict.outcome == "unknown"
    assert verdict.reason == f"a fault had no effect: kill at 0.050 s: {error or 'what was seen'}"


def test_a_heal_without_effect_is_an_action_without_effect() -> None:
    script = Script().cut(at=1).add(1, at=5).act("stop-partition", "partition", "stop", at=10, effective=False)
    assert judged(script).outcome == "unknown"


def test_a_fault_that_struck_no_operation_is_named() -> None:
    script = Script().add(1, at=0).cut(at=5).heal(at=10).add(2, at=20)
    assert judged(script, "partition").reason == "partition overlapped no operation"


def test_an_operation_completed_under_the_fault_was_struck_by_it() -> None:
    script = Script().invoke(0, "add", "s0", 1, at=0).cut(at=5).complete(0, "ok", 1, at=8).heal(at=10)
    assert judged(script, "partition").outcome == "valid"


def test_a_poll_under_the_fault_is_no_operation() -> None:
    script = Script().add(1, at=0).cut(at=5).poll(["a"], at=7, node="n1").heal(at=10)
    assert judged(script, "partition").outcome == "unknown"


def test_a_node_without_final_read_is_named_where_the_history_has_stages() -> None:
    assert judged(sound().poll(["a"], at=50, node="n3")).reason == "n3 had no final read"
    killed = Script().stage("load", at=0).act("kill", "kill", "start", at=1, nodes=["n2"]).add(1, at=5)
    killed.stage("final-reads", at=30).read([1], at=40)
    assert judged(killed).reason == "n2 had no final read"
    assert judged(Script().add(1, at=0).poll(["a"], at=5, node="n3")).outcome == "valid"


def without_reads(f: str = "generate") -> Script:
    """A sound test of an object that has no reads."""
    script = Script().stage("load", at=0).cut(at=1)
    script.invoke(0, f, None, at=5).complete(0, "ok", 1, at=6)
    return script.heal(at=10).stage("recovery", "recovered", "final-reads", at=20)


def test_where_clients_have_no_reads_any_operation_of_the_end_shows_that_a_node_serves() -> None:
    script = without_reads()
    assert judged(script).reason == "no node was read at the end: it was not read after the last acknowledged write"
    script.invoke(1, "generate", None, at=30).complete(1, "ok", 2, at=31)
    assert judged(script, "partition").outcome == "valid"
    script.invoke(2, "generate", None, at=40, node="n2").complete(2, "fail", None, at=41)
    assert judged(script).reason == "n2 had no final read"


def test_where_clients_have_reads_no_other_operation_makes_up_for_them() -> None:
    script = without_reads("read").invoke(1, "generate", None, at=30).complete(1, "ok", 2, at=31)
    assert judged(script).outcome == "unknown"


def test_a_run_that_ended_before_its_final_reads_says_so() -> None:
    verdict = judged(Script().stage("load", at=0).add(1, at=5))
    assert verdict.reason == "no node was read at the end: the run ended before its final reads"


def test_no_recovery_is_invalid_whatever_else_is_doubtful() -> None:
    script = Script().stage("load", at=0).stage("recovery", at=5).stage("not-recovered", at=9000)
    verdict = judged(script, "partition", enough=10)
    assert (verdict.outcome, verdict.reason) == ("invalid", "the system did not recover after the last heal")
    assert verdict.witness is not None
    assert verdict.witness.events == (1, 2)


def test_a_history_whose_last_line_was_cut_off_is_unknown() -> None:
    history = History(sound().events, truncated=True)
    verdict = check("evidence", history, min_operations=1)
    assert (verdict.outcome, verdict.reason) == ("unknown", "the history's last line is cut off: the run was killed")


def test_a_lost_environment_is_a_doubt_and_no_outage_of_the_system_and_hides_no_death() -> None:
    verdict = judged(sound().stage("environment-lost", at=900))
    assert verdict.outcome == "unknown" and "the environment was lost" in verdict.reason
    assert judged(outage(10).stage("environment-lost", at=900)).outcome == "unknown"
    script = sound().act("kill", "kill", "start", at=900, nodes=["n1"])
    evidence = {"effective": True, "died": ["n2"]}
    script.nemesis("restart", {"fault": "kill", "phase": "stop", "nodes": ["n1"], "evidence": evidence}, at=910)
    assert judged(script.stage("environment-lost", at=950)).outcome == "invalid"
