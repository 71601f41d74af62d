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
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from splitbrain.checkers.budget import Budget, Megabytes, Seconds
from splitbrain.checkers.histories.columns import OK
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import count, key_names, listing
from splitbrain.checkers.histories.replica_polls import POLL
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.model import Call, Finding, Model
from splitbrain.checkers.linearizability.models.containers import FifoQueue, PriorityQueue, SetModel, Stack
from splitbrain.checkers.linearizability.models.counters import Counter, Mutex
from splitbrain.checkers.linearizability.models.kv import KeyValue
from splitbrain.checkers.linearizability.models.registers import CasRegister, MultiRegister, Register
from splitbrain.checkers.linearizability.search import Outcome, search
from splitbrain.checkers.linearizability.witness import Blocked, data_of, events_of, explain, text_of
from splitbrain.checkers.verdict import Verdict, Witness

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


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found of one part.

    linearizable: None if the budget ran out, and `stopped` says of what. calls: how many there are. certain: the event
    at which no order was left. finding: what an algorithm says; outcome: what the search does, unless it was left
    behind in another process.
    """

    linearizable: bool | None
    calls: int
    returns: int = 0
    explored: int = 0
    stopped: str | None = None
    certain: int = 0
    finding: Finding | None = None
    outcome: Outcome | None = None


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
    Raises HistoryError for an operation that the model can't judge, ValueError for a model that doesn't exist or fails.
    Evidence: `model`, `operations`, `parts`, `linearizable`, `not_linearizable`, `undecided` (counts of parts),
    `explored` (configurations), `by_part` (of those that are not linearizable or undecided).
    """
    chosen = _model(model, history)
    parts = calls_of(history, chosen)
    if not any(call.known for calls in parts.values() for call in calls):
        return Verdict.unknown(f"no operation of a {chosen.name} was completed, so nothing was observed")
    # What can happen in any state, by promise, tells nothing.
    if not any(call.known and not chosen.blind(call) for calls in parts.values() for call in calls):
        return Verdict.unknown("nothing was read: no operation's answer depends on what another one did")
    budget = Budget(timeout_s, memory_mb)
    judged = _judge_all(parts, chosen, budget, executor)
    names = key_names(parts)
    evidence = _evidence(chosen, judged, names)
    wrong = [part for part in judged if judged[part].linearizable is False]
    if not wrong:
        return _undisputed(chosen, judged, names, evidence)
    first = min(wrong, key=lambda part: judged[part].certain)
    blocked = why(parts[first], chosen, judged[first], budget)
    witness = Witness(text_of(blocked, chosen, history), events_of(blocked), data_of(blocked, history))
    return Verdict.invalid(_complaint(chosen, judged, wrong, names), witness, **evidence)


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
    columns = history.columns
    operations = columns.operations
    codes = columns.f[operations.invoked]
    asked = {columns.fs[code] for code in np.unique(codes).tolist()} - {POLL}
    found = [model for model in MODELS.values() if model.fs is not None and asked <= model.fs]
    if not found:
        raise ValueError(f"no model has all of {listing(sorted(asked))}; name one of {', '.join(MODELS)}, or your own")
    # Sets and counters both add and read; what a read answers tells them apart.
    if asked == {"add", "read"}:
        read = (codes == columns.fs.index("read")) & (operations.outcome == OK)
        answered = operations.completed[read]
        if not len(answered) or not isinstance(columns.value[int(answered[0])], list):
            return MODELS["counter"]
    return found[0]


def judge(calls: Sequence[Call], model: Model, budget: Budget) -> Judgement:
    """Judge the calls of one part, in the order of their invocations."""
    finding = model.shortcut(calls)
    if finding is not None:
        certain = max((call.returned for call in finding.calls if call.known), default=0)
        return Judgement(finding.linearizable, len(calls), certain=certain, finding=finding)
    try:
        outcome = search(calls, model, budget)
    except MemoryError:
        return Judgement(None, len(calls), stopped="memory ran out")
    certain = outcome.moments[-1].returned if outcome.linearizable is False else 0
    return Judgement(
        outcome.linearizable,
        len(calls),
        outcome.returns,
        outcome.explored,
        outcome.stopped,
        certain,
        outcome=outcome if outcome.linearizable is False else None,
    )


def why(calls: Sequence[Call], model: Model, judgement: Judgement, budget: Budget) -> Blocked:
    """Why those calls, which were found not to be linearizable, can't be put in an order."""
    finding = judgement.finding
    if finding is not None:
        return Blocked(finding.calls, judgement.certain, finding.text)
    outcome = judgement.outcome or search(calls, model, Budget())
    return explain(calls, model, outcome, budget)


def _judge_all(
    parts: Mapping[Hashable, list[Call]], model: Model, budget: Budget, executor: Executor | None
) -> dict[Hashable, Judgement]:
    # The smallest first: should the budget end, most parts have their verdict.
    order = sorted(parts, key=lambda part: len(parts[part]))
    if executor is None:
        return {part: judge(parts[part], model, budget) for part in order}
    # The budget goes along as it is: processes of one machine have one clock.
    alone = partial(_judge_alone, model=model, budget=budget)
    chunk = max(1, len(order) // 64)
    found = executor.map(alone, [parts[part] for part in order], chunksize=chunk)
    return dict(zip(order, found, strict=True))


def _judge_alone(calls: Sequence[Call], *, model: Model, budget: Budget) -> Judgement:
    return replace(judge(calls, model, budget), outcome=None)


def _evidence(model: Model, judged: Mapping[Hashable, Judgement], names: Mapping[Hashable, str]) -> dict[str, Any]:
    wrong = [part for part, each in judged.items() if each.linearizable is False]
    undecided = [part for part, each in judged.items() if each.linearizable is None]
    return {
        "model": model.name,
        "operations": sum(each.calls for each in judged.values()),
        "parts": len(judged),
        "linearizable": len(judged) - len(wrong) - len(undecided),
        "not_linearizable": len(wrong),
        "undecided": len(undecided),
        "explored": sum(each.explored for each in judged.values()),
        "by_part": {
            names[part]: {
                "linearizable": judged[part].linearizable,
                "operations": judged[part].calls,
                "returns_ordered": judged[part].returns,
                "stopped": judged[part].stopped,
            }
            for part in [*wrong, *undecided][:_LISTED]
        },
    }


def _complaint(
    model: Model, judged: Mapping[Hashable, Judgement], wrong: Sequence[Hashable], names: Mapping[Hashable, str]
) -> str:
    if len(judged) == 1:
        operations = count(sum(each.calls for each in judged.values()), "operation")
        return f"the {operations} on {names[wrong[0]]} can't be put in an order: not linearizable as a {model.name}"
    told = listing(names[part] for part in wrong)
    return f"{len(wrong):,} of {count(len(judged), 'key')} not linearizable as a {model.name}: {told}"


def _undisputed(
    model: Model, judged: Mapping[Hashable, Judgement], names: Mapping[Hashable, str], evidence: Mapping[str, Any]
) -> Verdict:
    on = f" on {count(len(judged), 'key')}" if len(judged) > 1 else ""
    for part, each in judged.items():
        if each.linearizable is None:
            others = f"; {evidence['linearizable']:,} of {count(len(judged), 'key')} decided" if on else ""
            reason = (
                f"{each.stopped} on {names[part]}, after {each.returns:,} of {count(each.calls, 'operation')}, "
                f"so far linearizable as a {model.name}{others}"
            )
            return Verdict.unknown(reason, **evidence)
    return Verdict.valid(
        f"linearizable as a {model.name}: {count(evidence['operations'], 'operation')}{on}", **evidence
    )
