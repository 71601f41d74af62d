"""Several checkers on one history: one that refuses it is named, and takes nothing from the others."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from splitbrain.checkers import compose
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.invariants import bank, counter, total_queue, unique_ids
from splitbrain.checkers.registry import Checker
from splitbrain.checkers.service import log_patterns, stats, unhandled_errors
from splitbrain.checkers.verdict import Outcome, Verdict
from tests.checkers.lines import Lines


def crash(history: History) -> Verdict:
    raise RecursionError("too deep")


JUDGES: Mapping[str, Callable[..., Verdict]] = {
    "bank": bank.check,
    "counter": counter.check,
    "crash": crash,
    "log-patterns": log_patterns.check,
    "stats": stats.check,
    "total-queue": total_queue.check,
    "unhandled-errors": unhandled_errors.check,
    "unique-ids": unique_ids.check,
}


@pytest.fixture(autouse=True)
def _these_checkers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose, "find", lambda name: Checker(name, "for this test", JUDGES[name]))


def test_a_checker_that_refuses_the_history_is_named_with_the_line_and_the_others_still_count() -> None:
    history = Lines().ok(0, "add", 1).ok(0, "read", None, 2).history
    verdict = compose.check_all(history, {"bank": {}, "counter": {}, "stats": {}, "crash": {}, "unhandled-errors": {}})
    assert (verdict.outcome, verdict.reason) == (Outcome.INVALID, "counter: 1 of 1 read out of bounds, by up to 1")
    assert list(verdict.broken) == ["bank", "crash"]
    assert verdict.broken["bank"] == "line 1: a bank has no operation 'add', asked by process 0; it has read, transfer"
    line = inspect.getsourcelines(crash)[1] + 1
    assert verdict.broken["crash"].startswith("RecursionError: too deep at ")
    assert verdict.broken["crash"].endswith(f"test_composition.py:{line}")
    assert list(verdict.parts) == ["counter", "stats", "unhandled-errors"]


def test_what_a_refusing_checker_did_not_judge_is_not_valid() -> None:
    history = Lines().ok(0, "add", 1).ok(0, "read", None, 1).history
    verdict = compose.check_all(history, {"counter": {}, "total-queue": {}})
    assert verdict.outcome is Outcome.UNKNOWN
    assert verdict.reason.startswith("broken: total-queue (line 1: a queue has no operation 'add'")
    assert verdict.parts["counter"].outcome is Outcome.VALID


def test_a_pattern_that_is_no_regular_expression_is_that_checkers_failure_and_named() -> None:
    history = Lines().ok(0, "generate", None, 1).ok(0, "generate", None, 2).history
    verdict = compose.check_all(history, {"unique-ids": {}, "log-patterns": {"pattern": "(", "logs": {"n1": "x"}}})
    assert verdict.outcome is Outcome.UNKNOWN
    assert "at position 0" in verdict.broken["log-patterns"]
    assert verdict.parts["unique-ids"].outcome is Outcome.VALID


def test_an_option_of_the_wrong_type_raises_before_anything_is_judged() -> None:
    wrong: Mapping[str, Mapping[str, Any]] = {
        "log-patterns": {"logs": {"n1": 1}},
        "counter": {"initial": True},
        "bank": {"accounts": [True]},
        "total-queue": {"at_least_once": 1},
        "unhandled-errors": {"forbidden": "timeout"},
    }
    for name, options in wrong.items():
        with pytest.raises(ValueError, match=f"{name}: option .* can't be"):
            compose.check_all(Lines().history, {"stats": {}, name: options})
