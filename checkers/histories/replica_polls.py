"""Replica polls: what each node, asked directly, held of a key.

1. A poll is an operation `f: "replica"`. Only an `ok` answer of a primary replica says anything about agreement.
2. Replicas are equal if they hold the same versions with the same values. An id says what a version should hold, not
   what it does hold.
3. An `ok` answer is an object with "versions", a list of ids (strings or integers). It may have "values", a list no
   longer than "versions". It may have "home": true (the default) on a primary replica of the key, false elsewhere. Any
   other answer is refused.
4. The harness polls, not a client. To other checkers, polls are no client operations.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.history import History, Operation

POLL = "replica"
Version = str | int


@dataclass(frozen=True, slots=True)
class Poll:
    """One node's answer, or the fact that none came.

    versions: the versions it held, sorted; None if it did not answer or is no primary replica of the key.
    values: the value of each as canonical JSON, in the same order; "null" where the answer gives none.
    """

    operation: Operation
    node: str
    versions: tuple[Version, ...] | None
    values: tuple[str, ...] = ()

    @property
    def held(self) -> tuple[tuple[Version, str], ...] | None:
        """The versions with their values, to compare replicas by."""
        return None if self.versions is None else tuple(zip(self.versions, self.values, strict=True))


def polls(history: History) -> list[Poll]:
    """All polls, in the order of their completions, followed by those that never completed. O(n log n).

    Raises HistoryError for an `ok` answer of the wrong shape.
    """
    found = [_poll(operation) for operation in history.operations if operation.f == POLL]
    last = len(history.events)
    found.sort(key=lambda poll: poll.operation.completion.index if poll.operation.completion else last)
    return found


def client_operations(history: History) -> list[Operation]:
    """The operations of clients: all but the polls. O(n)."""
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
    home = value.get("home", True)
    if not isinstance(home, bool):
        raise HistoryError(event.index + 1, f'an ok replica poll says at "home" true or false, has {home!r:.60}')
    if not home:
        return Poll(operation, node, None)
    versions, values = tuple(value["versions"]), value.get("values") or []
    for id_ in versions:
        if type(id_) is not str and type(id_) is not int:  # Not isinstance: true is an int to Python.
            raise HistoryError(event.index + 1, f"the id of a version is a string or an integer, not {id_!r:.60}")
    if not isinstance(values, list) or len(values) > len(versions):
        raise HistoryError(event.index + 1, f"an ok replica poll needs a value for each version, has {values!r:.60}")
    values = [*values, *[None] * (len(versions) - len(values))]
    return Poll(operation, node, versions, tuple(json.dumps(each, sort_keys=True) for each in values))
