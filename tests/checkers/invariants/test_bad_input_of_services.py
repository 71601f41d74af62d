"""Bad input to the checkers of logs, locks, broadcasts and causal reverses: refused with line, rule and operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.invariants import broadcast, causal_reverse, kafka, lock
from splitbrain.checkers.verdict import Verdict
from tests.checkers.lines import Lines

CHECKERS: Mapping[str, Callable[..., Verdict]] = {
    "broadcast": broadcast.check,
    "causal-reverse": causal_reverse.check,
    "kafka": kafka.check,
    "lock": lock.check,
}
OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "broadcast": ("broadcast", "read"),
    "causal-reverse": ("write", "read"),
    "kafka": ("send", "poll", "txn", "assign", "crash"),
    "lock": ("acquire", "release"),
}
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1.5, "x", [], [None], [[1]], [True], [1, {"a": []}], {}, {"a": 1}),
    *({"token": True}, {"token": 1}, {"lease_ms": 0}, {"lease_ms": "1"}, {"lease_ms": 1e999}),
    *([["send"]], [["send", "x", None]], [["send", [], 1]], [["send", "x", [1, 2]]], [["poll", 1, 2]]),
    *([["poll"]], [["poll", None]], [["poll", {"x": 1}]], [["poll", {"x": [[1]]}]], [["poll", {"x": [[True, 1]]}]]),
    *([["poll", {"x": [[0, {"a": 1}]]}]], [["poll", {"x": []}]], [["send", "x", {"a": []}]]),
)


def sent(asked: Any, got: Any = None) -> Lines:
    return Lines().ok(0, "send", asked, got)


def polled(got: Any) -> Lines:
    return Lines().ok(0, "poll", [["poll"]], got)


ONE = [["send", "x", 1]]
# checker, history, line, what the refusal says of rule and operation
REFUSED: list[tuple[str, Lines, int, str]] = [
    ("causal-reverse", Lines().crash(0, "write", None), 1, "a write needs a value; 'write' of process 0 has null"),
    ("causal-reverse", Lines().ok(0, "write", 1).ok(1, "write", 1), 3, "written once, and this one was by line 1"),
    ("causal-reverse", Lines().ok(0, "read", None, 7), 2, "needs a list of the values that it saw; 'read'"),
    (
        "broadcast",
        Lines().ok(0, "broadcast", None),
        1,
        "a broadcast needs a message; 'broadcast' of process 0 has null",
    ),
    ("broadcast", Lines().ok(0, "broadcast", 1).ok(1, "broadcast", 1), 3, "broadcast once, and this one was by line 1"),
    ("broadcast", Lines().ok(0, "read", None, {"a": 1}), 2, "an ok read needs a list of messages; 'read'"),
    ("lock", Lines("l").ok(0, "acquire", 5), 1, 'a lock needs {"lease_ms", "token"}, or null; \'acquire\''),
    ("lock", Lines("l").ok(0, "acquire", {"lease": 5}), 1, 'a lock needs {"lease_ms", "token"}, or null'),
    ("lock", Lines("l").ok(0, "acquire", {"lease_ms": 0}), 1, "a lease needs a number of milliseconds above 0"),
    ("lock", Lines("l").ok(0, "acquire", {"lease_ms": True}), 1, "a lease needs a number of milliseconds above 0"),
    ("lock", Lines("l").ok(0, "acquire", None, {"token": "7"}), 2, "a fencing token needs an integer; 'acquire'"),
    ("kafka", sent(None), 1, 'an operation on logs needs a list of ["send", key, value] and ["poll"]'),
    ("kafka", sent([["send", "x", None]]), 1, "an operation on logs needs a list"),
    ("kafka", sent([["append", "x", 1]]), 1, "an operation on logs needs a list"),
    ("kafka", sent(ONE, [["send", "x", [0, 2]]]), 2, "needs the micro-operations of its invocation, with offsets"),
    ("kafka", sent(ONE, [["send", "y", [0, 1]]]), 2, "needs the micro-operations of its invocation, with offsets"),
    ("kafka", sent(ONE, [["poll", {}]]), 2, "needs the micro-operations of its invocation, with offsets"),
    ("kafka", sent(ONE).ok(1, "send", ONE), 3, "sent to a log once, and 1 was to \"x\" by line 1; 'send' of process 1"),
    ("kafka", polled([["poll", None]]), 2, "the answer to a poll needs an object of lists of [offset, value]"),
    ("kafka", polled([["poll", {"x": [["0", 1]]}]]), 2, "the answer to a poll needs an object of lists"),
]


@pytest.mark.parametrize(("name", "lines", "line", "said"), REFUSED)
def test_what_breaks_a_rule_is_refused_with_line_rule_and_operation(
    name: str, lines: Lines, line: int, said: str
) -> None:
    with pytest.raises(HistoryError) as refused:
        CHECKERS[name](lines.history)
    assert refused.value.line == line
    assert said in refused.value.problem


@pytest.mark.parametrize(("name", "f"), [(name, f) for name, fs in OPERATIONS.items() for f in fs])
def test_whatever_the_values_are_a_checker_judges_or_refuses(name: str, f: str) -> None:
    """No value of any shape makes it fail in any other way."""
    judged = 0
    for asked in VALUES:
        begun = [Lines("k").crash(0, f, asked), Lines("k").fail(0, f, asked)]
        for got in VALUES:
            for lines in (*begun, Lines("k").ok(0, f, asked, got)):
                lines.nemesis("stage", "final-reads").ok(3, OPERATIONS[name][1], got, got)
                try:
                    verdict = CHECKERS[name](lines.history)
                except HistoryError as refused:
                    assert 1 <= refused.line <= len(lines.events)
                else:
                    assert verdict.reason
                    judged += 1
            begun = []
    assert judged
