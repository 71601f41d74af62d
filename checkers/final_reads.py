"""Final reads: what the clients could still see once all was over.

1. A final read is an `ok` read that was invoked after the stage "final-reads" and after the last acknowledged
   write.
2. In a history without stages, "after the last nemesis event, with no fault left standing" takes the stage's
   place.
3. Where there is none, it is said why: a history that ended early proves no loss.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from checkers.faults import faults, stages
from checkers.history import History, Operation
from checkers.prose import listing

WRITES = frozenset({"add", "put"})
Key = str | int | None


@dataclass(frozen=True, slots=True)
class FinalReads:
    """by_key: final reads of each key, in order. missing: why a key without any has none."""

    by_key: dict[Key, list[Operation]] = field(default_factory=dict)
    missing: str = "it was not read after the last acknowledged write"

    @classmethod
    def of(cls, history: History) -> FinalReads:
        """Find them. O(n)."""
        reached = stages(history)
        if reached:
            if "final-reads" not in reached:
                return cls(missing="the run ended before its final reads")
            after = reached["final-reads"].index
        else:
            standing = [fault.label for fault in faults(history) if fault.stop is None]
            if standing:
                return cls(missing=f"{listing(standing)} stood until the end")
            after = max((event.index for event in history.nemesis), default=-1)
        for operation in history.operations:
            if operation.f in WRITES and operation.completion is not None and operation.outcome == "ok":
                after = max(after, operation.completion.index)
        by_key: dict[Key, list[Operation]] = {}
        for operation in history.operations:
            if operation.f == "read" and operation.invocation.index > after and operation.outcome == "ok":
                by_key.setdefault(operation.key, []).append(operation)
        return cls(by_key)
