"""Arguments that only completions tell: each checker beside the brute force of a history that hides nothing.

1. A random history says in each invocation what was asked. What some `ok` completions repeat is then hidden in their
   invocations: the whole argument becomes null, or a part of it. Nothing else changes, and so the verdict stays.
2. The history with something hidden is refused if an indeterminate operation of the same kind has a null in it, and only
   then.
3. A completion that says something else than its invocation is refused by its line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec

from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.invariants import bank, counter, total_queue
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.linearizable import check as linearizable_check
from splitbrain.checkers.verdict import Verdict
from tests.checkers.comparison import Comparison, Disagreement
from tests.checkers.invariants import (
    bank_histories,
    bank_oracle,
    counter_histories,
    counter_oracle,
    total_queue_histories,
    total_queue_oracle,
)
from tests.checkers.linearizability.brute_force import linearizable
from tests.checkers.linearizability.objects import KINDS, history


def _hidden(random: Random, value: Any) -> Any:
    """The value, or a part of it, as null."""
    if isinstance(value, list | dict) and value and random.random() < 0.6:
        at = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
        return {**value, at: None} if isinstance(value, dict) else [*value[:at], None, *value[at + 1 :]]
    return None


def _nulls(value: Any) -> bool:
    return "null" in json.dumps(value).replace('"null"', "")


def hide(random: Random, recorded: History, f: set[str]) -> tuple[History, bool]:
    """The history that hides some arguments, and whether it must be refused (rule 2)."""
    events = list(recorded.events)
    kinds = set()
    for operation in recorded.operations:
        end, asked = operation.completion, operation.invocation
        if operation.f not in f or operation.outcome != "ok" or end is None or random.random() < 0.5:
            continue
        less = _hidden(random, asked.value)
        if json.dumps(less) != json.dumps(asked.value):
            kinds.add(operation.f)
        events[asked.index] = msgspec.structs.replace(asked, value=less)
        events[end.index] = msgspec.structs.replace(end, value=asked.value)
    unsure = any(
        each.f in kinds and each.outcome == "info" and _nulls(each.invocation.value) for each in recorded.operations
    )
    return History(events), unsure


def contradict(recorded: History, f: set[str]) -> tuple[History, int] | None:
    """The history with a completion that says something else, and its line; None if no completion repeats anything."""
    for operation in recorded.operations:
        if operation.f in f and operation.completion is not None and operation.outcome == "ok":
            asked, events = operation.invocation.value, list(recorded.events)
            if _nulls(asked):  # A completion may fill it in.
                continue
            events[operation.completion.index] = msgspec.structs.replace(operation.completion, value=["another", asked])
            return History(events), operation.completion.index + 1
    return None


def told(
    name: str,
    check: Callable[[History], Verdict],
    truth: Callable[[History], str],
    make: Callable[[Random], History],
    f: set[str],
    outcomes: frozenset[str] = frozenset({"valid", "invalid", "contradicted"}),
) -> Comparison:
    """f: the operations whose completion repeats the argument. truth: the brute force."""

    def compare(seed: int) -> str:
        random = Random(seed)
        recorded = make(random)
        wrong = contradict(recorded, f) if random.random() < 0.2 else None
        if wrong is not None:
            try:
                said = check(wrong[0]).outcome.value
            except HistoryError as refused:
                if refused.line == wrong[1]:
                    return "contradicted"
                raise Disagreement(wrong[0], f"refused by line {refused.line}, and not {wrong[1]}") from None
            raise Disagreement(wrong[0], f"{said}, though a completion contradicts its invocation")
        less, unsure = hide(random, recorded, f)
        expected = "refused" if unsure else truth(recorded)
        try:
            said = check(less).outcome.value
        except HistoryError:
            said = "refused"
        if said != expected:
            raise Disagreement(less, f"{name}: {said}, and the history that hides nothing is {expected}")
        return said

    return Comparison(f"{name}, told by completions", compare, outcomes)


def _object(name: str, f: set[str]) -> Comparison:
    kind = KINDS[name]

    def truth(recorded: History) -> str:
        said = linearizable_check(recorded, model=kind.model).outcome.value
        parts = calls_of(recorded, kind.model).values()
        right = all(linearizable(calls, kind.model) for calls in parts)
        if said != "unknown" and (said == "valid") is not right:
            raise Disagreement(recorded, f"the verdict is {said}, linearizable is {right}")
        return said

    return told(
        f"linearizable {name}",
        lambda recorded: linearizable_check(recorded, model=kind.model),
        truth,
        lambda random: history(random, kind, keys=random.choice([1, 2])),
        f,
    )


COMPARISONS: Sequence[Comparison] = (
    told(
        "counter",
        counter.check,
        lambda h: str(counter_oracle.counter(h)["verdict"]),
        counter_histories.counter,
        {"add"},
    ),
    told(
        "total-queue",
        total_queue.check,
        lambda h: str(total_queue_oracle.total_queue(h)["verdict"]),
        total_queue_histories.total_queue,
        {"enqueue"},
    ),
    told("bank", bank.check, lambda h: str(bank_oracle.bank(h)["verdict"]), bank_histories.bank, {"transfer"}),
    _object("register", {"write"}),
    _object("cas-register", {"write", "cas"}),
    _object("kv", {"put", "append"}),
    _object("counter", {"add"}),
)
