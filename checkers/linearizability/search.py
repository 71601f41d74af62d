"""The search: is there an order of the calls that the model allows and real time does?

It walks along the history. At each moment it holds every *configuration* the object could be in: a state, and which of
the calls open at that moment have taken effect. Calls that have returned lie behind, so a configuration is as small as
the concurrency, however long the history.

1. Just-in-time linearization (Lowe 2017, after Wing and Gong 1993): a call takes effect no earlier than a return that
   needs it. When a call returns that has not taken effect, the other open calls are tried before it, in every order.
   Those that no return needs yet stay open.
2. A call that only reads takes effect as soon as a state answers it. It changes nothing, so that is always safe.
3. Symmetry reduction: of open calls that are alike (same operation, argument and result) the one that returns first
   takes effect first, since any two of them could trade places. Crashed calls never return, so they come last. Hidable
   calls (rule 4) are a class of their own: they need not be placed, and the others must be.
4. A call that overwrites hides what took effect just before it. Every other blind call that was open then may have come
   right before it, so from then on it is *hidable*. When a hidable call returns, it may count as hidden there; or it
   takes effect visibly after all. So hidden writes are never tried one by one.
5. Partial-order reduction: a call that commutes takes effect at its own return, without other calls that commute before
   it, unless a read separates them.
6. Dominance: a configuration is dropped if another one with the same state *beats* it, that is, can do whatever it can.
   A read that was answered, a write that is hidable and a crashed call that is unused can only help.
7. A state is *lost* if the model says that it leads to none of the reads that can still observe it. If all other calls
   are blind, one lost state is as good as another, since something must overwrite it. Lost states are taken together,
   and blind calls that are open meanwhile are hidable.
8. The walk ends with the last call that is not blind: what is left can happen in any order.
9. If a return leaves no configuration, its call is *blocked*, and the history is not linearizable.

Deciding is NP-complete (Gibbons and Korach 1997): exponential in the number of open calls at worst, linear in the
length.

`walk` is the loop. `timeline` lays the calls out in time, `open_calls` keeps those that are open, `kinds` asks the
model, `configurations` is the data, and `expansion` applies rules 1 and 3 to 7 at one return.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from splitbrain.checkers.budget import Budget
from splitbrain.checkers.linearizability.configurations import Frontier, size_bytes
from splitbrain.checkers.linearizability.expansion import Expansion, Progress
from splitbrain.checkers.linearizability.kinds import Kinds
from splitbrain.checkers.linearizability.model import Call, Model, State
from splitbrain.checkers.linearizability.open_calls import OpenCalls
from splitbrain.checkers.linearizability.timeline import Layout, horizons, informative_steps

_REMEMBERED = 48  # Returns behind the walk whose configurations are kept, for a witness to begin from.
_HEAVY_BYTES = 200_000  # Of configurations that take more, only those of the last return are kept.
_COMPARISONS = 20_000  # Of configurations with each other, between two looks at the budget.
_COMPARED_MAX = 1000  # If a state has more configurations, they are not compared with each other.
_LOOK_EVERY = 1024  # Returns between two looks at the budget.


@dataclass(frozen=True, slots=True)
class Moment:
    """Every configuration just before a call returned. returned: the event index of that return."""

    returned: int
    frontier: Frontier


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the search found.

    linearizable: None if the budget ran out; `stopped` says what of it. returns: how many returns of calls it got past.
    explored: configurations made. blocked: the call that can't have taken effect. moments: the last ones before that
    was certain, oldest first.
    """

    linearizable: bool | None
    returns: int
    explored: int
    stopped: str | None = None
    blocked: Call | None = None
    moments: Sequence[Moment] = ()


def search(calls: Sequence[Call], model: Model, budget: Budget) -> Outcome:
    """Whether calls of one object, in the order of their invocations, are linearizable."""
    return walk(Layout(calls), model, budget, {model.initial: (0,)})


def walk(layout: Layout, model: Model, budget: Budget, frontier: Frontier, *, losing: bool = True) -> Outcome:
    """Walk along the calls, from the configurations that the object could be in as the first of them is invoked.

    losing: take lost states together (rule 7). Without it every state is kept as it is, to be shown.
    """
    calls = layout.calls
    progress = Progress(budget)
    at_return = _Returns(layout, model, progress, losing=losing)
    moments: deque[Moment] = deque(maxlen=_REMEMBERED)
    now: dict[State, set[int]] = {state: set(several) for state, several in frontier.items()}
    returns = 0
    for step, horizon in zip(layout.steps[: informative_steps(layout, model)], horizons(layout, model), strict=False):
        if step >= 0:
            at_return.open_calls.invoke(step, now)
            continue
        number = ~step
        if not returns % 16 and size_bytes(now) > _HEAVY_BYTES:
            moments.clear()
        moments.append(Moment(calls[number].returned, dict(now)))
        now = at_return.past(number, now, horizon)
        returns += 1
        if not returns % _LOOK_EVERY and not progress.stopped:
            progress.stopped = budget.spent(size_bytes(now))
        if progress.stopped:
            return Outcome(None, returns - 1, progress.explored, progress.stopped)
        if not now:
            return Outcome(False, returns - 1, progress.explored, None, calls[number], tuple(moments))
    return Outcome(True, returns, progress.explored)


class _Returns:
    """How configurations get past the return of a call."""

    def __init__(self, layout: Layout, model: Model, progress: Progress, *, losing: bool) -> None:
        self._layout = layout
        self._kinds = Kinds(layout, model)
        self.open_calls = OpenCalls(layout, model, self._kinds, losing=losing)
        self._progress = progress
        self._comparisons = 0

    def past(self, number: int, now: Mapping[State, set[int]], horizon: int) -> dict[State, set[int]]:
        """The configurations in which the call has taken effect, as it returns; it is open no more."""
        kind, bit = self._layout.kinds[number], self._layout.bits[number]
        after: dict[State, set[int]] = {}
        lacking: list[tuple[State, int]] = []
        both = bit | bit << 1
        for state, several in now.items():
            having = {each & ~both for each in several if each & both}
            if having:
                after[state] = having
            lacking += [(state, each & ~both) for each in several if not each & bit]
        if lacking:
            Expansion(kind, bit, self.open_calls, self._kinds, after, horizon).run(lacking, self._progress)
            self._drop_beaten(after)
        self.open_calls.close(kind, bit)
        return after

    def _drop_beaten(self, configurations: dict[State, set[int]]) -> None:
        for state, several in configurations.items():
            if 1 < len(several) <= _COMPARED_MAX and not self._progress.stopped:
                self._comparisons += len(several) ** 2
                if self._comparisons > _COMPARISONS:
                    self._comparisons = 0
                    self._progress.stopped = self._progress.budget.spent()
                configurations[state] = self.open_calls.unbeaten(several)
