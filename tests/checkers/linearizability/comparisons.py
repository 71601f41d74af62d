"""The search, the zones and the witness beside brute force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any
from unittest.mock import patch

import msgspec

from splitbrain.checkers.budget import Budget
from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import depth_first
from splitbrain.checkers.linearizability import search as searching
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.linearizable import check, judge, prefix_of, why
from splitbrain.checkers.linearizability.longest_prefix import prefix_before
from splitbrain.checkers.linearizability.model import Call, Model, State, started
from splitbrain.checkers.linearizability.search import search
from tests.checkers.comparison import Comparison, Disagreement
from tests.checkers.linearizability.brute_force import linearizable, linearizable_remembering
from tests.checkers.linearizability.objects import KINDS, Kind, Start, distinct, distinct_puts, history


def _witnessed(calls: Sequence[Call], core: Sequence[Call], model: Model, initial: State = None) -> bool:
    """Whether the core can't have happened, whatever the others did: those that read left out, the rest free."""
    kept = {call.invoked for call in core}
    free = [
        call
        if call.invoked in kept
        else msgspec.structs.replace(call, known=False, failed=False, result=None, returned=FOREVER)
        for call in calls
        if call.invoked in kept or not model.read_only(call)
    ]
    return not linearizable(free, model, initial)


def _misordered(calls: Sequence[Call], model: Model, prefix: Mapping[str, Any] | None, *, answered: bool) -> str | None:
    """What is wrong with the longest prefix and its order, or None."""
    if prefix is None:
        return "no prefix was found"
    by_event = {call.invoked: call for call in calls}
    until, order = prefix["until"], [by_event[step["invoked"]] for step in prefix["order"]]
    due = {call.invoked for call in calls if call.returned < until}
    if len({call.invoked for call in order}) < len(order) or not due <= {call.invoked for call in order}:
        return f"an operation is missing or twice in {prefix}"
    if any(one.invoked > two.returned for at, one in enumerate(order) for two in order[at + 1 :]):
        return f"not in real time: {prefix}"
    states = {model.initial}
    for call, step in zip(order, prefix["order"], strict=True):
        exact = call.returned < until or answered
        known = call if exact else msgspec.structs.replace(call, known=False, result=None)
        states = {new for state in states for new in model.step(state, known) if model.describe(new) == step["state"]}
    if not states:
        return f"the model does not allow it: {prefix}"
    # One return more, and there is none.
    more = prefix_before(calls, until + 1, model, answered=answered)
    return f"a longer prefix is linearizable: {prefix}" if linearizable(more, model) else None


def _compare(kind: Kind, recorded: History, start: Start | None = None) -> str:
    parts = calls_of(recorded, kind.model)
    right = True
    for part, calls in parts.items():
        initial = start.states[str(part)] if start else None
        model = started(kind.model, initial) if start else kind.model
        truth = linearizable(calls, kind.model, initial)
        right = right and truth
        found = search(calls, model, Budget()).linearizable
        if found is not truth:
            raise Disagreement(recorded, f"part {part}: the search says {found}, brute force {truth}")
        judged = judge(calls, model, Budget())
        if judged.linearizable is not truth:
            raise Disagreement(recorded, f"part {part}: judged {judged.linearizable}, truth {truth}")
        if not truth and not _witnessed(
            calls, (blocked := why(calls, model, judged, Budget())).core, kind.model, initial
        ):
            raise Disagreement(recorded, f"part {part}: the witness {blocked} shows nothing")
        if not truth:
            prefix = prefix_of(calls, model, judged, blocked, Budget())
            wrong = _misordered(calls, model, prefix, answered=judged.finding is None)
            if wrong:
                raise Disagreement(recorded, f"part {part}: {wrong}")
    said = check(recorded, model=kind.model, initial=start.given if start else None).outcome.value
    if said != "unknown" and (said == "valid") is not right:
        raise Disagreement(recorded, f"the verdict is {said}, linearizable is {right}")
    return said


def _comparison(name: str) -> Comparison:
    def compare(seed: int) -> str:
        random = Random(seed)
        return _compare(KINDS[name], history(random, KINDS[name], keys=random.choice([1, 1, 2])))

    return Comparison(f"linearizable {name}", compare)


def _comparison_from(name: str) -> Comparison:
    """From initial states."""

    def compare(seed: int) -> str:
        random, kind = Random(seed), KINDS[name]
        assert kind.begin is not None
        start = kind.begin(random)
        return _compare(kind, history(random, kind, keys=random.choice([1, 1, 2]), start=start), start)

    return Comparison(f"linearizable initial {name}", compare)


def _zones_from(seed: int) -> str:
    random = Random(seed)
    kind = distinct(KINDS["register"]) if random.random() < 0.5 else distinct_puts(KINDS["kv"])
    assert kind.begin is not None
    start = kind.begin(random)
    recorded = history(random, kind, operations=9, start=start)
    return _compare(kind, recorded, start)


def _zones(seed: int) -> str:
    kind = distinct(KINDS["register"])
    recorded = history(Random(seed), kind, operations=9)
    for calls in calls_of(recorded, kind.model).values():
        if kind.model.shortcut(calls) is None:
            raise Disagreement(recorded, "the zones have nothing to say of distinct writes")
    return _compare(kind, recorded)


def _larger(name: str) -> Comparison:
    """Long enough for what the search remembers of the past and expects of the future to matter."""
    kind = KINDS[name]

    def compare(seed: int) -> str:
        random = Random(seed)
        recorded = history(random, kind, operations=random.randint(8, 28), clients=random.randint(2, 5))
        right = True
        for part, calls in calls_of(recorded, kind.model).items():
            truth = linearizable_remembering(calls, kind.model)
            right = right and truth
            found = search(calls, kind.model, Budget()).linearizable
            if found is not truth:
                raise Disagreement(recorded, f"part {part}: the search says {found}, remembering {truth}")
        return "valid" if right else "invalid"

    return Comparison(f"linearizable larger {name}", compare)


def _depth_first(name: str) -> Comparison:
    """With the walk pausing at once, for so long that the searches depth first find the answer."""

    def compare(seed: int) -> str:
        random, kind = Random(seed), KINDS[name]
        made = history(random, kind, operations=random.randint(4, 8), clients=random.randint(2, 5))
        slices = random.choice([1, 3, 100_000])
        with (
            patch.multiple(searching, _PAUSE=0, _STEADY=1_000_000, _SLICE=slices),
            patch.object(depth_first, "_ATTEMPT", 2),
        ):
            return _compare(kind, made)

    return Comparison(f"linearizable depth first {name}", compare)


COMPARISONS = (
    *map(_depth_first, KINDS),
    *map(_larger, KINDS),
    *(_comparison(name) for name in KINDS),
    Comparison("linearizable by zones", _zones),
    *map(_comparison_from, KINDS),
    Comparison("linearizable initial, by zones", _zones_from),
)
