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
10. Wherever the walk takes long, two searches depth first go on from there in turn with it. The first of the three to
    know the answer gives it. Turns are counted in configurations, so that time has no say in what is found.

Deciding is NP-complete (Gibbons and Korach 1997): exponential in the number of open calls at worst, linear in the
length.

`walk` is the loop, and `depth_first` the other way. `timeline` lays the calls out in time, `open_calls` keeps those
that are open, `kinds` asks the model, `configurations` is the data, and `expansion` applies rules 1 and 3 to 7 at one
return.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from splitbrain.checkers.budget import Budget
from splitbrain.checkers.linearizability.configurations import Frontier, size_bytes
from splitbrain.checkers.linearizability.depth_first import DepthFirst, Found
from splitbrain.checkers.linearizability.expansion import Expansion, Progress
from splitbrain.checkers.linearizability.kinds import Kinds
from splitbrain.checkers.linearizability.model import Call, Model, State
from splitbrain.checkers.linearizability.open_calls import OpenCalls
from splitbrain.checkers.linearizability.timeline import Layout, horizons, informative_steps

_REMEMBERED = 48  # Returns behind the walk whose configurations are kept, for a witness to begin from.
_HEAVY_BYTES = 200_000  # Of configurations that take more, only those of the last return are kept.
_COMPARISONS = 20_000  # Of configurations with each other, between two looks at the budget.
_COMPARED_MAX = 1000  # If a state has more configurations, they are not compared with each other.
_PAUSE = 256  # Configurations after which the walk may pause.
_STEADY = 32  # If they got it past so many returns, it goes on.
_SLICE = 128  # Configurations that each search depth first follows whenever the walk pauses.
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
    walk = _Walk(Layout(calls), model, budget, {model.initial: (0,)}, losing=True)
    found = Found(remembered=_REMEMBERED)
    others = [walk.depth_first(found, eager=eager) for eager in (True, False)]
    going: list[Iterator[None]] = [iter(()), iter(())]
    for _ in walk.run():
        if walk.at > found.furthest:
            going = [other.run(lambda: (walk.at, walk.before)) for other in others]
        for other, one in zip(others, going, strict=True):
            before = other.explored
            for _ in islice(one, _SLICE):
                pass
            walk.progress.explored += other.explored - before
            if other.linearizable is not None:
                return walk.found_by(other)
        held = size_bytes(walk.before) + found.held_bytes + sum(other.held_bytes for other in others)
        walk.progress.stopped = budget.spent(held)
    assert walk.outcome is not None
    return walk.outcome


def walk(layout: Layout, model: Model, budget: Budget, frontier: Frontier, *, losing: bool = True) -> Outcome:
    """Walk along the calls, from the configurations that the object could be in as the first of them is invoked.

    losing: take lost states together (rule 7). Without it every state is kept as it is, to be shown.
    """
    walking = _Walk(layout, model, budget, frontier, losing=losing)
    for _ in walking.run():
        pass
    assert walking.outcome is not None
    return walking.outcome


class _Walk:
    """The walk along a layout, which can pause. at, before: the position of the return among the steps at which it
    paused, and the configurations just before it. outcome: what was found, once it ended.
    """

    def __init__(self, layout: Layout, model: Model, budget: Budget, frontier: Frontier, *, losing: bool) -> None:
        self._layout = layout
        self._model = model
        self._budget = budget
        self.progress = Progress(budget)
        self._kinds = Kinds(layout, model)
        self._returns = _Returns(layout, model, self._kinds, self.progress, losing=losing)
        self._end = informative_steps(layout, model)
        self._horizons = horizons(layout, model)
        self._moments: deque[Moment] = deque(maxlen=_REMEMBERED)
        self._begin = frontier
        self.at = 0
        self.before: Mapping[State, set[int]] = {}
        self.outcome: Outcome | None = None

    def run(self) -> Iterator[None]:
        """Walk to the end. Yields while a return takes long, so that something else can be done meanwhile."""
        calls, moments, budget, progress = self._layout.calls, self._moments, self._budget, self.progress
        now: dict[State, set[int]] = {state: set(several) for state, several in self._begin.items()}
        returns = paused = 0
        pause = _PAUSE
        open_calls, past = self._returns.open_calls, self._returns.past
        for at, (step, horizon) in enumerate(zip(self._layout.steps[: self._end], self._horizons, strict=False)):
            if step >= 0:
                open_calls.invoke(step, now)
                continue
            number = ~step
            if not returns % 16 and size_bytes(now) > _HEAVY_BYTES:
                moments.clear()
            moments.append(Moment(calls[number].returned, dict(now)))
            self.at, self.before = at, now
            now = yield from past(number, now, horizon)
            returns += 1
            if progress.explored >= pause:
                if now and returns < paused + _STEADY:
                    yield
                pause, paused = progress.explored + _PAUSE, returns
            if not returns % _LOOK_EVERY and not progress.stopped:
                progress.stopped = budget.spent(size_bytes(now))
            if progress.stopped:
                self.outcome = Outcome(None, returns - 1, progress.explored, progress.stopped)
                return
            if not now:
                self.outcome = Outcome(False, returns - 1, progress.explored, None, calls[number], tuple(moments))
                return
        self.outcome = Outcome(True, returns, progress.explored)

    def depth_first(self, found: Found, *, eager: bool) -> DepthFirst:
        """A search depth first of the same calls, which shares what is known of the model."""
        return DepthFirst(
            self._layout,
            self._model,
            self._kinds,
            self._horizons,
            self._end,
            found,
            eager=eager,
        )

    def found_by(self, other: DepthFirst) -> Outcome:
        """The outcome that a search depth first came to."""
        calls, steps = self._layout.calls, self._layout.steps
        if other.linearizable:
            returns = sum(step < 0 for step in steps[: self._end])
            return Outcome(True, returns, self.progress.explored)
        moments = [Moment(calls[~steps[at]].returned, frontier) for at, frontier in other.moments()]
        earlier = [each for each in self._moments if each.returned < moments[0].returned]
        returns = sum(step < 0 for step in steps[: other.found.furthest])
        return Outcome(
            False,
            returns,
            self.progress.explored,
            None,
            calls[~steps[other.found.furthest]],
            tuple([*earlier, *moments][-_REMEMBERED:]),
        )


class _Returns:
    """How configurations get past the return of a call."""

    def __init__(self, layout: Layout, model: Model, kinds: Kinds, progress: Progress, *, losing: bool) -> None:
        self._layout = layout
        self._kinds = kinds
        self.open_calls = OpenCalls(layout, model, self._kinds, losing=losing)
        self._progress = progress
        self._comparisons = 0

    def past(
        self, number: int, now: Mapping[State, set[int]], horizon: int
    ) -> Generator[None, None, dict[State, set[int]]]:
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
            yield from Expansion(kind, bit, self.open_calls, self._kinds, after, horizon).run(lacking, self._progress)
            self._drop_beaten(after)
        self.open_calls.close(number)
        self._kinds.returned(kind)
        return after

    def _drop_beaten(self, configurations: dict[State, set[int]]) -> None:
        for state, several in configurations.items():
            if 1 < len(several) <= _COMPARED_MAX and not self._progress.stopped:
                self._comparisons += len(several) ** 2
                if self._comparisons > _COMPARISONS:
                    self._comparisons = 0
                    self._progress.stopped = self._progress.budget.spent()
                configurations[state] = self.open_calls.unbeaten(several)
