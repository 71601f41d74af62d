"""Bad input: what breaks a rule of its object is refused with the line, the rule and the operation.

What the field takes for an anomaly is judged as one: those cases are the second table. What no object has (a completion
without an invocation, two open operations of a process, a type that there isn't) is refused by `History.parse`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from splitbrain.checkers.eventual import convergence, lost_writes, siblings
from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.invariants import bank, counter, long_fork, total_queue, unique_ids
from splitbrain.checkers.service import availability, evidence, latency, log_patterns, stats, unhandled_errors
from splitbrain.checkers.verdict import Verdict
from tests.checkers.lines import Lines

CHECKERS: Mapping[str, Callable[..., Verdict]] = {
    "availability": availability.check,
    "bank": bank.check,
    "convergence": convergence.check,
    "counter": counter.check,
    "evidence": evidence.check,
    "latency": latency.check,
    "log-patterns": log_patterns.check,
    "long-fork": long_fork.check,
    "lost-writes": lost_writes.check,
    "siblings": siblings.check,
    "stats": stats.check,
    "total-queue": total_queue.check,
    "unhandled-errors": unhandled_errors.check,
    "unique-ids": unique_ids.check,
}
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1.5,
    "x",
    [],
    [None],
    [[1]],
    [True],
    [1, {"a": []}],
    {},
    {"write": [1]},
    {"a": 1},
)


def put(asked: Any, got: Any = None) -> Lines:
    return Lines("r0").ok(0, "put", {"write": 9}, {"write": 9, "seen": []}).ok(0, "put", asked, got)


def read(asked: Any, got: Any) -> Lines:
    return Lines().ok(0, "txn", asked, got)


def transfer(value: Any) -> Lines:
    return Lines().ok(0, "transfer", value)


def killed(nodes: Any, **seen: Any) -> Lines:
    value = {"fault": "kill", "phase": "stop", "nodes": nodes}
    lines = Lines().ok(0, "add", 1).nemesis("restart", value)
    return lines.nemesis("restart", {**value, "evidence": {"effective": True, **seen}})


FAULTY = ("availability", "convergence", "evidence", "latency", "lost-writes")

# checkers, history, line, what the refusal says of rule and operation
REFUSED: list[tuple[str | tuple[str, ...], Lines, int, str]] = [
    (
        "counter",
        Lines().ok(0, "add", 1).ok(0, "add", "1"),
        3,
        "an add to a counter needs an integer; 'add' of process 0",
    ),
    ("counter", Lines().ok(0, "add", True), 1, "needs an integer; 'add' of process 0 has true"),
    ("counter", Lines().ok(0, "add", 1.0), 1, "needs an integer; 'add' of process 0 has 1.0"),
    ("counter", Lines().fail(0, "add", None), 1, "needs an integer; 'add' of process 0 has null"),
    ("counter", Lines().ok(0, "read", None, None), 2, "an ok read of a counter needs an integer; 'read' of process 0"),
    ("counter", Lines().ok(0, "read", None, False), 2, "needs an integer; 'read' of process 0 has false"),
    ("counter", Lines().ok(0, "add", 1).ok(3, "reset"), 3, "a counter has no operation 'reset', asked by process 3"),
    ("total-queue", Lines().crash(0, "enqueue", None), 1, "an enqueue needs a value; 'enqueue' of process 0 has null"),
    (
        "total-queue",
        Lines().ok(0, "drain", None, None),
        2,
        "an ok drain needs a list of values, none of them null; 'drain'",
    ),
    ("total-queue", Lines().ok(0, "drain", None, {"1": 1}), 2, "needs a list of values, none of them null; 'drain' of"),
    ("total-queue", Lines().ok(0, "drain", None, [1, None]), 2, "'drain' of process 0 has [1, null]"),
    (
        "total-queue",
        Lines().ok(0, "peek", None, 1),
        1,
        "a queue has no operation 'peek', asked by process 0; it has enqueue",
    ),
    (
        "unique-ids",
        Lines().ok(0, "generate", None, None),
        2,
        "an ok generate needs an id; 'generate' of process 0 has null",
    ),
    (
        "bank",
        Lines().ok(0, "read", None, None),
        2,
        "an ok read of a bank needs balances by account; 'read' of process 0",
    ),
    ("bank", Lines().ok(0, "read", None, 7), 2, "needs balances by account; 'read' of process 0 has 7"),
    ("bank", Lines().ok(0, "read", None, [1, 2]), 2, "needs balances by account; 'read'"),
    ("bank", Lines().ok(0, "read", None, [[True, 2]]), 2, "needs balances by account; 'read'"),
    ("bank", Lines().ok(0, "read", None, [[[1], 2]]), 2, "needs balances by account; 'read'"),
    ("bank", Lines().ok(0, "read", None, [["a", 1], ["a", 2]]), 2, "each account once and not a twice; 'read'"),
    ("bank", Lines().ok(0, "read", None, [["1", 1], [1, 2]]), 2, "each account once and not 1 twice; 'read'"),
    ("bank", Lines().ok(0, "read", None, {"a": True}), 2, "every one an integer or null; 'read' of process 0"),
    ("bank", Lines().ok(0, "read", None, {"a": 0.5}), 2, "every one an integer or null; 'read'"),
    ("bank", Lines().ok(0, "read", None, {"a": []}), 2, "every one an integer or null; 'read'"),
    ("bank", transfer(None), 1, 'a transfer needs {"from", "to", "amount"}; \'transfer\' of process 0 has null'),
    ("bank", transfer({"from": "a", "to": "b"}), 1, 'a transfer needs {"from", "to", "amount"}; \'transfer\''),
    ("bank", transfer({"from": "a", "to": ["b"], "amount": 1}), 1, "a transfer needs names of accounts"),
    ("bank", transfer({"from": "a", "to": True, "amount": 1}), 1, "a transfer needs names of accounts"),
    ("bank", transfer({"from": "a", "to": "b", "amount": "1"}), 1, "an amount that is an integer; 'transfer'"),
    ("bank", Lines().ok(0, "deposit", 5), 1, "a bank has no operation 'deposit', asked by process 0; it has read"),
    ("long-fork", read(None, None), 1, "a transaction needs either one write"),
    ("long-fork", read([], []), 1, "a transaction needs either one write"),
    ("long-fork", read("rw", None), 1, "a transaction needs either one write"),
    ("long-fork", read([["r", "x"]], None), 1, "a transaction needs either one write"),
    ("long-fork", read([["append", "x", 1]], None), 1, "a transaction needs either one write"),
    ("long-fork", read([[["r"], "x", 1]], None), 1, "a transaction needs either one write"),
    ("long-fork", read([["r", True, None]], None), 1, "a transaction needs either one write"),
    ("long-fork", read([["r", ["x"], None]], None), 1, "a transaction needs either one write"),
    ("long-fork", read([["w", "x", None]], None), 1, "a transaction needs either one write"),
    ("long-fork", read([["w", "x", 1], ["w", "y", 1]], None), 1, "a transaction needs either one write"),
    ("long-fork", read([["w", "x", 1], ["r", "y", None]], None), 1, "a transaction needs either one write"),
    (
        "long-fork",
        read([["r", "x", None], ["r", "x", None]], None),
        1,
        "reads [\"r\", key, null] of different keys; 'txn'",
    ),
    ("long-fork", read([["r", "x", None]], None), 2, "a transaction needs either one write"),
    (
        "long-fork",
        read([["r", "x", None]], [["r", "y", 1]]),
        2,
        "a completed read needs the keys that it was asked for",
    ),
    (
        "long-fork",
        read([["r", "x", None]], [["w", "x", 1]]),
        2,
        "a completed read needs the keys that it was asked for",
    ),
    ("long-fork", Lines().ok(0, "read", [["w", "x", 1]]), 1, "a read does nothing else; 'read' of process 0"),
    ("long-fork", Lines().ok(0, "write", [["r", "x", 1]]), 1, "a write does nothing else; 'write' of process 0"),
    ("long-fork", Lines().ok(0, "cas", [1, 2]), 1, "a long-fork history has no operation 'cas', asked by process 0"),
    (
        "long-fork",
        Lines().crash(0, "write", [["w", "x", 1]]).ok(1, "write", [["w", "x", 2]]),
        3,
        'a key is written once, and "x" was by line 1; \'write\' of process 1 has [["w", "x", 2]]',
    ),
    ("lost-writes", Lines("s0").ok(0, "add", 1).ok(0, "read", None, None), 4, "an ok read of a set needs a list"),
    (("lost-writes", "siblings"), put(None), 3, 'a put needs a value {"write": id}, has None'),
    (("lost-writes", "siblings"), put({"write": True}), 3, 'a put needs a value {"write": id}'),
    (("lost-writes", "siblings"), put({"write": "1"}), 3, 'a put needs a value {"write": id}'),
    (("lost-writes", "siblings"), put({"write": [1]}), 3, 'a put needs a value {"write": id}'),
    (("lost-writes", "siblings"), put({"write": 9}), 3, "write 9 is put a second time; ids must be unique"),
    (("lost-writes", "siblings"), put({"write": 1}, {"write": 1, "seen": 9}), 4, 'the "seen" of a put needs a list'),
    (
        ("lost-writes", "siblings"),
        put({"write": 1}, {"write": 1, "seen": [True]}),
        4,
        'the "seen" of a put needs a list',
    ),
    (
        ("lost-writes", "siblings"),
        put({"write": 1}, {"write": 1, "seen": [[9]]}),
        4,
        'the "seen" of a put needs a list',
    ),
    (
        ("lost-writes", "siblings"),
        put({"write": 1}, {"write": 1, "seen": [2]}).ok(0, "put", {"write": 2}),
        4,
        "write 1 had seen 2, which was invoked only after it was completed",
    ),
    (("lost-writes", "siblings"), put({"write": 1}).ok(0, "read", None, 1), 6, "an ok read needs a list of write ids"),
    (
        ("lost-writes", "siblings"),
        put({"write": 1}).ok(0, "read", None, [True]),
        6,
        "an ok read needs a list of write ids",
    ),
    (
        ("lost-writes", "siblings"),
        put({"write": 1}).ok(0, "read", None, [[1]]),
        6,
        "an ok read needs a list of write ids",
    ),
]
POLLED: list[tuple[Any, str]] = [
    (None, "an ok replica poll needs a list of versions, has None"),
    (5, "an ok replica poll needs a list of versions, has 5"),
    ({"versions": "a"}, "an ok replica poll needs a list of versions"),
    ({"versions": [["a"]]}, "the id of a version is a string or an integer, not ['a']"),
    ({"versions": [{"a": 1}]}, "the id of a version is a string or an integer, not {'a': 1}"),
    ({"versions": [True]}, "the id of a version is a string or an integer, not True"),
    ({"versions": [None]}, "the id of a version is a string or an integer, not None"),
    ({"versions": ["a"], "values": [1, 2]}, "needs a value for each version, has [1, 2]"),
    ({"versions": ["a"], "values": {"a": 1}}, "needs a value for each version, has {'a': 1}"),
    ({"versions": ["a"], "home": "no"}, "says at \"home\" true or false, has 'no'"),
]


def through_n1(lines: Lines) -> History:
    return History([msgspec.structs.replace(event, node="n1") for event in lines.events])


def judged(name: str, lines: Lines) -> Verdict:
    return CHECKERS[name](lines.history)


@pytest.mark.parametrize(
    ("name", "lines", "line", "said"),
    [(name, *rest) for names, *rest in REFUSED for name in ((names,) if isinstance(names, str) else names)],
)
def test_what_breaks_a_rule_is_refused_with_line_rule_and_operation(
    name: str, lines: Lines, line: int, said: str
) -> None:
    with pytest.raises(HistoryError) as refused:
        judged(name, lines)
    assert refused.value.line == line
    assert said in refused.value.problem


@pytest.mark.parametrize(("value", "said"), POLLED)
@pytest.mark.parametrize("name", ["siblings", "convergence"])
def test_an_answer_to_a_poll_that_is_none_is_refused(name: str, value: Any, said: str) -> None:
    with pytest.raises(HistoryError) as refused:
        CHECKERS[name](through_n1(Lines("s0").ok(0, "replica", None, value)))
    assert refused.value.line == 2
    assert said in refused.value.problem


@pytest.mark.parametrize("name", ["siblings", "convergence"])
def test_a_poll_that_names_no_node_is_refused(name: str) -> None:
    with pytest.raises(HistoryError, match="line 2: a replica poll names no node"):
        judged(name, Lines("s0").ok(0, "replica", None, {"versions": []}))


@pytest.mark.parametrize("name", FAULTY)
@pytest.mark.parametrize(
    ("lines", "line", "said"),
    [
        (killed([["n1"]]), 3, "the nodes of a fault need a list of names; 'restart' of the nemesis has [['n1']]"),
        (killed("n1"), 3, "the nodes of a fault need a list of names"),
        (killed({"n1": 1}), 3, "the nodes of a fault need a list of names"),
        (killed([1]), 3, "the nodes of a fault need a list of names"),
        (killed(["n1"], died=[["n2"]]), 4, "the died of a fault need a list of names"),
        (killed(["n1"], died=5), 4, "the died of a fault need a list of names"),
    ],
)
def test_nodes_of_a_fault_that_are_no_names_are_refused(name: str, lines: Lines, line: int, said: str) -> None:
    with pytest.raises(HistoryError) as refused:
        judged(name, lines)
    assert refused.value.line == line
    assert said in refused.value.problem


# checker, history, verdict, and the count that says so
JUDGED: list[tuple[str, Lines, str, str]] = [
    ("lost-writes", Lines("s0").ok(0, "add", 1).ok(0, "read", None, [1, 1]), "invalid", "duplicated"),
    ("lost-writes", Lines("s0").ok(0, "add", 1).ok(0, "read", None, [1, 2]), "invalid", "unexpected"),
    ("lost-writes", Lines("s0").ok(0, "add", 1).ok(0, "read", None, [1, "1"]), "invalid", "unexpected"),
    ("lost-writes", Lines("r0").ok(0, "put", {"write": 1}).ok(0, "read", None, [1, 2]), "invalid", "unexpected"),
    ("total-queue", Lines().ok(0, "enqueue", 1).ok(0, "drain", None, [1, 1]), "invalid", "duplicated"),
    ("total-queue", Lines().ok(0, "enqueue", 1).ok(0, "drain", None, [1, True]), "invalid", "unexpected"),
    ("unique-ids", Lines().ok(0, "generate", None, 1).ok(0, "generate", None, 1), "invalid", "duplicated"),
    ("bank", Lines().ok(0, "read", None, {"a": 1}).ok(0, "read", None, {}), "invalid", "bad_reads"),
    ("bank", Lines().ok(0, "read", None, {"a": 1}).ok(0, "read", None, {"a": None}), "invalid", "bad_reads"),
    ("long-fork", read([["r", "x", None]], [["r", "x", 1]]), "invalid", "unexpected"),
    ("stats", Lines().ok(0, "what", [True]), "valid", "ok"),
    ("unhandled-errors", Lines().fail(0, "what", {}, ": no code"), "valid", "errors"),
    ("latency", Lines().ok(0, "what", [True]), "valid", "operations"),
    ("availability", Lines().ok(0, "what", [True]), "valid", "operations"),
]


@pytest.mark.parametrize(("name", "lines", "outcome", "counted"), JUDGED)
def test_what_the_field_takes_for_an_anomaly_or_for_nothing_is_judged(
    name: str, lines: Lines, outcome: str, counted: str
) -> None:
    verdict = judged(name, lines)
    assert (verdict.outcome, verdict.evidence[counted]) == (outcome, 1)


@pytest.mark.parametrize("name", CHECKERS)
@pytest.mark.parametrize(
    "f",
    ["add", "read", "put", "replica", "enqueue", "dequeue", "drain", "generate", "transfer", "txn", "write", "what"],
)
def test_whatever_the_values_are_a_checker_judges_or_refuses(name: str, f: str) -> None:
    """No value of any shape makes it fail in any other way, nor a nemesis that says strange things."""
    for asked in VALUES:
        for got in VALUES:
            lines = Lines("k").ok(0, "add", 1).ok(0, f, asked, got).ok(0, "read", None, got).crash(1, f, asked)
            lines.nemesis("stage", asked).nemesis(f, {"fault": asked, "phase": got, "evidence": asked})
            lines.nemesis(f, {"fault": asked, "phase": "stop", "nodes": got, "evidence": {"died": asked}})
            try:
                verdict = CHECKERS[name](through_n1(lines))
            except HistoryError as refused:
                assert 1 <= refused.line <= len(lines.events)
            else:
                assert verdict.reason
