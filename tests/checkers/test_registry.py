from __future__ import annotations

import json
from random import Random

import pytest

from splitbrain import checkers
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.verdict import Outcome
from tests.checkers import generate

EMPTY = History([])
# Those that judge histories of sets and versioned registers; the others have tests like these of their own.
MAIN = ("lost-writes", "siblings", "convergence", "availability", "latency", "evidence", "stats", "unhandled-errors")


def test_the_face_of_the_package_is_this_and_no_more() -> None:
    assert checkers.__all__ == [
        "Event",
        "History",
        "HistoryError",
        "Operation",
        "Outcome",
        "Verdict",
        "Witness",
        "catalogue",
        "check",
        "check_all",
        "edn_lines",
        "encode",
        "names",
        "read",
    ]
    assert all(hasattr(checkers, name) for name in checkers.__all__)


def test_the_catalogue_says_in_a_line_what_each_checker_judges() -> None:
    assert {*MAIN, "linearizable", "transactions", "sessions", "causal", "staleness"} <= set(checkers.names())
    assert tuple(checkers.catalogue()) == checkers.names()
    assert all(summary and "\n" not in summary for summary in checkers.catalogue().values())


def test_a_checker_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ValueError, match="there is no checker 'lost'; there are lost-writes, siblings"):
        checkers.check("lost", EMPTY)


def test_an_option_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ValueError, match="latency has no option 'sla'; it has sla_ms, percentile"):
        checkers.check("latency", EMPTY, sla=300)
    with pytest.raises(ValueError, match="lost-writes has no option 'strict'; it has none"):
        checkers.check("lost-writes", EMPTY, strict=True)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("siblings", {"max_siblings": "many"}),
        ("siblings", {"max_siblings": 0}),
        ("siblings", {"max_siblings": 1.5}),
        ("convergence", {"within_ms": -1}),
        ("availability", {"min_ok_rate": 99}),
        ("latency", {"sla_ms": "300"}),
        ("latency", {"percentile": 0}),
        ("evidence", {"faults": "partition"}),
        ("evidence", {"min_operations": 0}),
    ],
)
def test_an_option_of_the_wrong_type_or_range_is_refused_by_name(name: str, options: dict[str, object]) -> None:
    (option,) = options
    with pytest.raises(ValueError, match=f"{name}: option {option} can't be"):
        checkers.check(name, EMPTY, **options)


@pytest.mark.parametrize("name", checkers.names())
def test_every_checker_given_nothing_says_unknown_and_why(name: str) -> None:
    verdict = checkers.check(name, EMPTY)
    assert verdict.outcome is Outcome.UNKNOWN
    assert verdict.reason


@pytest.mark.parametrize("name", MAIN)
def test_every_verdict_can_be_written_as_json(name: str) -> None:
    for seed in range(100):
        verdict = checkers.check(name, generate.history(Random(seed), generate.SHAPES[seed % 2]))
        json.dumps(verdict.as_dict(), allow_nan=False)


@pytest.mark.parametrize("name", MAIN)
def test_the_events_of_every_witness_are_ascending_and_in_the_history(name: str) -> None:
    for seed in range(300):
        history = generate.history(Random(seed), generate.SHAPES[seed % 2])
        witness = checkers.check(name, history).witness
        if witness is not None:
            assert list(witness.events) == sorted(set(witness.events))
            assert witness.events
            assert witness.events[-1] < len(history.events)
