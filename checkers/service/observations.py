"""Observations: what a test did, as far as its history shows.

1. Operations are those of clients; replica polls are none. The load is those invoked before the stage "recovery", or
   all in a history without it.
2. Nodes are those that clients used, that polls asked, or that faults named; where faults changed the members of the
   cluster, those that are in it at the end. A node was read at the end if there was a final read (`final_reads`)
   through it. Where clients have no operation `read`, any other does that was ok and was invoked after the stage
   "final-reads".
3. A fault with effect is one whose start says so (`faults`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.faults import LOST, Action, Fault, Span, actions, faults, stages
from splitbrain.checkers.histories.final_reads import FinalReads, Key, node_of
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import seconds
from splitbrain.checkers.histories.replica_polls import client_operations


@dataclass(frozen=True)
class FamilyFigures:
    """Faults of one family: how often started, how often with effect, and how many operations these struck."""

    started: int
    effective: int
    struck: int


@dataclass(frozen=True)
class Observations:
    """What a test did.

    operations, load: see rule 1. reached: the stages, by name. faults: figures by family, in alphabetical order.
    nodes, read: names, in alphabetical order; those of rule 2. final: the final reads.
    """

    history: History
    operations: Sequence[Operation]
    load: Sequence[Operation]
    reached: Mapping[str, Event]
    actions: Sequence[Action]
    faults: Mapping[str, FamilyFigures]
    gone: Sequence[str]
    nodes: Sequence[str]
    read: Sequence[str]
    final: FinalReads

    @classmethod
    def of(cls, history: History) -> Observations:
        """Gather them. O(n * faults). Raises HistoryError as `actions` does."""
        operations, reached, done, found = (
            client_operations(history),
            stages(history),
            actions(history),
            faults(history),
        )
        recovery, final = reached.get("recovery"), FinalReads.of(history)
        last = recovery.index if recovery else len(history.events)
        nodes = {event.node for event in history.events if event.node is not None}
        return cls(
            history,
            operations,
            [operation for operation in operations if operation.invocation.index < last],
            reached,
            done,
            _by_family(found, Span.of(operations)),
            [_gone(fault) for fault in found if fault.stop is not None and fault.stop.gone_before],
            sorted(_members(done, nodes.union(*(action.nodes for action in done)))),
            sorted(_read_through(final) or _asked_through(operations, reached)),
            final,
        )

    @property
    def keys(self) -> int:
        return len({operation.key for operation in self.operations})

    @property
    def ok_in_load(self) -> int:
        return sum(operation.outcome == "ok" for operation in self.load)

    @property
    def recovered(self) -> bool | None:
        """Whether the system served again after the last heal; None without stages."""
        return ("not-recovered" not in self.reached and "recovered" in self.reached) if self.reached else None

    @property
    def ineffective(self) -> list[str]:
        """The actions that had no effect, and what was seen of each."""
        return [
            f"{action.invocation.f} at {seconds(action.invocation.time)}: {action.detail}"
            for action in self.actions
            if action.effective is False
        ]

    @property
    def deaths(self) -> list[Action]:
        """The stops at which processes were found that had died by themselves."""
        return [action for action in self.actions if action.phase == "stop" and action.died]

    @property
    def died(self) -> list[str]:
        """The nodes of these processes, in alphabetical order."""
        return sorted(frozenset[str]().union(*(action.died for action in self.deaths)))

    def keys_unread(self) -> list[tuple[Key, str]]:
        """Keys that were read after "final-reads", each with a node that was read at the end, but not for that key."""
        begun = self.reached.get("final-reads")
        if begun is None:
            return []
        asked = [o.key for o in self.history.operations if o.f == "read" and o.invocation.index > begun.index]
        through = {(key, node_of(read)) for key, reads in self.final.by_key.items() for read in reads}
        return [(key, node) for key in dict.fromkeys(asked) for node in self.read if (key, node) not in through]


def _members(done: Sequence[Action], nodes: frozenset[str] | set[str]) -> frozenset[str] | set[str]:
    """The nodes that are in the cluster at the end."""
    for action in reversed(done):
        if action.members is not None:
            return action.members
    return nodes


def _by_family(found: Sequence[Fault], span: Span) -> dict[str, FamilyFigures]:
    families = {}
    for family in sorted({fault.family for fault in found}):
        some = [fault for fault in found if fault.family == family]
        effective = [fault for fault in some if fault.start.effective is True]
        families[family] = FamilyFigures(len(some), len(effective), int(span.struck_by_any(effective).sum()))
    return families


def _gone(fault: Fault) -> str:
    return f"{fault.label} started at {seconds(fault.start.invocation.time)} was gone before it was healed"


def _asked_through(operations: Sequence[Operation], reached: Mapping[str, Event]) -> set[str]:
    """The nodes through which operations were ok after the stage "final-reads", if none of all is a `read`."""
    begun = reached.get("final-reads")
    if begun is None or LOST in reached or any(operation.f == "read" for operation in operations):
        return set()
    return {
        node
        for operation in operations
        if operation.outcome == "ok" and operation.invocation.index > begun.index and (node := node_of(operation))
    }


def _read_through(final: FinalReads) -> set[str]:
    """The nodes through which there was a final read: those asked, and those that answered."""
    return {
        event.node
        for reads in final.by_key.values()
        for read in reads
        for event in (read.invocation, read.completion)
        if event is not None and event.node is not None
    }
