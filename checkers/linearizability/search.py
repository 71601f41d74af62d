"""The search: is there an order of the calls that the model allows and real time does?

It walks along the history and holds, at each moment, every *configuration* the object could be in: its state, and which
of the calls open at that moment have taken effect already. Calls that have returned lie behind: a configuration is as
small as the concurrency, however long the history.

1. A call takes effect no earlier than a return that needs it (just-in-time linearization: Lowe 2017, after Wing and
   Gong 1993): at the return of a call that has not taken effect, the other open calls are tried before it, in every
   order; those that nothing needs yet stay open.
2. A call that reads only takes effect as soon as a state answers it so: it changes nothing, so that can't be wrong.
3. Of open calls that are alike (same operation, argument and result) the one that returns first takes effect first:
   where another did, the two could trade places. Crashed calls never return, so they come last. Hidable ones (rule 4)
   are taken apart from those that are not: these still have to be placed, those can be spared.
4. A call that overwrites hides what was done just before it. Whatever other blind calls were open when it took effect
   may have come right before it, so from then on they are *hidable*: when one of them returns, it may be taken to have
   been hidden there; or it takes effect visibly after all. So hidden writes need no trying out, however many.
5. A call that commutes takes effect at its own return without any other such call before it, unless a read comes
   between: the others may as well follow.
6. A configuration is dropped where another one *beats* it: it has the same state, and whatever the first can still do
   it can too. Having done a read, being able to hide a write, and not having used up a crashed call can only help.
7. A state is *lost* on all reads if the model says that it leads to none of those that could still see it. Where all
   other calls are blind one lost state is as good as another: nothing is answered until something overwrites it. They
   are taken together, and whatever is open meanwhile is hidable.
8. The walk ends with the last call that is not blind: what is left can happen in any order.
9. No configuration left after a return: that call is *blocked*, and the history is not linearizable.

Deciding is NP-complete (Gibbons and Korach 1997): exponential in the number of open calls at worst, linear in the
length.
"""

from __future__ import annotations

import enum
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from sys import getsizeof

from splitbrain.checkers.budget import Budget
from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.linearizability.model import Call, Model, State, stepped
from splitbrain.checkers.linearizability.timeline import Layout, horizons, tellable

Frontier = Mapping[State, Iterable[int]]
"""Configurations: by state, sets of bits. Each open call has two: the lower is set where it took effect, the upper
where it did not and is hidable."""


class _Lost(enum.Enum):
    LOST = "lost"


LOST: State = _Lost.LOST
"""Stands for every state that no read could see any more (rule 7)."""

_BYTES = 250  # About what a configuration takes besides its state: an integer, its place in a set.
_LOOK_EVERY = 512  # Configurations between two looks at the budget.
_REMEMBERED = 48  # Returns behind the walk whose configurations are kept, for a witness to begin from.
_COMPARISONS = 20_000  # Between two looks at the budget.
_HEAVY = 200_000  # Bytes of configurations of which only the last moment is remembered.
_LARGE = 1000  # Configurations of one state that are too many to compare all pairs of.
_COMPARED = 64  # Configurations, those with the fewest calls, that a new one is compared with.
_MOVES_BYTES = 20_000_000  # Of steps of the model that are remembered.


@dataclass(frozen=True, slots=True)
class Moment:
    """Every configuration just before a call returned. returned: the event index of that return."""

    returned: int
    frontier: Frontier


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the search found.

    linearizable: None where the budget ran out, and `stopped` says of what. returns: how many returns of calls it got
    past. explored: configurations made. blocked: the call that can't have taken effect. moments: the last before that
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

    losing: take lost states together (rule 7); without it every state is kept as it is, to be shown.
    """
    calls = layout.calls
    present = _Present(layout, model, budget, losing=losing)
    moments: deque[Moment] = deque(maxlen=_REMEMBERED)
    now: dict[State, set[int]] = {state: set(done) for state, done in frontier.items()}
    returns = 0
    for step, horizon in zip(layout.steps[: tellable(layout, model)], horizons(layout, model), strict=False):
        if step >= 0:
            present.invoke(step, now)
            continue
        number = ~step
        if not returns % 16 and _weight(now) > _HEAVY:
            moments.clear()
        moments.append(Moment(calls[number].returned, dict(now)))
        now = present.past(number, now, horizon)
        if present.stopped:
            return Outcome(None, returns, present.explored, present.stopped)
        if not now:
            return Outcome(False, returns, present.explored, None, calls[number], tuple(moments))
        returns += 1
    return Outcome(True, returns, present.explored)


class _Present:
    """The calls open at the moment of the walk, and how configurations get past a return."""

    def __init__(self, layout: Layout, model: Model, budget: Budget, *, losing: bool) -> None:
        self.explored = self._look = self._compared = 0
        self.stopped: str | None = None
        self._layout = layout
        self._model = model
        self._budget = budget
        # By kind: any call of it, what the hints say of it, how many are still to return.
        self._sample = dict(zip(reversed(layout.kinds), reversed(layout.calls), strict=True))
        self._reads = {kind: model.read_only(call) for kind, call in self._sample.items()}
        self._commutes = {kind: model.commutes(call) for kind, call in self._sample.items()}
        self._overwrites = {kind: model.overwrites(call) for kind, call in self._sample.items()}
        self._blind = {kind: model.blind(call) for kind, call in self._sample.items()}
        self._losing = (
            losing
            and type(model).leads_to is not Model.leads_to
            and all(self._reads[kind] or self._blind[kind] for kind in self._sample)
        )
        self._hiding = self._losing or any(self._overwrites.values())
        self._left = Counter(layout.kinds)
        # What the model was asked before: by kind, the states that follow a state.
        self._moves: dict[int, dict[State, Sequence[State]]] = {}
        self._moves_held = 0
        # The open calls. By kind: the bits of all that read; of the others (return, bit), the soonest return first.
        self._open_reads: dict[int, int] = {}
        self._open: dict[int, list[tuple[int, int]]] = {}
        # The lower bits of all open calls; of those that read, that crashed, that are blind and will return.
        self._lower = self._reading = self._crashed = self._hidable = 0
        # The calls that read, and which of them is invoked next.
        self._future = [c for c, k in zip(layout.calls, layout.kinds, strict=True) if self._losing and self._reads[k]]
        self._next_read = 0

    def invoke(self, number: int, now: dict[State, set[int]]) -> None:
        """A call is invoked; if it reads, it takes effect in the states that answer it so (rule 2)."""
        kind, bit, returned = self._layout.kinds[number], self._layout.bits[number], self._layout.calls[number].returned
        self._lower |= bit
        if self._reads[kind]:
            self._next_read += 1
            self._open_reads[kind] = self._open_reads.get(kind, 0) | bit
            self._reading |= bit
            for state, done in now.items():
                if self._after(kind, state):
                    now[state] = {each | bit for each in done}
            return
        alike = self._open.setdefault(kind, [])
        alike.append((returned, bit))
        # By the return alone: crashed calls stay in the order of their invocations, bits are used again in any order.
        alike.sort(key=itemgetter(0))
        if returned == FOREVER:
            self._crashed |= bit
        elif self._hiding and self._blind[kind]:
            self._hidable |= bit
            if LOST in now:
                now[LOST] = {each | bit << 1 for each in now[LOST]}

    def past(self, number: int, now: Mapping[State, set[int]], horizon: int) -> dict[State, set[int]]:
        """The configurations in which the call has taken effect, as it returns; it is open no more."""
        kind, bit = self._layout.kinds[number], self._layout.bits[number]
        after: dict[State, set[int]] = {}
        lacking: list[tuple[State, int]] = []
        both = bit | bit << 1
        for state, done in now.items():
            having = {each & ~both for each in done if each & both}
            if having:
                after[state] = having
            lacking += [(state, each & ~both) for each in done if not each & bit]
        if lacking:
            self._expand(kind, bit, lacking, after, horizon)
            for state, done in after.items():
                if 1 < len(done) <= _LARGE and not self.stopped:
                    after[state] = self._unbeaten(done)
        self._close(kind, bit)
        return after

    def _close(self, kind: int, bit: int) -> None:
        self._lower ^= bit
        if self._reads[kind]:
            self._reading ^= bit
            self._open_reads[kind] ^= bit
            if not self._open_reads[kind]:
                del self._open_reads[kind]
        else:
            self._hidable &= ~bit
            alike = self._open[kind]
            alike[:] = [pair for pair in alike if pair[1] != bit]
            if not alike:
                del self._open[kind]
        self._left[kind] -= 1
        if not self._left[kind]:
            self._moves.pop(kind, None)

    def _expand(
        self,
        kind: int,
        bit: int,
        lacking: list[tuple[State, int]],
        after: dict[State, set[int]],
        horizon: int,
    ) -> None:
        """Try the open calls, from configurations in which the call has not taken effect, until it has (rule 1)."""
        lower, reading, crashed, hidable = self._lower, self._reading, self._crashed, self._hidable & ~bit
        commutes, overwrites, blind, moves = self._commutes, self._overwrites, self._blind, self._moves
        losing = self._losing
        matching: dict[State, int] = {}
        seen_by: dict[State, int] = {LOST: 0}
        # What can beat a configuration agrees with it in all calls but reads, crashed and hidable ones.
        rigid = lower & ~(reading | crashed | hidable)
        reached: dict[tuple[State, int], list[int]] = {}
        more: set[tuple[State, int]] = set()  # What came when there were enough to compare with.
        for state, done in lacking:
            reached.setdefault((state, done & rigid), []).append(done)
        alone = commutes[kind]
        if alone:
            for state, done in lacking:
                self._take(kind, state, done | bit, bit, matching, after)
        open_calls = [(each, alike) for each, alike in self._open.items() if not alone or each != kind]
        if alone and not reading and all(commutes[each] for each, _ in open_calls):
            return
        look = _LOOK_EVERY
        # The list grows as it is walked: breadth first, so that what took fewer calls comes first and beats the rest.
        follow: list[bool] = [True] * len(lacking)  # Whether an overwriting call may come next, by configuration.
        dependent = [(each, alike) for each, alike in open_calls if not overwrites[each]]
        for (state, done), any_may in zip(lacking, follow, strict=False):
            for each, alike in open_calls if any_may else dependent:
                plain = hidden = 0
                for _, other in alike:
                    if not done & other:
                        if not done & other << 1:
                            plain = other
                            break
                        hidden = hidden or other
                for other in (plain, hidden) if hidden else (plain,) if plain else ():
                    if not other:
                        continue
                    known = moves.get(each)
                    following = known.get(state) if known is not None else None
                    for new in self._after(each, state) if following is None else following:
                        if other & crashed and new == state:
                            continue
                        if new not in matching:
                            matching[new] = self._matching(new)
                        answered = matching[new] & ~done
                        taken = done | other | answered
                        if overwrites[each]:
                            taken |= hidable << 1
                        taken &= ~((taken & hidable) << 1)
                        if losing:
                            if new not in seen_by:
                                seen_by[new] = self._seen_by(new, horizon)
                            if not seen_by[new] & ~taken:
                                new, taken = LOST, taken | hidable << 1 & ~((taken & hidable) << 1)
                                # It may itself be hidden here, whatever else it may do.
                                if self._hidable & bit & ~taken:
                                    _add(after, new, taken)
                        if taken & bit:
                            _add(after, new, taken ^ bit)
                            continue
                        if alone and (answered or not commutes[each]):
                            self._take(kind, new, taken | bit, bit, matching, after)
                        before = reached.setdefault((new, taken & rigid), [])
                        hides = taken >> 1
                        for one in before:  # As in _beats, in place: this is where the time goes.
                            differ = (one ^ taken) & ~(one & reading) & ~(~one & crashed)
                            if not lower & ~(one >> 1) & (hides | differ):
                                break
                        else:
                            if len(before) < _COMPARED:
                                before.append(taken)
                            elif (new, taken) in more:
                                continue
                            else:
                                more.add((new, taken))
                            lacking.append((new, taken))
                            # Overwritten before anybody read it, the call were better left undone.
                            follow.append(answered != 0 or not blind[each])
            if len(lacking) >= look:
                look += _LOOK_EVERY
                self.stopped = self._budget.spent(
                    len(lacking) * _BYTES + sum(map(getsizeof, matching)) + _weight(after)
                )
                if self.stopped:
                    self.explored += len(lacking)
                    return
        self.explored += len(lacking)
        if self.explored >= self._look:
            self._look = self.explored + _LOOK_EVERY
            self.stopped = self._budget.spent(_weight(after))

    def _take(
        self, kind: int, state: State, taken: int, bit: int, matching: dict[State, int], after: dict[State, set[int]]
    ) -> None:
        """Let the returning call itself take effect, one that commutes."""
        for new in self._after(kind, state):
            if new not in matching:
                matching[new] = self._matching(new)
            _add(after, new, (taken | matching[new]) & ~bit)

    def _beats(self, one: int, other: int) -> bool:
        """Whether, of two configurations with the same state, the first can do whatever the second can (rule 6)."""
        # Of a call that is hidable in the first there is nothing to ask. Otherwise it must not be so in the second, and
        # be done in both or neither; or be a read done in the first; or a crashed call not used up in the first.
        differ = (one ^ other) & ~(one & self._reading) & ~(~one & self._crashed)
        return not self._lower & ~(one >> 1) & (other >> 1 | differ)

    def _unbeaten(self, found: set[int]) -> set[int]:
        """Those that no other one beats."""
        self._compared += len(found) ** 2
        if self._compared > _COMPARISONS:
            self._compared = 0
            self.stopped = self._budget.spent()
        kept: list[int] = []
        for each in sorted(found):
            if not any(self._beats(other, each) for other in kept):
                kept = [other for other in kept if not self._beats(each, other)]
                kept.append(each)
        return set(kept)

    def _seen_by(self, state: State, horizon: int) -> int:
        """The bits of the open reads that the state leads to, and a bit beyond all for reads still to be invoked."""
        leads_to = self._model.leads_to
        bits = sum(bits for kind, bits in self._open_reads.items() if leads_to(state, self._sample[kind]))
        at = self._next_read
        while at < len(self._future) and self._future[at].invoked < horizon:
            if leads_to(state, self._future[at]):
                return bits | self._layout.beyond
            at += 1
        return bits

    def _matching(self, state: State) -> int:
        """The bits of the open reads that the state answers."""
        bits = 0
        for kind, each in self._open_reads.items():
            known = self._moves.get(kind)
            following = known.get(state) if known is not None else None
            if self._after(kind, state) if following is None else following:
                bits |= each
        return bits

    def _after(self, kind: int, state: State) -> Sequence[State]:
        """The model's step, asked once."""
        if state is LOST:
            return self._after(kind, self._model.initial) if self._overwrites[kind] else ()
        moves = self._moves.get(kind)
        if moves is None:
            moves = self._moves[kind] = {}
        elif state in moves:
            return moves[state]
        self._moves_held += _BYTES + getsizeof(state)
        if self._moves_held > _MOVES_BYTES:
            self._moves_held = 0
            self._moves.clear()
            moves = self._moves[kind] = {}
        following = moves[state] = stepped(self._model, state, self._sample[kind])
        return following


def _add(after: dict[State, set[int]], state: State, done: int) -> None:
    if state in after:
        after[state].add(done)
    else:
        after[state] = {done}


def _weight(held: Mapping[State, set[int]]) -> int:
    """About how many bytes the configurations take."""
    return sum(getsizeof(state) + len(done) * _BYTES for state, done in held.items())
