"""Stall: after a fault the system takes no write any more.

1. Writes had been ok, some were tried after the first fault had ended, and none was ok any more from then on. Looked at
   are the operations before the recovery.
2. It is certain, and the system to blame, if at least 10 writes were tried after the last heal and answered otherwise,
   no fault stood any longer, and every stop had an effect or a later one made up for it (`faults`): nodes that
   recovered only later were still missing. Nor may the environment have been lost.
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
class Stall:
    """A stall (rule 1).

    last: the last write that was ok. late: those answered otherwise that were tried after the last heal and
    before the recovery. certain: whether that is enough to blame the system (rule 2).
    """

    last: Operation
    late: list[Operation]
    certain: bool

    @classmethod
    def of(cls, history: History, load: Sequence[Operation]) -> Stall | None:
        """Look for one among the operations before the recovery. O(n)."""
        found = faults(history)
        heals = [(fault.stop.completion or fault.stop.invocation).index for fault in found if fault.stop is not None]
        writes = [operation for operation in load if operation.f in WRITES]
        ok = [write for write in writes if write.outcome == "ok"]
        if not heals or not ok or not any(write.invocation.index > min(heals) for write in writes):
            return None
        if any(write.completion is not None and write.completion.index > min(heals) for write in ok):
            return None
        late = [write for write in writes if write.completion and write.invocation.index > max(heals)]
        healed = len(heals) == len(found) and not vain_stops(history) and LOST not in stages(history)
        return cls(ok[-1], late, healed and len(late) >= _ENOUGH_WRITES)

    def witness(self) -> Witness:
        shown = [self.last, *self.late[:_ENOUGH_WRITES]]
        events = {event.index for o in shown for event in (o.invocation, o.completion) if event}
        text = (
            f"the last write that was ok was invoked at {at(self.last.invocation)}; after the last heal "
            f"{count(len(self.late), 'write')} were tried, from {at(self.late[0].invocation)} to "
            f"{at(self.late[-1].invocation)}, and none was ok"
        )
        return Witness(text, tuple(sorted(events)), {"kind": "no more writes", "tried": len(self.late)})
