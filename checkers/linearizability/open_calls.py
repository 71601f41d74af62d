"""The open calls: those invoked and not yet returned at the moment of the walk, and what their bits say.

1. A call that reads is known by its bit alone: it takes effect where a state answers it, and changes nothing.
2. Of other calls that are alike the one that returns first comes first (rule 3 of `search`).
3. One configuration *beats* another with the same state if it can do whatever the other one can (rule 6 of `search`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.linearizability.configurations import LOST
from splitbrain.checkers.linearizability.kinds import Kinds
from splitbrain.checkers.linearizability.model import Model, State
from splitbrain.checkers.linearizability.timeline import Layout


class Alike:
    """The open calls of one kind that doesn't read.

    returns, numbers, bits: the event at which each returns, the call's number, and its lower bit; the soonest return
    first. only: the bit, if there is but one. fresh: whether one that no read observed may be followed by a call that
    overwrites. overwrites, commutes: as the hints say. remembered: the states that follow a state, as far as they are
    known.
    """

    __slots__ = ("bits", "commutes", "fresh", "kind", "numbers", "only", "overwrites", "remembered", "returns")

    def __init__(self, kind: int, kinds: Kinds) -> None:
        self.kind = kind
        self.returns: list[int] = []
        self.numbers: list[int] = []
        self.bits: list[int] = []
        self.only = 0
        self.overwrites = kinds.overwrites[kind]
        self.commutes = kinds.commutes[kind]
        self.fresh = not kinds.blind[kind]
        self.remembered = kinds.remembered(kind)

    def open(self, number: int, bit: int, returned: int) -> None:
        # By the return alone: crashed calls stay in the order of their invocations, whatever bits they were given.
        at = bisect_right(self.returns, returned)
        self.returns.insert(at, returned)
        self.numbers.insert(at, number)
        self.bits.insert(at, bit)
        self.only = 0 if self.only or len(self.bits) > 1 else bit

    def close(self, bit: int) -> None:
        at = self.bits.index(bit)
        del self.returns[at], self.numbers[at], self.bits[at]
        self.only = self.bits[0] if len(self.bits) == 1 else 0

    def next_of(self, done: int) -> Sequence[int]:
        """Which may take effect next: the first that must still be placed, and the first hidable one, if that comes
        before it."""
        hidable = 0
        for bit in self.bits:
            if not done & bit:
                if not done & bit << 1:
                    return (bit, hidable) if hidable else (bit,)
                hidable = hidable or bit
        return (hidable,) if hidable else ()


class OpenCalls:
    """The open calls of a walk along a layout.

    lower: the lower bits of all of them. reading, crashed, hidable: the lower bits of those that read, of those that
    crashed, and of the blind ones that will return. by_kind: those that don't read. losing: whether states are taken
    together as LOST (rule 7 of `search`).
    """

    def __init__(self, layout: Layout, model: Model, kinds: Kinds, *, losing: bool) -> None:
        self._layout = layout
        self._kinds = kinds
        self._leads_to = model.leads_to
        self.losing = (
            losing
            and type(model).leads_to is not Model.leads_to
            and all(reads or blind for reads, blind in zip(kinds.reads, kinds.blind, strict=True))
        )
        self._hiding = self.losing or any(kinds.overwrites)
        self.lower = self.reading = self.crashed = self.hidable = 0
        self.by_kind: dict[int, Alike] = {}
        self._reads: dict[int, int] = {}
        # All calls that read, in the order of their invocations, and the first of them still to be invoked.
        pairs = zip(layout.calls, layout.kinds, strict=True)
        self._all_reads = [call for call, kind in pairs if self.losing and kinds.reads[kind]]
        self._next_read = 0

    def invoke(self, number: int, now: dict[State, set[int]]) -> None:
        """Open a call. If it reads, it takes effect in the states that answer it so (rule 2 of `search`)."""
        kind, bit = self._layout.kinds[number], self._layout.bits[number]
        self.open(number)
        if self._kinds.reads[kind]:
            for state, several in now.items():
                if self._kinds.following(kind, state):
                    now[state] = {each | bit for each in several}
        elif bit & self.hidable and LOST in now:
            now[LOST] = {each | bit << 1 for each in now[LOST]}

    def invoked(self, number: int, state: State, done: int) -> int:
        """Open a call, as `invoke` does, with but one configuration. Returns its bits."""
        kind, bit = self._layout.kinds[number], self._layout.bits[number]
        self.open(number)
        if self._kinds.reads[kind]:
            return done | bit if self._kinds.following(kind, state) else done
        return done | bit << 1 if state is LOST and bit & self.hidable else done

    def open(self, number: int) -> None:
        """Add a call that is invoked."""
        if self._kinds.reads[self._layout.kinds[number]]:
            self._next_read += 1
        self.reopen(number)

    def withdraw(self, number: int) -> None:
        """Take `open` back."""
        if self._kinds.reads[self._layout.kinds[number]]:
            self._next_read -= 1
        self.close(number)
        self.crashed &= ~self._layout.bits[number]

    def reopen(self, number: int) -> None:
        """Take `close` back."""
        kind, bit, returned = self._layout.kinds[number], self._layout.bits[number], self._layout.calls[number].returned
        self.lower |= bit
        if self._kinds.reads[kind]:
            self._reads[kind] = self._reads.get(kind, 0) | bit
            self.reading |= bit
            return
        if kind not in self.by_kind:
            self.by_kind[kind] = Alike(kind, self._kinds)
        self.by_kind[kind].open(number, bit, returned)
        if returned == FOREVER:
            self.crashed |= bit
        elif self._hiding and self._kinds.blind[kind]:
            self.hidable |= bit

    def close(self, number: int) -> None:
        """Remove a call that returned."""
        kind, bit = self._layout.kinds[number], self._layout.bits[number]
        self.lower ^= bit
        if self._kinds.reads[kind]:
            self.reading ^= bit
            self._reads[kind] ^= bit
            if not self._reads[kind]:
                del self._reads[kind]
            return
        self.hidable &= ~bit
        alike = self.by_kind[kind]
        alike.close(bit)
        if not alike.bits:
            del self.by_kind[kind]

    def answered_by(self, state: State) -> int:
        """The bits of the open reads that the state answers."""
        bits, following = 0, self._kinds.following
        for kind, each in self._reads.items():
            if following(kind, state):
                bits |= each
        return bits

    def observers_of(self, state: State, horizon: int) -> int:
        """The bits of the open reads that the state leads to, and a bit beyond all for reads still to be invoked.

        horizon: the event at which the state can no longer be observed by reads still to be invoked.
        """
        leads_to, sample = self._leads_to, self._kinds.sample
        bits = sum(bits for kind, bits in self._reads.items() if leads_to(state, sample[kind]))
        at = self._next_read
        while at < len(self._all_reads) and self._all_reads[at].invoked < horizon:
            if leads_to(state, self._all_reads[at]):
                return bits | self._layout.beyond
            at += 1
        return bits

    def unbeaten(self, several: set[int]) -> set[int]:
        """The sets of bits, all with the same state, that no other one beats. O(n ** 2)."""
        kept: list[Rival] = []
        for bits in sorted(several):
            hidable = bits >> 1
            for one, matters, fixed in kept:
                if not (matters & hidable | fixed & (one ^ bits)):
                    break
            else:
                _, matters, fixed = rival = self.rival(bits)
                kept = [each for each in kept if matters & each[0] >> 1 | fixed & (each[0] ^ bits)]
                kept.append(rival)
        return {bits for bits, _, _ in kept}

    def rival(self, bits: int) -> Rival:
        """A configuration as others are compared with it (rule 6 of `search`)."""
        matters = self.lower & ~(bits >> 1)
        return bits, matters, matters & ~(bits & self.reading | ~bits & self.crashed)


Rival = tuple[int, int, int]
"""A configuration's bits, and what another one with the same state must satisfy to be beaten by it.

The second: the calls that are not hidable in this one. None of them may be hidable in the other. The third: of these,
the calls that must have taken effect in both or neither: all but reads done in this one and crashed calls unused in it.
"""
