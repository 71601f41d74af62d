"""A script: clients' operations as values, each at its time on its process, and the generator that performs them.

1. An operation starts at its time, whatever the others do. None is skipped.
2. A process does its operations through one client, in order. An operation whose process is still busy is done by a
   spare one, its successor, which does the later ones too.
3. Taking an operation out leaves the others as they were: at their times, on their processes, through their nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from splitbrain.checkers.histories.event import Event
from splitbrain.harness.generators import PENDING, Context, Generator, Pending, Step, Test, Thread, seconds
from splitbrain.harness.operation import Invocation


class ScriptedOperation(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One operation of a client, as an array in JSON.

    at_s: when it starts, in seconds since the load began. process: whose it is, from 0 and below the concurrency. f,
    key, value, node: as in the history; a node of None is the process's own.
    """

    at_s: float
    process: int
    f: str
    key: str | None = None
    value: Any = None
    node: str | None = None


def scripted(operations: Sequence[ScriptedOperation]) -> Generator:
    """The operations, by their times. Those of one moment are done in the order given."""
    return Script(tuple(sorted(operations, key=lambda operation: operation.at_s)))


@dataclass(frozen=True, slots=True)
class Script:
    """See `scripted`.

    done: how many of the operations were begun. began_ns: when it was first asked. successors: the threads of
    processes that were found busy.
    """

    operations: tuple[ScriptedOperation, ...]
    done: int = 0
    began_ns: int | None = None
    successors: Mapping[int, Thread] = field(default_factory=dict)

    def op(self, test: Test, context: Context) -> Step:
        if self.done == len(self.operations):
            return None
        if self.began_ns is None:
            return replace(self, began_ns=context.time_ns).op(test, context)
        operation = self.operations[self.done]
        due_ns = self.began_ns + seconds(operation.at_s)
        if context.time_ns < due_ns:
            return Pending(due_ns), self
        thread = self.successors.get(operation.process, operation.process)
        successors = self.successors
        # A successor that is idle is not among those that are free, as a spare one: but it is not busy either.
        if thread in context.busy:
            free = context.with_spare().free
            if not free:
                return PENDING, self
            thread = free[-1]
            successors = {**successors, operation.process: thread}
        invocation = Invocation(
            operation.f, operation.value, operation.key, operation.node, context.process(thread), due_ns
        )
        return invocation, replace(self, done=self.done + 1, successors=successors)

    def update(self, test: Test, context: Context, event: Event) -> Generator:
        return self
