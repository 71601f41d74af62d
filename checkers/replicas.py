"""Replica polls: what each node, asked by itself, held of a key.

1. A poll is an operation `f: "replica"`; only a home replica's `ok` answer says anything about agreement.
2. Equal lists of versions mean equal replicas.
3. Polls are the harness looking, not a client asking: they are no client operations to other checkers.
"""

from __future__ import annotations

from dataclasses import dataclass

from checkers.history import History, HistoryError, Operation

POLL = "replica"


@dataclass(frozen=True, slots=True)
class Poll:
    """One node's answer, or that none came.

    versions: the versions it held, sorted; None if it did not answer or is no home replica of the key.
    """

    operation: Operation
    node: str
    versions: tuple[str, ...] | None


def polls(history: History) -> list[Poll]:
    """All polls, in the order of their completions; those never completed last. O(n log n).

    Raises HistoryError for an `ok` answer that isn't one.
    """
    found = [_poll(operation) for operation in history.operations if operation.f == POLL]
    last = len(history.events)
    found.sort(key=lambda poll: poll.operation.completion.index if poll.operation.completion else last)
    return found


def client_operations(history: History) -> list[Operation]:
    """The operations that clients asked for: all but the polls. O(n)."""
    return [operation for operation in history.operations if operation.f != POLL]


def _poll(operation: Operation) -> Poll:
    event = operation.completion or operation.invocation
    node = event.node or operation.invocation.node
    if node is None:
        raise HistoryError(event.index + 1, "a replica poll names no node")
    if event.type != "ok":
        return Poll(operation, node, None)
    value = event.value
    if not isinstance(value, dict) or not isinstance(value.get("versions"), list):
        raise HistoryError(event.index + 1, f"an ok replica poll needs a list of versions, has {value!r:.60}")
    return Poll(operation, node, tuple(value["versions"]) if value.get("home", True) else None)
