"""The models: their steps, in tables worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from splitbrain.checkers.linearizability import MODELS
from splitbrain.checkers.linearizability.frozen_values import TRUE
from splitbrain.checkers.linearizability.model import Call
from tests.checkers.linearizability.calls_by_hand import crashed, known, refused

X1, X1_Y2 = (("x", 1),), (("x", 1), ("y", 2))
STEPS: list[tuple[str, Any, Call, tuple[Any, ...]]] = [
    ("register", None, known("write", 1, 1), (1,)),
    ("register", 2, known("write", 1), (1,)),
    ("register", 2, known("write", None), (None,)),
    ("register", 2, crashed("write", 1), (1,)),
    ("register", None, known("read", None, None), (None,)),
    ("register", 1, known("read", None, 1), (1,)),
    ("register", 1, known("read", None, 2), ()),
    ("register", 1, known("read", None, None), ()),
    ("register", 1, known("read", None, "1"), ()),
    ("register", 1, known("read", None, True), ()),
    ("register", TRUE, known("read", None, True), (TRUE,)),
    ("register", (1, (2,)), known("read", None, [1, [2]]), ((1, (2,)),)),
    ("register", 1, crashed("read"), (1,)),
    ("cas-register", 1, known("cas", [1, 2], [1, 2]), (2,)),
    ("cas-register", 1, known("cas", [1, 1]), (1,)),
    ("cas-register", 1, known("cas", [2, 3]), ()),
    ("cas-register", None, known("cas", [None, 3]), (3,)),
    ("cas-register", 1, known("cas", [True, 3]), ()),
    ("cas-register", 1, crashed("cas", [1, 2]), (2,)),
    ("cas-register", 1, crashed("cas", [2, 3]), ()),
    ("cas-register", 1, refused([1, 2]), ()),
    ("cas-register", 1, refused([2, 3]), (1,)),
    ("cas-register", 1, known("read", None, 1), (1,)),
    ("cas-register", 1, known("write", 2), (2,)),
    ("multi-register", (), known("txn", [["w", "x", 1]], [["w", "x", 1]]), (X1,)),
    ("multi-register", X1, known("txn", [["w", "y", 2], ["r", "x", None]], [["w", "y", 2], ["r", "x", 1]]), (X1_Y2,)),
    ("multi-register", X1, known("txn", [["r", "x", None]], [["r", "x", 1]]), (X1,)),
    ("multi-register", X1, known("txn", [["r", "x", None]], [["r", "x", None]]), ()),
    ("multi-register", X1, known("txn", [["r", "y", None]], [["r", "y", None]]), (X1,)),
    ("multi-register", X1, known("txn", [["r", "x", None]] * 2, [["r", "x", 1], ["r", "x", 2]]), ()),
    # A transaction sees its own write, and no later one of its own.
    ("multi-register", X1, known("txn", [["w", "x", 2], ["r", "x", None]], [["w", "x", 2], ["r", "x", 2]]), ((("x", 2),),)),
    ("multi-register", X1, known("txn", [["r", "x", None], ["w", "x", 2]], [["r", "x", 2], ["w", "x", 2]]), ()),
    ("multi-register", X1, crashed("txn", [["r", "x", 9], ["w", "y", 2]]), (X1_Y2,)),
    ("kv", "", known("get", None, ""), ("",)),
    ("kv", "", known("get", None, None), ("",)),
    ("kv", "a", known("get", None, None), ()),
    ("kv", "a", known("get", None, "a"), ("a",)),
    ("kv", "a", known("get", None, "ab"), ()),
    ("kv", "a", known("put", "b"), ("b",)),
    ("kv", "a", known("put", None), ("",)),
    ("kv", "a", known("append", "b", "b"), ("ab",)),
    ("kv", "", known("append", "b"), ("b",)),
    ("kv", "a", crashed("append", "b"), ("ab",)),
    ("kv", "a", crashed("get"), ("a",)),
    ("counter", 0, known("add", 5), (5,)),
    ("counter", 5, known("add", -7, -7), (-2,)),
    ("counter", 5, crashed("add", 1), (6,)),
    ("counter", 5, known("read", None, 5), (5,)),
    ("counter", 5, known("read", None, 4), ()),
    ("counter", 0, known("read", None, None), ()),
    ("counter", 1, known("read", None, True), ()),
    ("counter", 5, crashed("read"), (5,)),
    ("mutex", "free", known("acquire"), ("taken",)),
    ("mutex", "taken", known("acquire"), ()),
    ("mutex", "taken", known("release"), ("free",)),
    ("mutex", "free", known("release"), ()),
    ("mutex", "free", crashed("acquire"), ("taken",)),
    ("mutex", "taken", crashed("acquire"), ()),
    ("mutex", "taken", crashed("release"), ("free",)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "state", "call", "left"), STEPS)
def test_a_step_leaves_the_states_worked_out_by_hand(name: str, state: Any, call: Call, left: tuple[Any, ...]) -> None:
    assert tuple(MODELS[name].step(state, call)) == left


@pytest.mark.parametrize(
    ("name", "initial"),
    [("register", None), ("cas-register", None), ("multi-register", ()), ("kv", ""), ("counter", 0), ("mutex", "free")],
)
def test_an_object_starts_empty(name: str, initial: Any) -> None:
    assert MODELS[name].initial == initial
    assert MODELS[name].name == name
