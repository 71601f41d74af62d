"""The checker `linearizable`: could the operations have taken effect one after the other, each within its own duration?

1. A model says what the object is: one of `MODELS`, or a user's own. Its parts, by default the keys, are judged
   separately: a history is linearizable if and only if each part is (Herlihy and Wing 1990, locality).
2. `ok` happened between its invocation and its completion, and `fail` did not happen. `info` is indeterminate: it may
   have happened at any time from its invocation on, or never. `calls` has the details.
3. A polynomial algorithm judges a part if one can; otherwise the search does, within its budget.
4. The verdict is invalid if any part can't be put in an order, whatever else ran out of budget. Otherwise it is unknown
   if a part ran out of it, or if no operation observed anything. Otherwise it is valid.
5. An operation that the model doesn't have, or one of the wrong shape, is a HistoryError: it can't be judged.
6. The time of the budget covers everything: the parts, those that workers judge, and the witness. A witness that it
   cuts short is larger than it need be, or names only the call that can't be placed.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from splitbrain.checkers.budget import Budget, Megabytes, Seconds
from splitbrain.checkers.histories.columns import OK
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import count, key_names, listing, literal
from splitbrain.checkers.histories.replica_polls import POLL
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.frozen_values import freeze
from splitbrain.checkers.linearizability.longest_prefix import (
    CALLS_MAX,
    as_data,
    end_of_longest,
    prefix_before,
    some_order,
)
from splitbrain.checkers.linearizability.model import Call, Finding, Model, call_text, started
from splitbrain.checkers.linearizability.models.containers import FifoQueue, PriorityQueue, SetModel, Stack
from splitbrain.checkers.linearizability.models.counters import Counter, Mutex
from splitbrain.checkers.linearizability.models.kv import KeyValue
from splitbrain.checkers.linearizability.models.registers import CasRegister, MultiRegister, Register
from splitbrain.checkers.linearizability.polynomial import memberships, unsupplied
from splitbrain.checkers.linearizability.search import Outcome, search
from splitbrain.checkers.linearizability.witness import Blocked, data_of, events_of, explain, text_of
from splitbrain.checkers.real_time import needs_real_time
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
Json = None | bool | int | float | str | list[Any] | dict[Any, Any]
_LISTED = 100
_CHUNKS = 64  # So many tasks for workers at most.
_SENT_MAX = 20_000  # Configurations. An outcome with more is not sent by a worker, but found again for the witness.
_GRACE_S = 0.3  # Workers stop by themselves when the time is up; so long is waited for what they found.


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found about one part.

    linearizable: None if the budget ran out; `stopped` says what of it. calls: how many there are. certain: the event
    at which no order was left. finding: what an algorithm found. outcome: what the search found, unless a worker did
    and it was too large to be sent.
    """

    linearizable: bool | None
    calls: int
    returns: int = 0
    explored: int = 0
    stopped: str | None = None
    certain: int = 0
    finding: Finding | None = None
    outcome: Outcome | None = None


@needs_real_time
def check(
    history: History,
    *,
    model: str | Model | None = None,
    initial: Json = None,
    timeout_s: Seconds | None = None,
    memory_mb: Megabytes | None = None,
    executor: Executor | None = None,
) -> Verdict:
    """Judge a history by the rules above.

    model: the name of one of MODELS, or a model of your own; inferred from the operations if not given. initial: what
    the object holds at first, as JSON; the module of each model says what it must be. None: as the model starts.
    timeout_s, memory_mb: the budget, in seconds and in megabytes besides the history. executor: to judge several parts
    at once; a model of your own must then be picklable.
    Raises HistoryError for an operation that the model can't judge, ValueError for a model that doesn't exist or fails,
    or an initial value of the wrong shape.
    Evidence: `model`, `operations`, `parts`, `linearizable`, `not_linearizable`, `undecided` (counts of parts),
    `explored` (configurations), `by_part` (those that are not linearizable or undecided).
    """
    budget = Budget(timeout_s, memory_mb)
    chosen = _model(model, history)
    value = _initial_value(chosen, initial)
    parts = calls_of(history, chosen)
    if not any(call.known for calls in parts.values() for call in calls):
        return Verdict.unknown(f"no operation of a {chosen.name} was completed, so nothing was observed")
    # Blind calls succeed in every state, so they are no evidence.
    if not any(call.known and not chosen.blind(call) for calls in parts.values() for call in calls):
        return Verdict.unknown("nothing was read: no operation's answer depends on what another one did")
    models = {part: _starting(chosen, value, calls) for part, calls in parts.items()}
    judged = _judge_all(parts, models, budget, executor)
    names = key_names(parts)
    evidence = _evidence(chosen, judged, names)
    wrong = [part for part in judged if judged[part].linearizable is False]
    if not wrong:
        return _undisputed(chosen, judged, names, evidence)
    first = min(wrong, key=lambda part: judged[part].certain)
    blocked = why(parts[first], models[first], judged[first], budget)
    blocked = replace(blocked, prefix=prefix_of(parts[first], models[first], judged[first], blocked, budget))
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


def _initial_value(model: Model, initial: Json) -> Hashable:
    """The initial value, frozen; None for the model's own. Raises ValueError if it has the wrong shape."""
    if initial is None:
        return None
    value = freeze(initial)
    wanted = model.malformed_initial(value)
    if wanted is not None:
        raise ValueError(f"initial: a {model.name} starts as {wanted}, and not as {literal(value)}")
    return value


def _starting(model: Model, value: Hashable, calls: Sequence[Call]) -> Model:
    """The model of the part that has these calls."""
    return model if value is None else started(model, model.initial_state(value, calls))


def _likely(history: History) -> Model:
    """The first model that has all of the operations."""
    columns = history.columns
    operations = columns.operations
    codes = columns.f[operations.invoked]
    asked = {columns.fs[code] for code in np.unique(codes).tolist()} - {POLL}
    found = [model for model in MODELS.values() if model.fs is not None and asked <= model.fs]
    if not found:
        raise ValueError(f"no model has all of {listing(sorted(asked))}; name one of {', '.join(MODELS)}, or your own")
    # Sets and counters both add and read; what a read answers distinguishes them.
    if asked == {"add", "read"}:
        read = (codes == columns.fs.index("read")) & (operations.outcome == OK)
        answered = operations.completed[read]
        if not len(answered) or not isinstance(columns.value[int(answered[0])], list):
            return MODELS["counter"]
    return found[0]


def judge(calls: Sequence[Call], model: Model, budget: Budget) -> Judgement:
    """Judge the calls of one part, in the order of their invocations."""
    stopped = budget.spent()
    if stopped is not None:
        return Judgement(None, len(calls), stopped=stopped)
    finding = model.shortcut(calls)
    if finding is None and isinstance(model, SetModel):
        finding = memberships.judge(calls, model, budget)
    finding = finding or unsupplied.judge(calls, model)
    if finding is not None:
        certain = max((call.returned for call in finding.calls if call.known), default=0)
        return Judgement(finding.linearizable, len(calls), certain=certain, finding=finding)
    try:
        outcome = search(*_searched(calls, model), budget)
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
    searched, easier = _searched(calls, model)
    outcome = judgement.outcome or search(searched, easier, budget)
    if outcome.linearizable is None:
        call = next(each for each in calls if each.returned == judgement.certain)
        text = f"no order of the calls up to event {judgement.certain} has a place for {call_text(call)}"
        return Blocked((call,), judgement.certain, f"{text}; which of them suffice to show it, was not found in time")
    found = explain(searched, easier, outcome, budget)
    recorded = {call.invoked: call for call in calls}
    return replace(
        found,
        core=tuple(recorded[call.invoked] for call in found.core),
        blocked=recorded[found.blocked.invoked] if found.blocked else None,
    )


def prefix_of(
    calls: Sequence[Call], model: Model, judgement: Judgement, blocked: Blocked, budget: Budget
) -> Mapping[str, Any] | None:
    """The longest prefix of calls that are not linearizable, with an order, if it is found in time."""
    until: int | None = blocked.certain
    if len(calls) > CALLS_MAX:
        return None
    if judgement.finding is not None:
        until = end_of_longest(calls, model, lambda some: judge(some, model, budget).linearizable, judgement.certain)
    if until is None or budget.spent():
        return None
    prefix = prefix_before(calls, until, model, answered=judgement.finding is None)
    order = some_order(prefix, model, budget)
    if order is None:
        return None
    recorded = {call.invoked: call for call in calls}
    return as_data([(recorded[call.invoked], state) for call, state in order], until, model)


def _searched(calls: Sequence[Call], model: Model) -> tuple[Sequence[Call], Model]:
    easier = model.easier(calls)
    return (calls, model) if easier is None else (easier[1], easier[0])


def _judge_all(
    parts: Mapping[Hashable, list[Call]], models: Mapping[Hashable, Model], budget: Budget, executor: Executor | None
) -> dict[Hashable, Judgement]:
    # The smallest first: should the budget end, most parts have their verdict.
    order = sorted(parts, key=lambda part: len(parts[part]))
    if executor is None:
        return {part: judge(parts[part], models[part], budget) for part in order}
    chunk = max(1, len(order) // _CHUNKS)
    tasks: dict[Future[list[Judgement]], list[Hashable]] = {}
    for at in range(0, len(order), chunk):
        several = order[at : at + chunk]
        # The budget is sent as it is: processes of one machine have one clock.
        tasks[executor.submit(_judge_sent, [(parts[part], models[part]) for part in several], budget)] = several
    wait(tasks, None if budget.left_s is None else budget.left_s + _GRACE_S)
    judged: dict[Hashable, Judgement] = {}
    for task, several in tasks.items():
        if task.done():
            judged.update(zip(several, task.result(), strict=True))
        else:
            task.cancel()
            late = f"the time limit of {budget.timeout_s:g} s was reached"
            judged.update((part, Judgement(None, len(parts[part]), stopped=late)) for part in several)
    return judged


def _judge_sent(parts: Sequence[tuple[Sequence[Call], Model]], budget: Budget) -> list[Judgement]:
    """Judge parts in a worker; what is large stays there."""
    return [_portable(judge(calls, model, budget)) for calls, model in parts]


def _portable(judgement: Judgement) -> Judgement:
    if judgement.outcome is None:
        return judgement
    held = sum(len(list(several)) for moment in judgement.outcome.moments for several in moment.frontier.values())
    return judgement if held <= _SENT_MAX else replace(judgement, outcome=None)


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
    listed = listing(names[part] for part in wrong)
    return f"{len(wrong):,} of {count(len(judged), 'key')} not linearizable as a {model.name}: {listed}"


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
