"""Final reads: what clients could still see when everything was over.

1. A final read is an `ok` read that was invoked after the stage "final-reads" and after the last acknowledged write.
2. In a history without stages, a final read comes after the last nemesis event, and no fault may hold at the end.
3. Where there is none, `missing` says why. A history that ended early proves no loss. Neither does one whose
   environment was lost: what is missing may be on what vanished. Neither does one whose last heal had no effect
   (`faults`), because the fault may still have held.
4. A node's *concluding reads* of a key are its last final read, plus any that overlap it: either may have seen the
   later state. Reads that name no node count as one node's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from splitbrain.checkers.histories.faults import LOST, faults, stages, unhealed
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import count, listing

WRITES = frozenset({"add", "put", "delete", "remove", "checkout"})
Key = str | int | None


@dataclass(frozen=True, slots=True)
class FinalReads:
    """by_key: final reads of each key, in order. missing: why a key without final reads has none."""

    by_key: dict[Key, list[Operation]] = field(default_factory=dict)
    missing: str = "it was not read after the last acknowledged write"

    @classmethod
    def of(cls, history: History) -> FinalReads:
        """Find the final reads of a history. O(n)."""
        broken = unhealed(history)
        if broken is not None:
            return cls(missing=broken)
        reached = stages(history)
        if LOST in reached:
            return cls(missing="the environment was lost before the run was over")
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


def concluding_reads(final: list[Operation]) -> list[Operation]:
    """The concluding reads of every node, out of the final reads of one key in their order. O(n)."""
    begun = {node_of(read): read.invocation.index for read in final}
    return [read for read in final if read.completion and read.completion.index > begun[node_of(read)]]


def node_of(read: Operation) -> str | None:
    """The node that answered, or else the one that was asked."""
    answered = read.completion.node if read.completion else None
    return answered or read.invocation.node


def disagreement(history: History, missing: int, noun: str) -> tuple[bool, str]:
    """How to judge acknowledged writes that the concluding reads of some nodes miss: whether it is invalid, and the
    reason.

    It is invalid where replicas were given time to converge (stage "convergence"). Otherwise they may merely have
    lagged.
    """
    if "convergence" in stages(history):
        return True, f"{count(missing, f'acknowledged {noun}')} missing from some final reads"
    return False, f"the final reads disagree: {count(missing, f'acknowledged {noun}')} missing from some of them"
