from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from splitbrain.checkers import names
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import MODELS
from splitbrain.checkers.selection import _KINDS, fitting
from tests.checkers.lines import Lines
from tests.checkers.script import Script

VERSION = {"write": 1, "seen": []}


@pytest.mark.parametrize(
    ("lines", "checkers"),
    [
        (Lines().ok(0, "add", 1).ok(0, "read", None, [1]), {"lost-writes": {}}),
        (Lines().ok(0, "add", 1).ok(0, "read", None, 1), {"counter": {}}),
        (Lines().ok(0, "put", {"write": 1}, VERSION).ok(0, "read", None, [1]), {"lost-writes": {}, "siblings": {}}),
        (Lines().ok(0, "write", 1).ok(0, "read", None, 1), {"linearizable": {"model": "register"}}),
        (Lines().ok(0, "write", 1).ok(0, "cas", [1, 2]), {"linearizable": {"model": "cas-register"}}),
        (Lines().ok(0, "txn", [["append", "x", 1]]), {"transactions": {}}),
        (Lines().ok(0, "enqueue", 1).ok(0, "dequeue", None, 1), {"total-queue": {}}),
        (Lines().ok(0, "enqueue", 1).ok(0, "drain", None, [1]), {"total-queue": {}}),
        (Lines().ok(0, "transfer", {"from": 1, "to": 2, "amount": 3}).ok(0, "read", None, {"1": 2}), {"bank": {}}),
        (Lines().ok(0, "generate", None, 7), {"unique-ids": {}}),
        (Lines().ok(0, "add", 1).ok(0, "remove", 1), {"linearizable": {"model": "set"}}),
        (Lines("x").ok(0, "put", 1).ok(0, "get", None, 1), {"linearizable": {"model": "kv"}}),
        (Lines().ok(0, "push", 1).ok(0, "pop", None, 1), {"linearizable": {"model": "stack"}}),
        (
            Lines().ok(0, "put", {"write": 1}, VERSION).ok(0, "delete", {"write": 2}, {"write": 2, "seen": [1]}),
            {"lost-writes": {}, "siblings": {}},
        ),
        (Lines().ok(0, "add", "milk").ok(0, "checkout", None, ["milk"]), {"carts": {}}),
        (Lines().ok(0, "broadcast", 1).ok(0, "read", None, [1]), {"broadcast": {}}),
        (Lines().ok(0, "send", [["send", "x", 1]], [["send", "x", [0, 1]]]), {"kafka": {}}),
        (Lines("l").ok(0, "acquire", {"lease_ms": 50}, {"lease_ms": 50, "token": 1}), {"lock": {}}),
        (Lines().ok(0, "write", 1).ok(0, "read", None, [1]), {"causal-reverse": {}}),
        (Lines().ok(0, "txn", [["w", "x", 1]], {"txn": [["w", "x", 1]], "commit": 2}), {"transaction-order": {}}),
        (Lines().ok(0, "acquire").ok(0, "release"), {"linearizable": {"model": "mutex"}}),
        (
            Lines().ok(0, "write", [["w", "x", 1]]).ok(0, "read", [["r", "x", None]], [["r", "x", 1]]),
            {"long-fork": {}},
        ),
    ],
)
def test_the_operations_of_a_history_tell_its_checkers(lines: Lines, checkers: Mapping[str, Any]) -> None:
    assert fitting(lines.history).checkers == checkers


def test_polls_of_replicas_ask_for_convergence_beside_what_the_operations_ask_for() -> None:
    polled = Script().add(1, at=0).read([1], at=10).poll(["a"], at=20, node="n1")
    assert list(fitting(polled.history).checkers) == ["lost-writes", "convergence"]
    assert list(fitting(Script().poll(["a"], at=0, node="n1").history).checkers) == ["convergence"]


def test_a_read_that_failed_says_nothing_of_the_kind_of_object() -> None:
    lines = Lines().ok(0, "add", 1).fail(0, "read").crash(0, "read")
    assert list(fitting(lines.ok(1, "read", None, [1]).history).checkers) == ["lost-writes"]


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (Lines().ok(0, "add", 1).ok(0, "rotate", 1), r"\(add and rotate\)"),
        (Lines().ok(0, "add", 1), r"\(add\)"),
        (Lines().ok(0, "add", 1).ok(0, "read", None, [1]).ok(0, "read", None, 1), r"\(add and read\)"),
        (Lines().ok(0, "read", None, {"a": 1}), r"\(read\)"),
        (Lines().ok(0, "put", 1).ok(0, "read", None, 1), r"\(put and read\)"),
        (Lines().ok(0, "write", 1).ok(0, "add", 1), r"\(write and add\)"),
    ],
)
def test_operations_of_no_one_object_are_refused_by_name(lines: Lines, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        fitting(lines.history)


def test_a_history_without_operations_is_refused() -> None:
    with pytest.raises(ValueError, match="no operation of a client"):
        fitting(History([]))


def test_whatever_may_be_chosen_exists() -> None:
    for kind in _KINDS:
        assert set(kind.checkers) <= set(names())
        assert {options["model"] for options in kind.checkers.values() if "model" in options} <= set(MODELS)
