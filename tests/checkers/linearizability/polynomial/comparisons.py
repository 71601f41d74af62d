"""The algorithms for containers beside the oracle, on small random histories, and beside the search on larger ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

from splitbrain.checkers.budget import Budget
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.model import Call, Finding, Model
from splitbrain.checkers.linearizability.models.containers import FifoQueue, PriorityQueue, SetModel, Stack
from splitbrain.checkers.linearizability.search import search
from tests.checkers.comparison import Comparison, Disagreement
from tests.checkers.linearizability.polynomial import generate, oracle

CONTAINERS: Mapping[str, Model] = {model.name: model for model in (SetModel(), FifoQueue(), PriorityQueue(), Stack())}
LEFT = "left to the search"
UNDECIDED = "too much for the search"
SIZE = 8


def judged(kind: str, history: History) -> tuple[Sequence[Call], Finding | None]:
    model = CONTAINERS[kind]
    calls = calls_of(history, model).get(None, [])
    return calls, model.shortcut(calls)


def compare(kind: str, seed: int) -> str:
    """The outcome for the history of that seed. Raises Disagreement, also where the calls of a finding are fine by
    themselves, or where nothing was said though there was no reason for that."""
    random = Random(f"{kind} {seed}")
    history = generate.history(random, kind, SIZE - min(random.randrange(SIZE), random.randrange(SIZE)))
    operations = oracle.operations(history)
    truth = oracle.linearizable(kind, operations)
    calls, finding = judged(kind, history)
    if finding is None:
        if not _may_be_left(kind, calls):
            raise Disagreement(history, "nothing said")
        return LEFT
    if finding.linearizable != truth:
        raise Disagreement(history, f"{finding}, but the oracle: {truth}")
    if not finding.linearizable:
        named = {call.invoked for call in finding.calls}
        few = [each for each in operations if each.first in named]
        if len(few) != len(finding.calls) or oracle.linearizable(kind, few):
            raise Disagreement(history, f"{finding}: these calls alone are linearizable")
    return "valid" if truth else "invalid"


def _may_be_left(kind: str, calls: Sequence[Call]) -> bool:
    fs = {call.f for call in calls}
    if kind == "set":
        return "read" in fs and bool(fs & {"contains", "remove"})
    inserted = [call.argument for call in calls if call.f == generate.INSERTIONS[kind]]
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
        return LEFT
    found = search(calls, CONTAINERS[kind], Budget(memory_mb=2)).linearizable
    if found is None:
        return UNDECIDED
    if finding.linearizable is not found:
        raise Disagreement(history, f"{finding}, but the search: {found}")
    if not found and search(finding.calls, CONTAINERS[kind], Budget()).linearizable is not False:
        raise Disagreement(history, f"{finding}: these calls alone are linearizable")
    return "valid" if found else "invalid"


def _comparing(compared: Callable[[str, int], str], kind: str) -> Callable[[int], str]:
    return lambda seed: compared(kind, seed)


_OUTCOMES = frozenset({"valid", "invalid", LEFT})
COMPARISONS: Sequence[Comparison] = (
    *(Comparison(f"{kind}, lifetimes and stages", _comparing(compare, kind), _OUTCOMES) for kind in CONTAINERS),
    *(Comparison(f"{kind}, the search", _comparing(compare_with_search, kind), _OUTCOMES) for kind in CONTAINERS),
)
