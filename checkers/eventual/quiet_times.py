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
6. While nodes are down, or were lately (`DOWN`, and no other fault stood in the `quiet_s` before), a read is judged if
   a home replica of its key was not struck, and if all writes of the key that may have happened were settled before.
   Then no hint of the key is left. That replica is asked and has it all, and stand-ins that have nothing must not
   outvote it.

Dynamo (SOSP 2007), sections 4.5 and 4.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from splitbrain.checkers.histories.columns import Integers
from splitbrain.checkers.histories.faults import Fault, faults
from splitbrain.checkers.histories.final_reads import Key
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.replica_polls import polls

DOWN = frozenset({"kill", "pause"})
"""The families of faults that take nodes down, by name, and leave their disks and the network as they were."""
_LONG_AGO = -(1 << 62)
NEVER = 1 << 62
_SPREAD_NS = 500_000_000


class Standing(NamedTuple):
    """From when to when a fault stood, in ns. struck: the nodes that it took down, or None for any other fault."""

    start: int
    end: int
    struck: frozenset[str] | None


@dataclass(frozen=True)
class KeyWrites:
    """The writes of a key that may have happened: when they were invoked and settled, in ns (NEVER if not known)."""

    invoked: Integers
    settled: Integers


@dataclass(frozen=True)
class QuietTimes:
    """When faults stood, and what reads must show therefore.

    starts, ends: of stretches in which faults stood, in ns, ascending and apart. quiet_ns: see rule 1. homes: the home
    replicas of each key. nodes: all that were polled. faults: each by itself.
    """

    starts: Integers
    ends: Integers
    quiet_ns: int
    homes: Mapping[Key, frozenset[str]]
    nodes: frozenset[str]
    faults: tuple[Standing, ...]

    @classmethod
    def of(cls, history: History, quiet_s: float) -> QuietTimes:
        """O(n log n). Raises HistoryError for a poll of the wrong shape."""
        stood = sorted((_standing(fault) for fault in faults(history)), key=lambda each: each.start)
        apart: list[list[int]] = []
        for start, end, _ in stood:
            if apart and start <= apart[-1][1]:
                apart[-1][1] = max(apart[-1][1], end)
            else:
                apart.append([start, end])
        starts, ends = (np.array([each[at] for each in apart], dtype=np.int64) for at in (0, 1))
        answered = [(poll.operation.key, poll.node, poll.versions is not None) for poll in polls(history)]
        homes: dict[Key, set[str]] = {}
        for key, node, home in answered:
            homes.setdefault(key, set()).update({node} if home else ())
        nodes = frozenset(node for _, node, _ in answered)
        frozen = {key: frozenset(some) for key, some in homes.items()}
        return cls(starts, ends, round(quiet_s * 1e9), frozen, nodes, tuple(stood))

    def last_end(self, moments: Integers) -> Integers:
        """For each moment, in ns: the end of the last stretch that began before it, or long ago."""
        at = np.searchsorted(self.starts, moments, side="right") - 1
        return np.where(at >= 0, np.append(self.ends, _LONG_AGO)[at], _LONG_AGO)

    def judged(self, invoked: Integers, completed: Integers, key: Key, writes: KeyWrites) -> NDArray[np.bool_]:
        """Which reads of a key are judged (rules 2, 5 and 6). invoked, completed: in ns."""
        homes = self.homes.get(key, frozenset())
        sheltered = len(self.nodes - homes) < len(homes)
        found = (self.last_end(completed) <= invoked) & (self.is_quiet(invoked) | sheltered)
        for at in np.flatnonzero(~found).tolist():
            found[at] = self._home_is_up(int(invoked[at]), int(completed[at]), homes, writes)
        return np.asarray(found, dtype=np.bool_)

    def _home_is_up(self, invoked: int, completed: int, homes: frozenset[str], writes: KeyWrites) -> bool:
        """Rule 6."""
        lately = [each for each in self.faults if each.start <= completed and each.end > invoked - self.quiet_ns]
        struck: set[str] = set()
        for each in lately:
            if each.struck is None:
                return False
            struck |= each.struck
        since = min((each.start for each in lately), default=invoked)
        mine = writes.invoked <= completed
        return not homes <= struck and bool((writes.settled[mine] <= since).all())

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
            found[at] = min(since + need, NEVER)
        return found

    def must_show(self, read: int, invoked: Integers, settled: Integers) -> NDArray[np.bool_]:
        """Which acknowledged writes a read must show (rules 4 and 5), among those acknowledged before it.

        read: when it was invoked, in ns. invoked, settled: the same of each write, and when it is settled.
        """
        quiet_since = int(self.last_end(np.array([read]))[0]) + self.quiet_ns
        return np.asarray((settled <= read) | ((quiet_since <= read) & (invoked >= quiet_since)), dtype=np.bool_)


def _standing(fault: Fault) -> Standing:
    stop = fault.stop
    end = stop.completion.time if stop is not None and stop.completion is not None else NEVER
    struck = fault.start.nodes if fault.family in DOWN and fault.start.nodes else None
    return Standing(fault.start.invocation.time, end, struck)
