"""Operations that a checker does not know: it refuses them by their line, or its rules declare them irrelevant.

What it passed over in silence could explain what it reports: an element that was removed is not lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from splitbrain import checkers
from splitbrain.checkers import History, HistoryError
from tests.checkers.lines import Lines

GOLDEN = Path(__file__).parent / "golden" / "eventual"
VERSION = {"write": 1, "seen": []}
# Each checker that judges certain operations only, with a history of these.
REFUSING: Mapping[str, list[Lines]] = {
    "lost-writes": [
        Lines("s").ok(0, "add", 1).ok(0, "read", None, [1]),
        Lines("r").ok(0, "put", {"write": 1}, VERSION).ok(0, "read", None, [1]),
    ],
    "carts": [Lines("c").ok(0, "add", 1).ok(0, "read", None, [1])],
    "siblings": [Lines("r").ok(0, "put", {"write": 1}, VERSION).ok(0, "read", None, [1])],
    "linearizable": [Lines("x").ok(0, "write", 1).ok(0, "read", None, 1)],
    "transactions": [
        Lines()
        .ok(0, "txn", [["append", "x", 1]], [["append", "x", 1]])
        .ok(0, "txn", [["r", "x", None]], [["r", "x", [1]]])
    ],
    "transaction-order": [Lines().ok(0, "txn", [["r", "x", None]], {"txn": [["r", "x", None]], "commit": 2})],
    "sessions": [Lines("x").ok(0, "write", 1).ok(0, "read", None, 1)],
    "causal": [Lines("x").ok(0, "write", 1).ok(0, "read", None, 1)],
    "staleness": [Lines("x").ok(0, "write", 1).ok(0, "read", None, 1)],
    "counter": [Lines("c").ok(0, "add", 1).ok(0, "read", None, 1)],
    "total-queue": [Lines("q").ok(0, "enqueue", 1).ok(0, "drain", None, [1])],
    "bank": [Lines().ok(0, "read", None, {"a": 1}).ok(0, "read", None, {"a": 1})],
    "long-fork": [Lines().ok(0, "txn", [["w", "x", 1]]).ok(0, "txn", [["r", "x", None]], [["r", "x", 1]])],
    "causal-reverse": [Lines().ok(0, "write", 1).ok(0, "read", None, [1])],
    "kafka": [Lines().ok(0, "send", [["send", "x", 1]], [["send", "x", [0, 1]]]).ok(0, "assign", ["x"])],
    "lock": [Lines("l").ok(0, "acquire", None, {"token": 1}).ok(0, "release", {"token": 1})],
    "broadcast": [Lines("m").ok(0, "broadcast", 1).ok(0, "read", None, [1])],
}
OPTIONS: Mapping[str, Mapping[str, str]] = {"linearizable": {"model": "register"}}
# Each checker to which the kind of operation is irrelevant, and why.
TAKES_ANY: Mapping[str, str] = {
    "siblings": "without a put it counts what polls of replicas show",
    "convergence": "it compares what polls of replicas show",
    "availability": "every operation is to be served",
    "latency": "every operation takes its time",
    "evidence": "every operation counts",
    "thresholds": "every operation takes its time, and is to be served",
    "stats": "every operation counts",
    "unhandled-errors": "every operation may fail",
    "log-patterns": "it reads logs",
    "unique-ids": "only generate gives out ids",
}


def golden(name: str) -> History:
    with (GOLDEN / name).open("rb") as lines:
        return checkers.read(lines)


def test_every_checker_says_what_it_does_with_operations_that_it_does_not_know() -> None:
    assert REFUSING.keys() | TAKES_ANY.keys() == set(checkers.names())


@pytest.mark.parametrize(("name", "known"), [(name, lines) for name, some in REFUSING.items() for lines in some])
@pytest.mark.parametrize("outcome", ["ok", "fail", "info"])
def test_an_operation_that_is_not_known_is_refused_by_its_line(name: str, known: Lines, outcome: str) -> None:
    history = known.history
    assert checkers.check(name, history, **OPTIONS.get(name, {})).outcome != "invalid"
    lines = Lines(known.key)
    lines.events = list(known.events)
    lines.invoke(7, "rotate", 1).complete(7, outcome, 1)
    with pytest.raises(HistoryError, match=r"'rotate'|process 7") as refused:
        checkers.check(name, lines.history, **OPTIONS.get(name, {}))
    assert refused.value.line == len(history.events) + 1


@pytest.mark.parametrize("name", TAKES_ANY)
def test_an_operation_to_which_a_checker_is_indifferent_changes_no_verdict(name: str) -> None:
    before = Lines("x").ok(0, "generate", None, 1).ok(0, "generate", None, 2)
    outcome = checkers.check(name, before.history).outcome
    assert checkers.check(name, before.ok(7, "rotate", 1).history).outcome == outcome


def test_an_element_that_was_removed_is_not_taken_for_lost() -> None:
    with pytest.raises(
        HistoryError, match="line 3: a set has no operation 'remove', asked by process 0; it has add, read"
    ):
        checkers.check("lost-writes", golden("set-remove.edn"))


def test_what_a_session_promises_of_a_deleted_register_is_not_guessed() -> None:
    with pytest.raises(
        HistoryError,
        match="line 4: a versioned register has no operation 'delete', asked by process 0; it has put and read",
    ):
        checkers.check("sessions", golden("registers-deleted.jsonl"))
