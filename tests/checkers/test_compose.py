from __future__ import annotations

import re
from concurrent.futures import BrokenExecutor
from typing import Any

import pytest

from splitbrain import checkers
from splitbrain.checkers.compose import compose, describe_error
from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import Call, Model
from splitbrain.checkers.verdict import Outcome, Verdict, Witness
from tests.checkers.script import Script

VALID = Verdict.valid("fine")
UNKNOWN = Verdict.unknown("no reads")
INVALID = Verdict.invalid("one lost", Witness("it was lost", (1,)))


@pytest.mark.parametrize(
    ("parts", "outcome", "reason"),
    [
        ({"a": VALID, "b": VALID}, Outcome.VALID, "2 checkers passed: a and b"),
        ({"a": VALID, "b": UNKNOWN}, Outcome.UNKNOWN, "b: no reads"),
        ({"a": UNKNOWN, "b": INVALID, "c": VALID}, Outcome.INVALID, "b: one lost"),
        ({"a": INVALID, "b": INVALID}, Outcome.INVALID, "a: one lost (also invalid: b)"),
        ({}, Outcome.UNKNOWN, "no checker was asked"),
    ],
)
def test_invalid_outranks_unknown_outranks_valid(parts: dict[str, Verdict], outcome: Outcome, reason: str) -> None:
    verdict = compose(parts, {})
    assert (verdict.outcome, verdict.reason) == (outcome, reason)
    assert verdict.parts == parts


def test_a_composed_anomaly_has_the_witness_of_the_checker_that_found_it() -> None:
    assert compose({"a": UNKNOWN, "b": INVALID}, {}).witness == INVALID.witness


def test_a_broken_checker_never_hides_an_anomaly_and_never_leaves_a_valid() -> None:
    broken = {"b": "KeyError: 'x'"}
    assert compose({"a": INVALID}, broken).outcome is Outcome.INVALID
    assert compose({"a": INVALID}, broken).broken == broken
    assert compose({"a": VALID}, broken).outcome is Outcome.UNKNOWN
    assert compose({}, broken).reason == "broken: b (KeyError: 'x')"


def test_a_checker_that_can_not_read_the_history_is_contained_and_the_others_still_count() -> None:
    # The reads are no lists: lost-writes can't judge them; latency can.
    history = Script().add(1, at=0).read({"not": "a list"}, at=5).history
    verdict = checkers.check_all(history, {"lost-writes": {}, "latency": {"sla_ms": 0.5}})
    assert verdict.outcome is Outcome.INVALID
    assert verdict.reason.startswith("latency: ")
    assert list(verdict.broken) == ["lost-writes"]
    assert verdict.broken["lost-writes"].startswith("line 4: an ok read of a set needs a list")


def test_an_error_that_the_caller_can_correct_is_reported_without_its_type() -> None:
    verdict = checkers.check_all(History([]), {"log-patterns": {"pattern": "("}})
    assert verdict.broken["log-patterns"].startswith("log-patterns: '(' is no regular expression")
    assert describe_error(KeyError("x")) == "KeyError: 'x'"
    assert describe_error(BrokenExecutor()).startswith("a worker process died (out of memory?); try one job")


class Leaving(Model):
    name = "leaving"

    def step(self, state: object, call: Call) -> tuple[object, ...]:
        raise SystemExit(0)


def test_a_model_that_ends_the_program_is_contained() -> None:
    history = History(
        [
            Event(0, 0, 0, "invoke", "write", None, 1),
            Event(1, 1, 0, "ok", "write", None, 1),
            Event(2, 2, 0, "invoke", "read"),
            Event(3, 3, 0, "ok", "read", None, 1),
        ]
    )
    verdict = checkers.check_all(history, {"linearizable": {"model": Leaving()}, "stats": {}})
    assert list(verdict.broken) == ["linearizable"]
    assert re.fullmatch(r"SystemExit: 0 at .*test_compose\.py:\d+", verdict.broken["linearizable"])
    assert list(verdict.parts) == ["stats"]


def test_a_wrong_name_or_option_raises_before_anything_is_judged() -> None:
    with pytest.raises(ValueError, match="no checker 'nonsense'"):
        checkers.check_all(History([]), {"latency": {}, "nonsense": {}})
    with pytest.raises(ValueError, match="no option 'sla'"):
        checkers.check_all(History([]), {"latency": {"sla": 1}})


@pytest.mark.parametrize("chosen", [["latency", "stats"], ("latency", "stats"), {"latency": {}, "stats": {}}])
def test_checkers_without_options_may_be_given_by_name_alone(chosen: Any) -> None:
    history = Script().add(1, at=0).read([1], at=5).history
    verdict = checkers.check_all(history, chosen)
    assert list(verdict.parts) == ["latency", "stats"]
    assert verdict.outcome is Outcome.VALID
    assert checkers.check_all(history, (name for name in chosen)) == verdict
    with pytest.raises(ValueError, match="no checker 'nonsense'"):
        checkers.check_all(history, [*chosen, "nonsense"])


@pytest.mark.parametrize(
    ("given", "shown"),
    [("stats", "'stats'"), (None, "None"), ([{"stats": {}}], "{'stats': {}}"), ({"stats": None}, "'stats': None")],
)
def test_what_is_neither_names_nor_options_by_name_says_what_is_wanted(given: Any, shown: str) -> None:
    with pytest.raises(TypeError) as caught:
        checkers.check_all(History([]), given)
    assert str(caught.value) == f"check_all takes names, such as ['stats'], or options by name; not {shown}"


def test_too_little_evidence_makes_the_whole_unknown_unless_something_is_invalid() -> None:
    fine = Script().add(1, at=0).read([1], at=5).history
    asked = {"lost-writes": {}, "evidence": {"min_operations": 10}}
    assert checkers.check_all(fine, asked).outcome is Outcome.UNKNOWN
    assert checkers.check_all(fine, asked).reason.startswith("evidence: ")
    lossy = Script().add(1, at=0).read([], at=5).history
    assert checkers.check_all(lossy, asked).outcome is Outcome.INVALID


def test_checkers_that_only_describe_do_not_make_the_whole_unknown() -> None:
    history = Script().add(1, at=0).read([1], at=5).history
    asked = {"lost-writes": {}, "latency": {}, "availability": {}, "evidence": {"min_operations": 2}}
    verdict = checkers.check_all(history, asked)
    assert verdict.outcome is Outcome.VALID
    assert verdict.reason == "4 checkers passed: lost-writes, latency, availability and evidence"
