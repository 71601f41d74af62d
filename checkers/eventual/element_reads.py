"""Element reads: what the reads of one set show of its elements, in one walk from the last read to the first.

1. A read's elements are looked at once: there may be millions in all, so one walk serves every question.
2. Stale, stable, vanished and the other words are those of `lost_elements`.
3. Where an anomaly may be shown by several reads, the last of them is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from splitbrain.checkers.eventual.acknowledged import FirstReads, KeyWrites, Value, completion_of
from splitbrain.checkers.eventual.element import Element, elements_of
from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.final_reads import concluding_reads
from splitbrain.checkers.histories.history import Operation


def elements(read: Operation) -> Sequence[Element]:
    """What an ok read returned. Raises HistoryError if that isn't a list."""
    completion = completion_of(read)
    value = completion.value
    if not isinstance(value, list):
        raise HistoryError(completion.index + 1, f"an ok read of a set needs a list, has {value!r:.60}")
    return elements_of(value)


class ElementPresence:
    """In which reads acknowledged elements were.

    last_held: the last read with it. last_lacked: of the reads invoked after its acknowledgement, the last without it.
    stale: those that a read lacked and a later one held.
    """

    def __init__(self, each: KeyWrites) -> None:
        self.each = each
        self.last_held: dict[Value, Operation] = {}
        self.last_lacked: dict[Value, Operation] = {}
        self.stale: set[Value] = set()
        self._later = sorted(each.with_outcome("ok"), key=lambda element: each.acknowledgement(element).index)
        # Acknowledged before the read at hand was invoked: shrinks as the walk goes back.
        self._due = set(self._later)
        self._never_held = set(self._later)

    def look(self, read: Operation, held: set[Value]) -> None:
        while self._later and self.each.acknowledgement(self._later[-1]).index > read.invocation.index:
            self._due.discard(self._later.pop())
        absent = self._due - held
        for element in absent.difference(self.last_lacked):
            self.last_lacked[element] = read
        stale = {element for element in absent if element in self.last_held}
        self.stale |= stale
        self._due -= stale  # Both its last reads are known by now: earlier ones add nothing.
        seen = self._never_held & held
        self._never_held -= seen
        self.last_held.update(dict.fromkeys(seen, read))


class SetConclusion:
    """What the final reads show.

    concluding: the key's concluding reads. remains: what is in any of these. lacked: acknowledged elements, with the
    first of these that lacks it. everywhere: what is in all final reads.
    """

    def __init__(self, each: KeyWrites) -> None:
        self.concluding = concluding_reads(each.final)
        self.remains: set[Value] = set()
        self.lacked: dict[Value, Operation] = {}
        self.everywhere: set[Value] = set()
        self._acknowledged = set(each.with_outcome("ok"))
        self._final = {read.invocation.index for read in each.final}
        self._last = {read.invocation.index for read in self.concluding}
        self._begun = False

    def look(self, read: Operation, held: set[Value]) -> None:
        if read.invocation.index in self._final:
            self.everywhere = self.everywhere & held if self._begun else held
            self._begun = True
        if read.invocation.index in self._last:
            self.remains |= held
            self.lacked.update(dict.fromkeys(self._acknowledged - held, read))


class ElementReads:
    """All that the reads of one set show. Notes in `each.impossible` what no read could have returned.

    presence, conclusion: see there. first: of indeterminate elements, the read that was completed first.
    Raises HistoryError as `elements` does. O(elements read).
    """

    def __init__(self, each: KeyWrites) -> None:
        self.presence, self.conclusion, self.first = ElementPresence(each), SetConclusion(each), FirstReads()
        failed, indeterminate = set(each.with_outcome("fail")), set(each.with_outcome("info"))
        for read in reversed(each.reads):
            listed = elements(read)
            held = set(listed)
            self.presence.look(read, held)
            self.conclusion.look(read, held)
            self.first.note(read, indeterminate & held)
            _note(each.impossible["phantom"], read, listed, held & failed)
            _note(each.impossible["unexpected"], read, listed, held.difference(each.writes))
            if len(held) < len(listed):
                twice = {element for element, times in Counter(listed).items() if times > 1}
                _note(each.impossible["duplicated"], read, listed, twice)


def _note(found: dict[Value, Operation], read: Operation, listed: Sequence[Value], some: set[Value]) -> None:
    """Note some elements in the order of the read: the order of a set of strings differs from run to run."""
    for element in listed if some else ():
        if element in some:
            found.setdefault(element, read)
