"""Quiet times: what overlapping quorums promise of a read while nothing fails.

Quorums of which any two overlap (R + W > N) show every acknowledged write, as long as replicas answer for themselves.
While one is away others stand in for it (sloppy quorums), and need not meet. So:

1. A fault stands from the invocation of its start to the completion of the stop that ended it; for ever if none did.
   It is quiet at a moment if no fault stood in the `quiet_s` before it.
2. A read is judged only if no fault stood while it was under way.
3. A write is settled once every home replica must hold it. If it was quiet when it was invoked, no home replica was
   suspected, and half a second after the acknowledgement will do, if no fault stood before. Otherwise `quiet_s` must
   have passed after the acknowledgement in which none stood: hints are delivered by then.
4. A read that was invoked when it was quiet must show the writes that were settled before, and those that were
   acknowledged before and invoked when it was quiet already, with no fault in between.
5. Any other read comes right after a fault, when nodes may still be suspected. It must show what was settled before. It
   is judged only where fewer nodes can stand in for the key's home replicas than there are home replicas: then one
   of these is asked, whatever is suspected. Polls of replicas tell (`replica_polls`): home replicas are those that
   answered as such.

Dynamo (SOSP 2007), sections 4.5 and 4.6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitbrain.checkers.histories.columns import Integers
from splitbrain.checkers.histories.faults import faults
from splitbrain.checkers.histories.final_reads import Key
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.replica_polls import polls

_LONG_AGO = -(1 << 62)
_NEVER = 1 << 62
_SPREAD_NS = 500_000_000


@dataclass(frozen=True)
class QuietTimes:
    """When faults stood, and what reads must show therefore.

    starts, ends: of stretches in which faults stood, in ns, ascending and apart. quiet_ns: see rule 1. sheltered: the
    keys of rule 5.
    """

    starts: Integers
    ends: Integers
    quiet_ns: int
    sheltered: frozenset[Key]

    @classmethod
    def of(cls, history: History, quiet_s: float) -> QuietTimes:
        """O(n log n). Raises HistoryError for a poll of the wrong shape."""
        apart: list[list[int]] = []
        for fault in sorted(faults(history), key=lambda fault: fault.start.invocation.time):
            start, stop = fault.start.invocation.time, fault.stop
            end = (stop.completion.time if stop.completion else _NEVER) if stop else _NEVER
            if apart and start <= apart[-1][1]:
                apart[-1][1] = max(apart[-1][1], end)
            else:
                apart.append([start, end])
        starts, ends = (np.array([each[at] for each in apart], dtype=np.int64) for at in (0, 1))
        return cls(starts, ends, round(quiet_s * 1e9), _sheltered(history))

    def last_end(self, moments: Integers) -> Integers:
        """For each moment, in ns: the end of the last stretch that began before it, or long ago."""
        at = np.searchsorted(self.starts, moments, side="right") - 1
        return np.where(at >= 0, np.append(self.ends, _LONG_AGO)[at], _LONG_AGO)

    def judged(self, invoked: Integers, completed: Integers, key: Key) -> NDArray[np.bool_]:
        """Which reads of a key are judged (rules 2 and 5). invoked, completed: in ns."""
        undisturbed = self.last_end(completed) <= invoked
        return undisturbed & (self.is_quiet(invoked) | (key in self.sheltered))

    def is_quiet(self, moments: Integers) -> NDArray[np.bool_]:
        """Rule 1."""
        return np.asarray(self.last_end(moments) + self.quiet_ns <= moments, dtype=np.bool_)

    def settled(self, invoked: Integers, acknowledged: Integers) -> Integers:
        """When writes that were invoked and acknowledged at these moments, in ns, are settled (rule 3)."""
        needed = np.where(self.is_quiet(invoked), min(_SPREAD_NS, self.quiet_ns), self.quiet_ns)
        found = np.empty_like(acknowledged)
        stretches = list(zip(self.starts.tolist(), self.ends.tolist(), strict=True))
        writes = zip(invoked.tolist(), acknowledged.tolist(), needed.tolist(), strict=True)
        for at, (begun, since, need) in enumerate(writes):
            for start, end in stretches:
                if end > begun and start < since + need:
                    since, need = max(since, end), self.quiet_ns
            found[at] = min(since + need, _NEVER)
        return found

    def must_show(self, read: int, invoked: Integers, settled: Integers) -> NDArray[np.bool_]:
        """Which acknowledged writes a read must show (rules 4 and 5), among those acknowledged before it.

        read: when it was invoked, in ns. invoked, settled: the same of each write, and when it is settled.
        """
        quiet_since = int(self.last_end(np.array([read]))[0]) + self.quiet_ns
        return np.asarray((settled <= read) | ((quiet_since <= read) & (invoked >= quiet_since)), dtype=np.bool_)


def _sheltered(history: History) -> frozenset[Key]:
    """The keys that have more home replicas than other nodes."""
    homes: dict[Key, set[str]] = {}
    nodes: set[str] = set()
    for poll in polls(history):
        nodes.add(poll.node)
        if poll.versions is not None:
            homes.setdefault(poll.operation.key, set()).add(poll.node)
    return frozenset(key for key, some in homes.items() if len(nodes) - len(some) < len(some))
