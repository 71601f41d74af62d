from __future__ import annotations

import pytest

from splitbrain.checkers.eventual import staleness
from splitbrain.checkers.histories.event import HistoryError
from tests.checkers.golden_histories import load
from tests.checkers.script import Script
from tests.checkers.versions.register_script import Registers


def test_a_bound_that_is_met_is_valid_and_one_that_is_not_names_the_worst_read() -> None:
    history = load("staleness/versioned-stale")
    assert staleness.check(history, max_k=2, max_t_ms=15).outcome == "valid"
    verdict = staleness.check(history, max_k=1, max_t_ms=14.9)
    assert (verdict.outcome, verdict.reason) == (
        "invalid",
        "a read missed 2 acknowledged writes, more than the 1 allowed; a read was 15.0 ms stale, more than the 14.9 ms "
        "allowed",
    )
    assert verdict.witness is not None
    assert verdict.witness.text == (
        "process 0 was told at 0.025 s (n1) that 2 was written to x; process 1, asking 15.0 ms later at 0.040 s (n2), "
        "read [1], which misses that and 1 write acknowledged after it"
    )
    assert verdict.witness.events == (2, 3, 6, 7)


def test_shares_of_fresh_reads_add_up_with_what_is_allowed() -> None:
    script = Registers().write(0, 1).write(0, 2).write(0, 3).reads(1, 3, 2, 1, None)
    verdict = staleness.check(script.history)
    fresh = dict(map(tuple, verdict.evidence["k_fresh"]))  # type: ignore[arg-type]
    assert [fresh[k] for k in (0, 1, 2, 3)] == [0.25, 0.5, 0.75, 1.0]
    # 3 was acknowledged at 41 ms, 2 at 21 ms, 1 at 1 ms; the reads were invoked at 60, 80, 100 and 120 ms.
    late = dict(map(tuple, verdict.evidence["t_fresh"]))  # type: ignore[arg-type]
    assert [late[t] for t in (0, 20, 50, 100, 200)] == [0.25, 0.25, 0.5, 0.75, 1.0]
    assert verdict.evidence["k"]["p50"] == 1
    assert verdict.evidence["stale_t_ms"]["p50"] == 79.0


def test_a_write_that_was_not_acknowledged_is_never_missed() -> None:
    script = Registers().write(0, 1).write(0, 2, type_="info").write(3, 4, type_="fail").reads(1, 1)
    assert staleness.check(script.history).evidence["stale"] == 0


def test_a_write_acknowledged_after_the_read_was_invoked_is_not_missed() -> None:
    script = Registers().write(0, 1)
    script.invoke(1, "read", "x", at=100).write(0, 2).complete(1, "ok", 1, at=200)
    assert staleness.check(script.history).evidence["stale"] == 0


def test_a_stray_is_counted_and_not_judged() -> None:
    verdict = staleness.check(Registers().write(0, 1).reads(1, 7, 1).history)
    assert (verdict.evidence["strays"], verdict.evidence["reads"], verdict.outcome) == (1, 1, "valid")


def test_the_stalest_keys_are_reported_first() -> None:
    script = Registers().write(0, 1, "a").write(0, 1, "b").reads(1, 1, key="a").reads(1, None, key="b")
    assert list(staleness.check(script.history).evidence["keys"].items()) == [
        ("b", {"reads": 1, "stale": 1, "max_k": 1, "max_t_ms": 39.0}),
        ("a", {"reads": 1, "stale": 0, "max_k": 0, "max_t_ms": 0.0}),
    ]


def test_the_keys_1_and_string_1_are_reported_under_different_names() -> None:
    script = Registers().write(0, 1, 1).reads(0, 1, key=1).write(0, 1, "1").reads(0, 1, key="1")  # type: ignore[arg-type]
    assert sorted(staleness.check(script.history).evidence["keys"]) == ['"1"', "1"]


def test_the_run_is_cut_into_at_most_200_stretches() -> None:
    script = Registers().write(0, 1).reads(1, *[1] * 999, None)
    series = staleness.check(script.history).evidence["over_time"]
    assert series[0][0] == 20.0  # When the first read was invoked.
    assert 100 < len(series) <= 200
    assert sum(bucket[1] for bucket in series) == 1000
    assert [bucket[2:4] for bucket in series if bucket[2]] == [[1, 1]]


def test_what_may_be_covered_is_not_missed_and_what_came_too_late_is() -> None:
    script = Script().put(1, [], at=0).put(2, None, at=10, process=1).put(3, [], at=20)
    verdict = staleness.check(script.read([2], at=30, key="r0").history)
    assert verdict.evidence["k"]["max"] == 1


def test_an_operation_that_such_registers_do_not_have_is_refused() -> None:
    script = Registers().write(0, 1).op(0, "append", 1)
    with pytest.raises(HistoryError, match="line 3: a register with distinct writes has no operation 'append'"):
        staleness.check(script.history)
