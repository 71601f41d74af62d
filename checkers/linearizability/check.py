"""Linearizability, judged: could the operations have taken effect one after the other, each within its own duration?

1. The object is one of a model (`MODELS`, or your own). Its parts, by default the keys, are judged apart: a history is
   linearizable if and only if each part is (Herlihy and Wing 1990, locality).
2. What the outcomes mean, `calls` says: `ok` happened between its invocation and its completion, `fail` did not happen,
   `info` may have happened at any time from its invocation on, or never.
3. Where a polynomial algorithm can judge a part it does; otherwise the search, within its budget.
4. Invalid if any part can't be put in an order, whatever else ran out of budget. Otherwise unknown if one did, or if no
   operation observed anything. Otherwise valid.
5. An operation that the model doesn't know, or of the wrong shape, is a HistoryError: it can't be judged.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

from checkers.budget import Budget, Megabytes, Seconds
from checkers.history import History
from checkers.linearizability.calls import calls_of
from checkers.linearizability.containers import FifoQueue, PriorityQueue, SetModel, Stack
from checkers.linearizability.counters import Counter, Mutex
from checkers.linearizability.kv import KeyValue
from checkers.linearizability.model import Call, Model
from checkers.linearizability.registers import CasRegister, MultiRegister, Register
from checkers.linearizability.search import search
from checkers.linearizability.witness import Blocked, data_of, events_of, explain, text_of
from checkers.prose import count, key_name, listing
from checkers.replicas import POLL
from checkers.verdict import Verdict, Witness

MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        Register(),
        CasRegister(),
        MultiRegister(),
        KeyValue(),
        SetModel(),
        FifoQueue(),
        PriorityQueue(),
        Stack(),
        Counter(),
        Mutex(),
    )
}
_LISTED = 100
_EXPLAINED = 3  # Parts whose witness is minimised: the report shows one, and a person reads no more.


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found of one part. linearizable: None if the budget ran out, and `stopped` says of what."""

    linearizable: bool | None
    method: str
    calls: int
    returns: int = 0
    explored: int = 0
    stopped: str | None = None
    blocked: Blocked | None = None


def check(
    history: History,
    *,
    model: str | Model | None = None,
    timeout_s: Seconds | None = None,
    memory_mb: Megabytes | None = None,
    executor: Executor | None = None,
) -> Verdict:
    """Judge a history by the rules above.

    model: the name of one of MODELS, or a model of your own; told from the operations if not given. timeout_s,
    memory_mb: the budget of the search, in seconds and megabytes besides the history. executor: to judge several parts
    at once; a model of your own must then be picklable.
    Raises HistoryError for an operation that the model can't judge, ValueError for a model that doesn't exist.
    Evidence: `model`, `operations`, `parts`, `linearizable`, `not_linearizable`, `undecided` (counts of parts),
    `explored` (configurations), `by_part` (of those that are not linearizable or undecided).
    """
    chosen = _model(model, history)
    parts = calls_of(history, chosen)
    if not any(call.known for calls in parts.values() for call in calls):
        return Verdict.unknown(f"no operation of a {chosen.name} was completed, so nothing was observed")
    if not any(call.known and _observes(chosen, call) for calls in parts.values() for call in calls):
        return Verdict.unknown("nothing was read: no operation's answer depends on what another one did")
    judged = _judge_all(parts, chosen, Budget(timeout_s, memory_mb), executor)
    return _verdict(history, chosen, judged)


def _model(model: str | Model | None, history: History) -> Model:
    if isinstance(model, Model):
        if type(model).step is Model.step:
            raise ValueError(f"the model {model.name!r} has no step; define step(self, state, call)")
        return model
    if model is None:
        return _likely(history)
    if model not in MODELS:
        raise ValueError(f"there is no model {model!r}; there are {', '.join(MODELS)}")
    return MODELS[model]


def _likely(history: History) -> Model:
    """The first model that knows all of the operations."""
    asked = {operation.f for operation in history.operations} - {POLL}
    found = [model for model in MODELS.values() if model.fs is not None and asked <= model.fs]
    if not found:
        raise ValueError(f"no model has all of {listing(sorted(asked))}; name one of {', '.join(MODELS)}, or your own")
    # Sets and counters both add and read; what a read answers tells them apart.
    answers = (o.completion.value for o in history.operations if o.f == "read" and o.completion and o.outcome == "ok")
    if asked == {"add", "read"} and not isinstance(next(answers, None), list):
        return MODELS["counter"]
    return found[0]


def _observes(model: Model, call: Call) -> bool:
    """Whether the call could have been impossible. What can happen in any state, by promise, tells nothing."""
    return not model.blind(call)


def judge(calls: Sequence[Call], model: Model, budget: Budget, *, explained: bool = True) -> Judgement:
    """Judge the calls of one part, in the order of their invocations.

    explained: say why, where they can't be put in an order.
    """
    found = model.shortcut(calls)
    if found is not None:
        certain = max((call.returned for call in found.calls if call.known), default=0)
        blocked = None if found.linearizable else Blocked(found.calls, certain, found.text)
        return Judgement(found.linearizable, "algorithm", len(calls), blocked=blocked)
    outcome = search(calls, model, budget)
    blocked = explain(calls, model, outcome) if outcome.linearizable is False and explained else None
    return Judgement(
        outcome.linearizable, "search", len(calls), outcome.returns, outcome.explored, outcome.stopped, blocked
    )


def _judge_all(
    parts: Mapping[Hashable, list[Call]], model: Model, budget: Budget, executor: Executor | None
) -> dict[Hashable, Judgement]:
    # The smallest first: should the budget end, most parts have their verdict.
    order = sorted(parts, key=lambda part: len(parts[part]))
    if executor is None:
        return {part: judge(parts[part], model, budget) for part in order}
    alone = partial(_judge_alone, model=model, timeout_s=budget.left_s, memory_mb=budget.memory_mb)
    chunk = max(1, len(order) // 64)
    found = executor.map(alone, [parts[part] for part in order], chunksize=chunk)
    return dict(zip(order, found, strict=True))


def _judge_alone(calls: Sequence[Call], *, model: Model, timeout_s: float | None, memory_mb: float | None) -> Judgement:
    return judge(calls, model, Budget(timeout_s, memory_mb))


def _verdict(history: History, model: Model, judged: Mapping[Hashable, Judgement]) -> Verdict:
    wrong = {part: each for part, each in judged.items() if each.linearizable is False}
    undecided = {part: each for part, each in judged.items() if each.linearizable is None}
    operations = sum(each.calls for each in judged.values())
    evidence: dict[str, Any] = {
        "model": model.name,
        "operations": operations,
        "parts": len(judged),
        "linearizable": len(judged) - len(wrong) - len(undecided),
        "not_linearizable": len(wrong),
        "undecided": len(undecided),
        "explored": sum(each.explored for each in judged.values()),
        "by_part": {
            _name(part): {
                "linearizable": each.linearizable,
                "operations": each.calls,
                "returns_ordered": each.returns,
                "stopped": each.stopped,
            }
            for part, each in list({**wrong, **undecided}.items())[:_LISTED]
        },
    }
    if wrong:
        first = min(wrong, key=lambda part: _certain(wrong[part]))
        blocked = wrong[first].blocked
        assert blocked is not None
        where = f" of {count(len(judged), 'key')}" if len(judged) > 1 else ""
        reason = f"{count(len(wrong), 'key')}{where} not linearizable as a {model.name}: {listing(map(_name, wrong))}"
        if len(judged) == 1:
            reason = f"{count(operations, 'operation')} on {_name(first)} are not linearizable as a {model.name}"
        told = text_of(blocked, model, history)
        return Verdict.invalid(reason, Witness(told, events_of(blocked), data_of(blocked, history)), **evidence)
    if undecided:
        part, each = next(iter(undecided.items()))
        known = f"; {count(evidence['linearizable'], 'other key')} linearizable" if len(judged) > 1 else ""
        reason = (
            f"{each.stopped} on {_name(part)}, after {each.returns:,} of {count(each.calls, 'operation')}: so far they "
            f"are linearizable as a {model.name}{known}"
        )
        return Verdict.unknown(reason, **evidence)
    on = f" on {count(len(judged), 'key')}" if len(judged) > 1 else ""
    return Verdict.valid(f"{count(operations, 'operation')}{on} are linearizable as a {model.name}", **evidence)


def _certain(judgement: Judgement) -> int:
    assert judgement.blocked is not None
    return judgement.blocked.certain


def _name(part: Hashable) -> str:
    return key_name(part) if part is None or isinstance(part, str | int) else str(part)
