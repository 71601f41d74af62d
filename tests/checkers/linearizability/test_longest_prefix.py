"""The longest linearizable prefix as data, and what a model of one's own says of the call that it refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.register_histories import distinct_writes, register_history
from splitbrain.checkers import check
from splitbrain.checkers.linearizability import Call, Model, Refused
from splitbrain.checkers.linearizability.frozen_values import freeze
from tests.checkers.lines import Lines


def prefix(lines: Lines, model: str) -> dict[str, Any]:
    verdict = check("linearizable", lines.history, model=model)
    assert verdict.outcome == "invalid" and verdict.witness is not None
    found: dict[str, Any] = verdict.witness.data["prefix"]
    return found


def calls(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step["call"], step["state"]) for step in found["order"]]


def test_the_prefix_ends_before_the_return_that_no_order_gets_past() -> None:
    lines = Lines("x").ok(0, "write", 1).ok(0, "write", 1).ok(1, "read", None, 1).ok(1, "read", None, 2)
    found = prefix(lines.ok(1, "read", None, 1), "cas-register")
    assert found["until"] == 7
    assert calls(found) == [("write 1", "1"), ("write 1", "1"), ("read -> 1", "1")]


def test_what_had_not_returned_by_then_is_in_the_order_if_it_must_be() -> None:
    lines = Lines("x").invoke(0, "write", 3).ok(1, "read", None, 3).ok(1, "read", None, None).complete(0, "ok", 3)
    assert calls(prefix(lines, "register")) == [("write 3", "3"), ("read -> 3", "3")]


def test_where_an_algorithm_gave_the_verdict_the_end_is_found_by_bisection() -> None:
    lines = Lines("q").ok(0, "enqueue", 1).ok(0, "enqueue", 2).ok(1, "dequeue", None, 1).ok(0, "enqueue", 3)
    lines.ok(1, "dequeue", None, 3).ok(1, "dequeue", None, 2)
    found = prefix(lines, "fifo-queue")
    assert found["until"] == 9
    assert [step["state"] for step in found["order"]] == ["[1]", "[1, 2]", "[2]", "[2, 3]"]


def test_if_the_very_first_return_has_no_place_the_prefix_is_empty() -> None:
    found = prefix(Lines("x").ok(0, "read", None, 1).ok(0, "write", 1), "register")
    assert (found["until"], found["operations"], found["order"]) == (1, 0, [])


def test_a_long_prefix_is_shown_by_its_end() -> None:
    verdict = check("linearizable", register_history(3, 3000, distinct_writes, seed=1, stale=True), model="register")
    assert verdict.witness is not None
    found = verdict.witness.data["prefix"]
    assert len(found["order"]) == 1000
    assert found["left_out"] == found["operations"] - 1000 > 0


class Accounts(Model):
    """`open` and `close` a name; each says why it can't."""

    name = "accounts"
    initial = freeze({})
    fs = frozenset({"open", "close"})

    def step(self, state: Any, call: Call) -> Sequence[Any]:
        if call.f == "open":
            return (
                Refused(f"{call.argument} is open")
                if call.argument in state
                else (freeze({**state, call.argument: 1}),)
            )
        if call.argument not in state:
            return Refused(f"{call.argument} was never opened")
        return (freeze({name: one for name, one in state.items() if name != call.argument}),)


def test_why_a_model_refused_a_call_is_in_the_witness() -> None:
    lines = Lines().ok(0, "open", "ann").ok(1, "close", "bob")
    verdict = check("linearizable", lines.history, model=Accounts())
    assert verdict.outcome == "invalid" and verdict.witness is not None
    assert verdict.witness.data["refusals"] == ["bob was never opened"]
    assert "(bob was never opened)" in verdict.witness.text
    clean = Lines().ok(0, "open", "ann").ok(1, "close", "ann").ok(0, "open", "ann")
    assert check("linearizable", clean.history, model=Accounts()).outcome == "valid"
