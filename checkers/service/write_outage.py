"""Write outage: after a fault the system takes no write any more.

1. Only operations before the recovery count. There is an outage if writes had been ok before the first fault had ended,
   some were tried after that, and none of them was ok any more.
2. It is certain, and the system to blame, if at least 10 writes were tried and answered after the last heal, and no
   fault stood any longer. Besides, every stop must have had an effect, or a later one made up for it (`faults`). Nodes
   that recovered only later were still missing, so "recovered" does not make up for a stop here.
3. It is not certain if the environment was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from splitbrain.checkers.histories.faults import LOST, faults, stages, vain_stops
from splitbrain.checkers.histories.final_reads import WRITES
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, count
from splitbrain.checkers.verdict import Witness

_ENOUGH_WRITES = 10  # Fewer failures in a row may be bad luck.


@dataclass(frozen=True, slots=True)
class WriteOutage:
    """An outage (rule 1).

    last: the last write that was ok. late: those answered otherwise that were tried after the last heal and
    before the recovery. certain: whether that is enough to blame the system (rule 2).
    """

    last: Operation
    late: list[Operation]
    certain: bool

    @classmethod
    def of(cls, history: History, load: Sequence[Operation]) -> WriteOutage | None:
        """Look for one among the operations before the recovery. O(n)."""
        stops = [fault.stop for fault in faults(history) if fault.stop is not None]
        heals = [(stop.completion or stop.invocation).index for stop in stops]
        writes = [operation for operation in load if operation.f in WRITES]
        last = next((write for write in reversed(writes) if write.outcome == "ok"), None)
        if not heals or last is None or not _stopped(writes, min(heals)):
            return None
        late = [write for write in writes if write.completion and write.invocation.index > max(heals)]
        return cls(last, late, len(late) >= _ENOUGH_WRITES and _healed(history))

    def witness(self) -> Witness:
        shown = [self.last, *self.late[:_ENOUGH_WRITES]]
        events = {event.index for o in shown for event in (o.invocation, o.completion) if event}
        text = (
            f"the last write that was ok was invoked at {at(self.last.invocation)}; after the last heal "
            f"{count(len(self.late), 'write')} were tried, from {at(self.late[0].invocation)} to "
            f"{at(self.late[-1].invocation)}, and none was ok"
        )
        return Witness(text, tuple(sorted(events)), {"kind": "no more writes", "tried": len(self.late)})


def _stopped(writes: Sequence[Operation], healed: int) -> bool:
    """Whether writes were tried after that event, and none was ok any more."""
    tried = any(write.invocation.index > healed for write in writes)
    ok = [write.completion for write in writes if write.outcome == "ok"]
    return tried and not any(completion is not None and completion.index > healed for completion in ok)


def _healed(history: History) -> bool:
    """Whether nothing but the system can have kept writes from succeeding after the last heal (rules 2 and 3)."""
    stood = any(fault.stop is None for fault in faults(history))
    return not stood and not vain_stops(history) and LOST not in stages(history)
