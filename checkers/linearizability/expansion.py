"""Expansion: the ways in which a call that returns can have taken effect by then.

1. Where the call has not taken effect, the other open calls are tried before it, breadth first: a configuration that
   took fewer calls comes first, and beats others.
2. A configuration that an earlier one beats is not followed any further.
3. After a blind call that no read observed, no call that overwrites is tried: the blind call were better left undone.
4. The budget is checked every so many configurations. The expansion ends when it is spent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from sys import getsizeof

from splitbrain.checkers.budget import Budget
from splitbrain.checkers.linearizability.configurations import LOST, insert, size_bytes
from splitbrain.checkers.linearizability.kinds import Kinds
from splitbrain.checkers.linearizability.model import State
from splitbrain.checkers.linearizability.open_calls import Alike, OpenCalls, Rival

_LOOK_EVERY = 256  # Configurations between two looks at the budget.
_PENDING_BYTES = 350  # About what a configuration takes here besides its state: its entries in two tables.
_COMPARED = 64  # A new configuration is compared with so many of the earliest ones.


@dataclass(slots=True)
class Progress:
    """How far a walk came. explored: configurations made. stopped: what of the budget ran out, None to go on."""

    budget: Budget
    explored: int = 0
    stopped: str | None = None
    _next_look: int = 0

    def add(self, configurations: int, held: dict[State, set[int]]) -> None:
        """Count configurations, and look at the budget every so many. held: those that are kept now."""
        self.explored += configurations
        if self.explored >= self._next_look:
            self._next_look = self.explored + _LOOK_EVERY
            self.stopped = self.stopped or self.budget.spent(size_bytes(held))


Entry = tuple[State, int, bool | None]
"""A configuration to be followed, and whether any call may be next (rule 3). None: the call has taken effect in it."""


class Expansion:
    """What can have happened by the return of one call.

    kind, bit: the call's. after: the configurations in which it has taken effect, without its bits; they are added to.
    horizon: the event at which a state can no longer be observed by reads still to be invoked.
    """

    __slots__ = (
        "_after", "_alone", "_bit", "_crashed", "_earlier", "_hidable", "_horizon", "_kind", "_kinds", "_later",
        "_open", "_pending", "_rigid", "_seen", "_spares",
    )  # fmt: skip

    def __init__(
        self, kind: int, bit: int, open_calls: OpenCalls, kinds: Kinds, after: dict[State, set[int]], horizon: int
    ) -> None:
        self._kind = kind
        self._bit = bit
        self._open = open_calls
        self._kinds = kinds
        self._after = after
        self._horizon = horizon
        self._alone = kinds.commutes[kind]
        self._crashed = open_calls.crashed
        self._hidable = open_calls.hidable & ~bit
        self._spares = open_calls.hidable & bit
        # What can beat a configuration agrees with it in all calls but reads, crashed and hidable ones.
        self._rigid = open_calls.lower & ~(open_calls.reading | self._crashed | self._hidable)
        self._earlier: dict[tuple[State, int], list[Rival]] = {}
        self._later: set[tuple[State, int]] = set()  # What came when there were enough to compare with.
        self._seen: dict[State, tuple[int, int]] = {}
        self._pending: list[Entry] = []

    def run(self, lacking: Sequence[tuple[State, int]], progress: Progress) -> Iterator[None]:
        """Expand the configurations in which the call has not taken effect. May end with the budget spent.

        Yields now and then, so that something else can be done meanwhile.
        """
        self._begin(lacking)
        moves = self.moves()
        if moves is None:
            return
        dependent = [alike for alike in moves if not alike.overwrites]
        pending = self._pending = [(state, done, True) for state, done in lacking]
        look = _LOOK_EVERY
        for state, done, any_may in pending:  # The list grows meanwhile.
            self._follow(state, done, moves if any_may else dependent)
            if len(pending) >= look:
                look += _LOOK_EVERY
                progress.stopped = progress.budget.spent(self._held_bytes())
                if progress.stopped:
                    progress.explored += len(pending)
                    return
                yield
                if progress.stopped:  # What was done meanwhile took what was left.
                    return
        progress.add(len(pending), self._after)

    def begin_with(self, state: State, done: int) -> None:
        """Begin with one configuration, to be expanded by `one_more`."""
        self._begin([(state, done)])
        self._pending.append((state, done, True))
        self._pass()

    def one_more(self, moves: Sequence[Alike], *, eager: bool) -> Entry | None:
        """Follow the configuration that came last by those moves, the last of which is followed first.

        Returns that configuration, if the call has taken effect in it: its third member is None. Returns None if there
        is none left. eager: whether other calls may come before the one that returns where that is not needed.
        """
        if not self._pending:
            return None
        entry = state, done, any_may = self._pending.pop()
        if any_may is None:
            return entry
        for alike in moves:
            if any_may or not alike.overwrites:
                self._follow(state, done, (alike,))
                if eager:
                    self._pass()
        self._pass()
        return entry

    def _pass(self) -> None:
        """Put the configurations in which the call has taken effect last."""
        for state, several in self._after.items():
            self._pending += [(state, bits, None) for bits in sorted(several, reverse=True)]
        self._after.clear()

    def _begin(self, lacking: Sequence[tuple[State, int]]) -> None:
        """Note the configurations to begin with; a call that commutes takes effect in each of them."""
        for state, done in lacking:
            self._earlier.setdefault((state, done & self._rigid), []).append(self._open.rival(done))
        if self._alone:
            for state, done in lacking:
                self._take_effect(state, done | self._bit)

    def moves(self) -> Sequence[Alike] | None:
        """The calls that may have to come before this one; None where it commutes with all that is open."""
        # Of calls that commute, like the returning one, none needs to come before it (rule 5).
        moves = [alike for alike in self._open.by_kind.values() if not self._alone or alike.kind != self._kind]
        if self._alone and not self._open.reading and all(alike.commutes for alike in moves):
            return None
        return moves

    def _held_bytes(self) -> int:
        return len(self._pending) * _PENDING_BYTES + sum(map(getsizeof, self._seen)) + size_bytes(self._after)

    def _follow(self, state: State, done: int, moves: Sequence[Alike]) -> None:
        """Let each of the calls that have not taken effect do so."""
        for alike in moves:
            if alike.only:
                if done & alike.only:
                    continue
                chosen: Sequence[int] = alike.bits
            else:
                chosen = alike.next_of(done)
                if not chosen:
                    continue
            following = alike.remembered.get(state)
            if following is None:
                following = self._kinds.following(alike.kind, state)
            for new in following:
                for bit in chosen:
                    # A crashed call that changes nothing is better left unused.
                    if not (bit & self._crashed and new == state):
                        self._arrive(new, bit, done, alike)

    def _arrive(self, state: State, bit: int, done: int, alike: Alike) -> None:
        """Keep the configuration that a call leaves, if it is worth following."""
        seen = self._seen.get(state)
        answers, observers = seen if seen is not None else self._look_at(state)
        answered = answers & ~done
        taken = done | bit | answered
        if alike.overwrites:
            taken |= self._hidable << 1
        taken &= ~((taken & self._hidable) << 1)
        if not observers & ~taken:
            state, taken = self._lose(taken)
        if taken & self._bit:
            insert(self._after, state, taken ^ self._bit)
            return
        if self._alone and (answered or not alike.commutes):
            self._take_effect(state, taken | self._bit)
        if self._is_new(state, taken):
            self._pending.append((state, taken, alike.fresh or answered != 0))

    def _is_new(self, state: State, bits: int) -> bool:
        """Whether no earlier configuration beats this one, as far as they are compared."""
        key = state, bits & self._rigid
        earlier = self._earlier.get(key)
        if earlier is None:
            self._earlier[key] = [self._open.rival(bits)]
            return True
        hidable = bits >> 1
        for one, matters, fixed in earlier:
            if not (matters & hidable | fixed & (one ^ bits)):
                return False
        if len(earlier) < _COMPARED:
            earlier.append(self._open.rival(bits))
        elif (state, bits) in self._later:
            return False
        else:
            self._later.add((state, bits))
        return True

    def _look_at(self, state: State) -> tuple[int, int]:
        """The bits of the open reads that the state answers, and of those that may observe it."""
        # -1 has every bit: never lost.
        observers = self._open.observers_of(state, self._horizon) if self._open.losing else -1
        found = self._seen[state] = self._open.answered_by(state), observers
        return found

    def _lose(self, taken: int) -> tuple[State, int]:
        """The configuration as a lost one: all blind calls that are open are hidable now."""
        taken |= self._hidable << 1 & ~((taken & self._hidable) << 1)
        # The returning call may itself be hidden here, whatever else it may do.
        if self._spares & ~taken:
            insert(self._after, LOST, taken)
        return LOST, taken

    def _take_effect(self, state: State, taken: int) -> None:
        """Let the returning call itself take effect, one that commutes."""
        for new in self._kinds.following(self._kind, state):
            answers, _ = self._seen.get(new) or self._look_at(new)
            insert(self._after, new, (taken | answers) & ~self._bit)
