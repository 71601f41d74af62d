from __future__ import annotations

import pytest

from splitbrain.checkers import causal
from tests.checkers.golden_histories import load
from tests.checkers.script import Script
from tests.checkers.versions.register_script import Registers


def found(verdict: object) -> dict[str, int]:
    return {pattern: number for pattern, number in verdict.evidence["patterns"].items() if number}  # type: ignore[attr-defined]


def test_each_level_looks_for_its_own_patterns() -> None:
    history = load("sessions/distinct-forwards")
    asked = {level: set(causal.check(history, level=level).evidence["patterns"]) for level in ("cc", "ccv", "cm")}
    basis = {"ThinAirRead", "CyclicCO", "WriteCOInitRead", "WriteCORead"}
    assert asked == {"cc": basis, "ccv": basis | {"CyclicCF"}, "cm": basis | {"CyclicHB", "WriteHBInitRead"}}


def test_reads_of_unwritten_keys_leave_the_verdict_unknown() -> None:
    script = Registers().write(0, 1).reads(1, None, None, key="y").write(0, 2, "y", type_="fail")
    verdict = causal.check(script.history)
    assert (verdict.outcome, verdict.reason) == ("unknown", "no key that was written was read")
    assert (verdict.evidence["reads"], verdict.evidence["reads_of_written"]) == (2, 0)
    assert causal.check(script.reads(2, 1).history).outcome == "valid"


def test_reads_of_a_key_with_only_indeterminate_puts_leave_the_verdict_unknown() -> None:
    script = Script().put(1, [], at=0, key="x").put(2, [], at=10, type_="info", process=1, key="y")
    script.read([], at=20, process=2, key="y")
    assert causal.check(script.history).outcome == "unknown"
    assert causal.check(script.read([2], at=30, process=2, key="y").history).outcome == "valid"


def test_one_read_is_and_two_are() -> None:
    script = Registers().write(0, 1).reads(1, 1)
    assert causal.check(script.history).reason == "1 read of 1 write is causally consistent"
    assert causal.check(script.reads(1, 1).history).reason == "2 reads of 1 write are causally consistent"


def test_causality_passes_through_other_keys_and_sessions() -> None:
    script = Registers().write(0, 1).write(0, 2).reads(1, 2).write(1, 3, "y").reads(2, 3, key="y").reads(2, 1)
    verdict = causal.check(script.history)
    assert found(verdict) == {"WriteCORead": 1}
    assert verdict.witness is not None
    assert verdict.witness.text == (
        "process 0 wrote 2 to x at 0.020 s (n1); then process 1 read 2 from x at 0.040 s (n1); then process 1 wrote 3 to "
        "y at 0.060 s (n1); then process 2 read 3 from y at 0.080 s (n1); then process 2 read 1 from x at 0.100 s (n1), "
        "though 1 is causally before 2, and that before this read"
    )


def test_every_read_that_shows_a_pattern_is_counted_once() -> None:
    script = Registers().write(0, 1).write(0, 2).write(1, 5).reads(1, 2, 1, 1)
    assert found(causal.check(script.history)) == {"WriteCORead": 2}


def test_a_witness_omits_the_steps_within_a_session_that_do_not_matter() -> None:
    script = Registers().write(0, 1).reads(0, None, None, key="z").write(0, 2, "y").reads(1, 2, key="y").reads(1, None)
    verdict = causal.check(script.history)
    assert verdict.witness is not None
    assert verdict.witness.text.count("process 0 read") == 0
    assert verdict.witness.text.endswith("read nothing from x at 0.100 s (n1): the write is causally before that read")


def test_the_weaker_pattern_is_reported_where_a_stronger_level_was_asked_for() -> None:
    for level in ("ccv", "cm"):
        verdict = causal.check(load("sessions/distinct-backwards"), level=level)
        assert found(verdict) == {"WriteCORead": 1}
        assert "CyclicCF" not in verdict.evidence["patterns"] and "CyclicHB" not in verdict.evidence["patterns"]


def test_what_follows_from_happened_before_counts_as_before_in_turn() -> None:
    # Process 9 read b = 2 after it had seen b = 1, so that 1 comes before 2; and then x = 1, written before b = 1, comes
    # before x = 2, written after b = 2 was.
    script = Registers().write(0, 1, "x").write(0, 1, "b").write(1, 2, "b").write(1, 2, "x")
    script.reads(9, 1, key="b").reads(9, 2, key="b").reads(9, 2, key="x")
    assert causal.check(script.history, level="cm").outcome == "valid"
    assert found(causal.check(script.reads(9, 1, key="x").history, level="cm")) == {"CyclicHB": 1}


def test_the_witness_shows_the_cycle_of_conflicts() -> None:
    verdict = causal.check(load("sessions/distinct-orders-differ"), level="ccv")
    assert verdict.witness is not None
    assert verdict.witness.text == (
        "no one order of the writes explains every read: process 0 wrote 1 to x at 0.010 s (n1); that must come before "
        "the one by which process 1 wrote 2 to x at 0.020 s (n2), for process 0 read 2 from x at 0.030 s (n1); that must "
        "come before the one by which process 0 wrote 1 to x at 0.010 s (n1), for process 1 read 1 from x at 0.040 s (n2)"
    )
    assert [edge["why"] for edge in verdict.witness.data["edges"]] == ["conflict", "conflict"]


def test_no_read_has_to_cover_a_failed_put() -> None:
    script = Script().put(1, [], at=0, type_="fail").put(2, [], at=10).read([2], at=20, key="r0")
    assert causal.check(script.history).outcome == "valid"


def test_what_a_writer_had_seen_is_causally_before_its_write() -> None:
    script = Script().put(1, [], at=0, key="x").put(2, [], at=10, key="y").put(3, [2], at=20, process=1, key="y")
    script.read([3], at=30, process=2, key="y").read([], at=40, process=2, key="x")
    verdict = causal.check(script.history)
    assert found(verdict) == {"WriteCOInitRead": 1}
    assert verdict.witness is not None
    assert "process 1, having seen 2, put 3 to y" in verdict.witness.text


def test_where_no_put_says_what_it_had_seen_a_read_is_unprovable() -> None:
    script = Script().put(1, [], at=0).put(2, None, at=10, process=1).read([2], at=20, key="r0")
    verdict = causal.check(script.history)
    assert (verdict.outcome, verdict.evidence["unprovable"]) == ("unknown", 1)


@pytest.mark.parametrize("level", ["cc", "ccv", "cm"])
def test_an_unread_indeterminate_write_constrains_no_read(level: str) -> None:
    script = Registers().write(0, 1, type_="info").write(1, 2).reads(2, 2, 2)
    assert causal.check(script.history, level=level).outcome == "valid"  # type: ignore[arg-type]
