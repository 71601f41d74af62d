"""The search: is there an order of the calls that the model allows and real time does?

It walks along the history and holds, at each moment, every *configuration* the object could be in: its state, and which
of the calls open at that moment have taken effect already. Calls that have returned lie behind: a configuration is as
small as the concurrency, however long the history.

1. A call takes effect no earlier than a return that needs it (just-in-time linearization: Lowe 2017, after Wing and
   Gong 1993): at the return of a call that has not taken effect, the other open calls are tried before it, in every
   order; those that nothing needs yet stay open.
2. A call that reads only takes effect as soon as a state answers it so: it changes nothing, so that can't be wrong.
3. Of open calls that are alike (same operation, argument and result) the one that returns first takes effect first:
   where another did, the two could trade places. Crashed calls never return, so they come last.
4. A call that overwrites hides what was done just before it. Whatever other overwriting calls were open when it took
   effect may have come right before it, so from then on they are *hidable*: when one of them returns, it may be taken
   to have been hidden there; or it takes effect visibly after all. So hidden writes need no trying out, however many.
5. A call that commutes takes effect at its own return without any other such call before it, unless a read comes
   between: the others may as well follow.
6. A configuration is dropped where another one *beats* it: it has the same state, and whatever the first can still do
   it can too. Having done a read, being able to hide a write, and not having used up a crashed call can only help.
7. No configuration left after a return: that call is *blocked*, and the history is not linearizable.

Deciding is NP-complete (Gibbons and Korach 1997): exponential in the number of open calls at worst, linear in the
length.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from checkers.budget import Budget
from checkers.columns import FOREVER
from checkers.linearizability.model import Call, Model, State

Frontier = Mapping[State, Iterable[int]]
"""Configurations: by state, sets of bits. Each open call has two: the lower is set where it took effect, the upper
where it did not and is hidable."""

_BYTES = 250  # About what a configuration takes: an integer, its place in a set, its share of a state.
_LOOK_EVERY = 512  # Configurations between two looks at the budget.
_REMEMBERED = 48  # Returns behind the walk whose configurations are kept, for a witness to begin from.
_MOVES_MAX = 100_000  # Steps of the model that are remembered.


@dataclass(frozen=True, slots=True)
class Moment:
    """Every configuration just before a call returned. returned: the event index of that return."""

    returned: int
    frontier: Frontier


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the search found.

    linearizable: None where the budget ran out, and `stopped` says of what. returns: how many returns of calls it got
    past. explored: configurations made. blocked: the call that can't have taken effect. moments: the last before its
    return, oldest first.
    """

    linearizable: bool | None
    returns: int
    explored: int
    stopped: str | None = None
    blocked: Call | None = None
    moments: Sequence[Moment] = ()


@dataclass
class Layout:
    """Calls laid out in time.

    calls: in the order of their invocations. kinds: which of them are alike. bits: the lower bit of a call while it is
    open; used again after its return. steps: invocations as the call's number, returns as its complement, in order.
    """

    calls: Sequence[Call]
    kinds: list[int] = field(init=False)
    bits: list[int] = field(init=False)
    steps: list[int] = field(init=False)

    def __post_init__(self) -> None:
        known: dict[object, int] = {}
        self.kinds = [
            known.setdefault((c.f, c.argument, c.result, c.known, c.failed, c.key), len(known)) for c in self.calls
        ]
        # One integer a step, since those are sorted fastest: the event's index, the call's number, whether it returns.
        marks = [(call.invoked << 33) + (number << 1) for number, call in enumerate(self.calls)]
        marks += [
            (call.returned << 33) + (number << 1) + 1
            for number, call in enumerate(self.calls)
            if call.returned != FOREVER
        ]
        marks.sort()
        self.steps = [~(mark >> 1 & 0xFFFFFFFF) if mark & 1 else mark >> 1 & 0xFFFFFFFF for mark in marks]
        self.bits = [0] * len(self.calls)
        free: list[int] = []
        most = 0
        for step in self.steps:
            if step < 0:
                free.append(self.bits[~step])
            elif free:
                self.bits[step] = free.pop()
            else:
                self.bits[step] = 1 << most
                most += 2


def search(calls: Sequence[Call], model: Model, budget: Budget) -> Outcome:
    """Whether calls of one object, in the order of their invocations, are linearizable."""
    return walk(Layout(calls), model, budget, {model.initial: (0,)})


def walk(layout: Layout, model: Model, budget: Budget, frontier: Frontier) -> Outcome:
    """Walk along the calls, from the configurations that the object could be in as the first of them is invoked."""
    calls, kinds, bits = layout.calls, layout.kinds, layout.bits
    present = _Present(layout, model, budget)
    moments: deque[Moment] = deque(maxlen=_REMEMBERED)
    now: dict[State, set[int]] = {state: set(done) for state, done in frontier.items()}
    returns = 0
    for step in layout.steps:
        if step >= 0:
            present.invoke(kinds[step], bits[step], calls[step].returned, now)
            continue
        number = ~step
        moments.append(Moment(calls[number].returned, dict(now)))
        now = present.past(kinds[number], bits[number], now)
        if present.stopped:
            return Outcome(None, returns, present.explored, present.stopped)
        if not now:
            return Outcome(False, returns, present.explored, None, calls[number], tuple(moments))
        returns += 1
    return Outcome(True, returns, present.explored)


class _Present:
    """The calls open at the moment of the walk, and how configurations get past a return."""

    def __init__(self, layout: Layout, model: Model, budget: Budget) -> None:
        self.explored = 0
        self.stopped: str | None = None
        self._model = model
        self._budget = budget
        # By kind: any call of it, what the hints say of it, how many are still to return.
        self._sample = dict(zip(reversed(layout.kinds), reversed(layout.calls), strict=True))
        self._reads = {kind: model.read_only(call) for kind, call in self._sample.items()}
        self._commutes = {kind: model.commutes(call) for kind, call in self._sample.items()}
        self._overwrites = {kind: model.overwrites(call) for kind, call in self._sample.items()}
        self._left = Counter(layout.kinds)
        # What the model was asked before: by kind, the states that follow a state.
        self._moves: dict[int, dict[State, Sequence[State]]] = {}
        self._moves_made = 0
        # The open calls. By kind: the bits of all that read; of the others (return, bit), the soonest return first.
        self._open_reads: dict[int, int] = {}
        self._open: dict[int, list[tuple[int, int]]] = {}
        # The lower bits of all open calls; of those that read, that crashed, that overwrite and will return.
        self._lower = self._reading = self._crashed = self._hidable = 0

    def invoke(self, kind: int, bit: int, returned: int, now: dict[State, set[int]]) -> None:
        """A call is invoked; if it reads, it takes effect in the states that answer it so (rule 2)."""
        self._lower |= bit
        if self._reads[kind]:
            self._open_reads[kind] = self._open_reads.get(kind, 0) | bit
            self._reading |= bit
            for state, done in now.items():
                if self._after(kind, state):
                    now[state] = {each | bit for each in done}
            return
        alike = self._open.setdefault(kind, [])
        alike.append((returned, bit))
        alike.sort()
        if returned == FOREVER:
            self._crashed |= bit
        elif self._overwrites[kind]:
            self._hidable |= bit

    def past(self, kind: int, bit: int, now: Mapping[State, set[int]]) -> dict[State, set[int]]:
        """The configurations in which the call has taken effect, as it returns; it is open no more."""
        after: dict[State, set[int]] = {}
        lacking: list[tuple[State, int]] = []
        both = bit | bit << 1
        for state, done in now.items():
            having = {each & ~both for each in done if each & both}
            if having:
                after[state] = having
            lacking += [(state, each & ~both) for each in done if not each & bit]
        if lacking:
            self._expand(kind, bit, lacking, after)
            after = {state: self._unbeaten(done) for state, done in after.items()}
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

    def _expand(self, kind: int, bit: int, lacking: list[tuple[State, int]], after: dict[State, set[int]]) -> None:
        """Try the open calls, from configurations in which the call has not taken effect, until it has (rule 1)."""
        crashed, hidable = self._crashed, self._hidable & ~bit
        matching: dict[State, int] = {}
        rigid = self._lower & ~(self._reading | crashed | hidable)
        reached: dict[tuple[State, int], list[int]] = {}
        alone = self._commutes[kind]
        if alone:
            for state, done in lacking:
                self._take(kind, state, done | bit, bit, matching, after)
        open_calls = [(each, alike) for each, alike in self._open.items() if not alone or each != kind]
        if alone and not self._reading and all(self._commutes[each] for each, _ in open_calls):
            return
        # The list grows as it is walked: breadth first, so that what took fewer calls comes first and beats the rest.
        for state, done in lacking:
            for each, alike in open_calls:
                for _, other in alike:
                    if not done & other:
                        break
                else:
                    continue
                moves = self._moves.get(each)
                following = self._after(each, state) if moves is None or state not in moves else moves[state]
                for new in following:
                    if other & crashed and new == state:
                        continue
                    if new not in matching:
                        matching[new] = self._matching(new)
                    taken = done | other | matching[new]
                    if self._overwrites[each]:
                        taken |= hidable << 1
                    taken &= ~((taken & hidable) << 1)
                    if taken & bit:
                        _add(after, new, taken ^ bit)
                        continue
                    if alone and (not self._commutes[each] or matching[new] & ~done):
                        self._take(kind, new, taken | bit, bit, matching, after)
                    place = (new, taken & rigid)
                    before = reached.get(place)
                    if before is None:
                        reached[place] = [taken]
                    elif any(self._beats(better, taken) for better in before):
                        continue
                    else:
                        before.append(taken)
                    lacking.append((new, taken))
                    if len(lacking) % _LOOK_EVERY == 0:
                        self.stopped = self._budget.spent((len(lacking) + _size(after)) * _BYTES)
                        if self.stopped:
                            return
        self.explored += len(lacking)
        if self.explored % _LOOK_EVERY < len(lacking):
            self.stopped = self._budget.spent(_size(after) * _BYTES)

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
        if len(found) < 2:
            return found
        kept: list[int] = []
        for each in sorted(found):
            if not any(self._beats(other, each) for other in kept):
                kept = [other for other in kept if not self._beats(each, other)]
                kept.append(each)
        return set(kept)

    def _matching(self, state: State) -> int:
        """The bits of the open reads that the state answers."""
        bits = 0
        for kind, each in self._open_reads.items():
            if self._after(kind, state):
                bits |= each
        return bits

    def _after(self, kind: int, state: State) -> Sequence[State]:
        """The model's step, asked once."""
        moves = self._moves.get(kind)
        if moves is None:
            moves = self._moves[kind] = {}
        elif state in moves:
            return moves[state]
        self._moves_made += 1
        if self._moves_made > _MOVES_MAX:
            self._moves_made = 0
            self._moves.clear()
            moves = self._moves[kind] = {}
        following = moves[state] = self._model.step(state, self._sample[kind])
        return following


def _add(after: dict[State, set[int]], state: State, done: int) -> None:
    if state in after:
        after[state].add(done)
    else:
        after[state] = {done}


def _size(after: Mapping[State, set[int]]) -> int:
    return sum(map(len, after.values()))
