from __future__ import annotations

from checkers.final_reads import FinalReads
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


def test_without_stages_a_fault_left_standing_leaves_no_final_read() -> None:
    found = FinalReads.of(Script().cut(at=0).read([], at=3).history)
    assert (found.by_key, found.missing) == ({}, "partition halves stood until the end")
