"""The algorithms for containers beside the oracle, on small random histories, and beside the search on larger ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import msgspec

from splitbrain.checkers.budget import Budget
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.frozen_values import freeze
from splitbrain.checkers.linearizability.linearizable import check, judge, why
from splitbrain.checkers.linearizability.model import Call, Finding, Model, started
from splitbrain.checkers.linearizability.models.containers import FifoQueue, PriorityQueue, SetModel, Stack
from splitbrain.checkers.linearizability.polynomial import memberships
from splitbrain.checkers.linearizability.search import search
from tests.checkers.comparison import Comparison, Disagreement
from tests.checkers.linearizability.brute_force import linearizable_remembering
from tests.checkers.linearizability.polynomial import generate, oracle

CONTAINERS: Mapping[str, Model] = {model.name: model for model in (SetModel(), FifoQueue(), PriorityQueue(), Stack())}
LEFT = "left to the search"
UNDECIDED = "too much for the search"
SIZE = 8


def judged(kind: str, history: History, initial: Sequence[Any] = ()) -> tuple[Sequence[Call], Finding | None]:
    calls = calls_of(history, CONTAINERS[kind]).get(None, [])
    model = starting(kind, initial, calls)
    found = model.shortcut(calls)
    return calls, memberships.judge(calls, model, Budget()) if found is None and kind == "set" else found


def starting(kind: str, initial: Sequence[Any], calls: Sequence[Call]) -> Model:
    model = CONTAINERS[kind]
    return started(model, model.initial_state(freeze(list(initial)), calls))


def compare(kind: str, seed: int, *, starts: bool = False) -> str:
    """The outcome for the history of that seed. Raises Disagreement, also where the calls of a finding are fine by
    themselves, or where nothing was said though there was no reason for that."""
    random = Random(f"{kind} {seed}")
    initial = generate.initial(random, kind, SIZE) if starts else []
    history = generate.history(random, kind, SIZE - min(random.randrange(SIZE), random.randrange(SIZE)), held=initial)
    operations = oracle.operations(history)
    truth = oracle.linearizable(kind, operations, initial)
    calls, finding = judged(kind, history, initial)
    if starts and check(history, model=kind, initial=initial).outcome == ("invalid" if truth else "valid"):
        raise Disagreement(history, f"from {initial} the verdict is wrong; the oracle: {truth}")
    if finding is None:
        if not _may_be_left(kind, calls, initial):
            raise Disagreement(history, "nothing said")
        _compare_search(kind, history, calls, starting(kind, initial, calls), initial, truth)
        return LEFT
    if finding.linearizable != truth:
        raise Disagreement(history, f"{finding}, but the oracle: {truth}")
    if not finding.linearizable:
        named = {call.invoked for call in finding.calls}
        few = [each for each in operations if each.first in named]
        if len(few) != len(finding.calls) or oracle.linearizable(kind, few, initial):
            raise Disagreement(history, f"{finding}: these calls alone are linearizable")
    return "valid" if truth else "invalid"


def _compare_search(
    kind: str, history: History, calls: Sequence[Call], model: Model, initial: Sequence[Any], truth: bool
) -> None:
    """What the search says, and whether the calls that it names suffice."""
    found = judge(calls, model, Budget())
    if found.linearizable is not truth:
        raise Disagreement(history, f"from {initial} the search says {found}, the oracle: {truth}")
    if not truth:
        named = {call.invoked for call in why(calls, model, found, Budget()).core}
        few = [each for each in oracle.operations(history) if each.first in named]
        if oracle.linearizable(kind, few, initial):
            raise Disagreement(history, f"from {initial}: the calls invoked at {sorted(named)} alone are linearizable")


def _may_be_left(kind: str, calls: Sequence[Call], initial: Sequence[Any]) -> bool:
    fs = {call.f for call in calls}
    if kind == "set":
        return "read" in fs and bool(fs & {"contains", "remove"})
    inserted = [*initial, *(call.argument for call in calls if call.f == generate.INSERTIONS[kind])]
    if len(set(inserted)) < len(inserted):
        return True
    if not any(not call.known for call in calls if call.f == generate.REMOVALS[kind]):
        return False
    return kind != "fifo-queue" or any(call.known and call.result is None for call in calls if call.f == "dequeue")


def compare_with_search(kind: str, seed: int) -> str:
    """As `compare`, for histories that are too long for the oracle."""
    random = Random(f"{kind} {seed}")
    history = generate.history(random, kind, random.randint(12, 30), random.choice((3, 5)))
    calls, finding = judged(kind, history)
    if finding is None:
        truth, said = linearizable_remembering(calls, CONTAINERS[kind]), judge(calls, CONTAINERS[kind], Budget())
        if said.linearizable is not truth:
            raise Disagreement(history, f"judged {said.linearizable}, and remembering what was tried {truth}")
        return LEFT
    found = search(calls, CONTAINERS[kind], Budget(memory_mb=2)).linearizable
    if found is None:
        return UNDECIDED
    if finding.linearizable is not found:
        raise Disagreement(history, f"{finding}, but the search: {found}")
    if not found and search(finding.calls, CONTAINERS[kind], Budget()).linearizable is not False:
        raise Disagreement(history, f"{finding}: these calls alone are linearizable")
    return "valid" if found else "invalid"


def compare_from(kind: str, seed: int) -> str:
    """As `compare`, from containers that hold something at first."""
    return compare(kind, seed, starts=True)


def compare_repeated(kind: str, seed: int) -> str:
    """The search, with no more than two values that are inserted again and again."""
    random = Random(f"{kind} {seed}")
    made = generate.history(random, kind, random.randint(3, SIZE))
    history = History([msgspec.structs.replace(each, value=_one_of_two(each.value)) for each in made.events])
    calls, model = calls_of(history, CONTAINERS[kind]).get(None, []), CONTAINERS[kind]
    truth = oracle.linearizable(kind, oracle.operations(history))
    _compare_search(kind, history, calls, model, (), truth)
    return "valid" if truth else "invalid"


def _one_of_two(value: Any) -> Any:
    return value % 2 if type(value) is int else value


def _comparing(compared: Callable[[str, int], str], kind: str) -> Callable[[int], str]:
    return lambda seed: compared(kind, seed)


_OUTCOMES = frozenset({"valid", "invalid", LEFT})
COMPARISONS: Sequence[Comparison] = (
    *(Comparison(f"{kind}, lifetimes and stages", _comparing(compare, kind), _OUTCOMES) for kind in CONTAINERS),
    *(Comparison(f"{kind}, initial elements", _comparing(compare_from, kind), _OUTCOMES) for kind in CONTAINERS),
    *(
        Comparison(f"{kind}, two values", _comparing(compare_repeated, kind), frozenset({"valid", "invalid"}))
        for kind in CONTAINERS
        if kind != "set"
    ),
    *(Comparison(f"{kind}, the search", _comparing(compare_with_search, kind), _OUTCOMES) for kind in CONTAINERS),
)
