from __future__ import annotations

from splitbrain.checkers import check
from splitbrain.checkers.histories.final_reads import FinalReads, concluding_reads
from tests.checkers.script import Script


def final(script: Script) -> list[int]:
    """Invocation indices of the final reads."""
    return [read.invocation.index for reads in FinalReads.of(script.history).by_key.values() for read in reads]


def test_with_stages_a_final_read_is_invoked_after_the_stage_of_that_name() -> None:
    script = Script().stage("load", at=0).read([], at=1).invoke(1, "read", "s0", at=3)
    script.stage("final-reads", at=4).complete(1, "ok", [], at=5).read([], at=6)
    assert final(script) == [6]


def test_a_read_that_was_not_ok_is_no_final_read() -> None:
    assert final(Script().read(None, at=1, type_="info")) == []


def test_a_read_before_the_last_acknowledged_write_is_no_final_read() -> None:
    script = Script().stage("final-reads", at=0).read([], at=1).add(1, at=3).read([1], at=5)
    assert final(script) == [5]


def test_a_write_that_was_not_acknowledged_does_not_delay_final_reads() -> None:
    assert final(Script().read([], at=1).add(1, at=3, process=1, type_="info")) == [0]


def test_a_run_that_ended_before_its_final_reads_has_none() -> None:
    found = FinalReads.of(Script().stage("load", at=0).add(1, at=1).read([1], at=3).history)
    assert (found.by_key, found.missing) == ({}, "the run ended before its final reads")


def test_without_stages_they_come_after_the_last_nemesis_event() -> None:
    assert final(Script().cut(at=0).read([], at=3).heal(at=5).read([], at=8)) == [6]


def test_a_last_heal_without_effect_leaves_no_final_read_and_no_loss() -> None:
    script = Script().stage("load", at=0).cut(at=1).add(1, at=3)
    script.act("stop-partition", "partition", "stop", at=10, effective=False).stage("final-reads", at=20)
    found = FinalReads.of(script.read([], at=30).history)
    assert (found.by_key, found.missing) == ({}, "the last heal had no effect: stop-partition at 0.010 s")
    verdict = check("lost-writes", script.history)
    assert (verdict.outcome, verdict.evidence["lost"], verdict.evidence["never_read"]) == ("unknown", 0, 1)


def test_a_heal_without_effect_that_was_made_up_for_later_leaves_final_reads() -> None:
    script = Script().cut(at=1).act("stop-partition", "partition", "stop", at=10, effective=False).heal(at=20)
    assert len(final(script.read([], at=30))) == 1
    killed = Script().act("kill", "kill", "start", at=1, nodes=["n1", "n2"])
    killed.act("restart", "kill", "stop", at=10, nodes=["n1"], effective=False)
    killed.act("restart", "kill", "stop", at=20, nodes=["n2"])
    assert final(killed.read([], at=30)) == []


def test_a_restart_without_effect_hides_no_loss_once_every_node_has_answered() -> None:
    script = Script().stage("load", at=0).act("kill", "kill", "start", at=1, nodes=["n1"]).add(1, at=3)
    script.act("restart", "kill", "stop", at=10, nodes=["n1"], effective=False)
    assert final(Script().stage("recovered", at=0)) == []
    script.stage("recovery", "recovered", "final-reads", at=20).read([], at=30)
    assert len(final(script)) == 1
    assert check("lost-writes", script.history).outcome == "invalid"


def test_that_every_node_answers_does_not_heal_the_links_between_them() -> None:
    script = Script().stage("load", at=0).cut(at=1).add(1, at=3)
    script.act("stop-partition", "partition", "stop", at=10, effective=False)
    assert final(script.stage("recovered", "final-reads", at=20).read([], at=30)) == []


def test_where_the_environment_was_lost_what_is_missing_is_not_proven_to_be_lost() -> None:
    script = Script().stage("load", at=0).add(1, at=3).stage("recovered", "final-reads", at=20).read([], at=30)
    assert check("lost-writes", script.history).outcome == "invalid"
    found = check("lost-writes", script.stage("environment-lost", at=40).history)
    assert (found.outcome, found.evidence["never_read"]) == ("unknown", 1)
    assert "the environment was lost" in found.reason


def test_the_last_word_of_each_node_is_its_last_final_read() -> None:
    script = Script().read([1], at=0, node="n1").read([2], at=2, node="n2").read([3], at=4, node="n1")
    assert [read.value for read in concluding_reads(FinalReads.of(script.history).by_key["s0"])] == [[2], [3]]


def test_final_reads_of_a_node_that_overlap_are_all_concluding() -> None:
    script = Script().invoke(0, "read", "s0", at=0).invoke(1, "read", "s0", at=1)
    script.complete(1, "ok", [2], at=2).complete(0, "ok", [1], at=3)
    assert [read.value for read in concluding_reads(FinalReads.of(script.history).by_key["s0"])] == [[1], [2]]


def test_without_stages_a_fault_left_standing_leaves_no_final_read() -> None:
    found = FinalReads.of(Script().cut(at=0).read([], at=3).history)
    assert (found.by_key, found.missing) == ({}, "partition halves stood until the end")
