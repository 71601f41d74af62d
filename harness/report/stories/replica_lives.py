"""The life of a value on each replica, as the looks at them tell.

1. A look says that a replica held the value, or that it did not. Between two looks it is open: a life that ends
   between them ended somewhere there.
2. A replica that never held the value and is no home of the key has no life to tell of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.replica_polls import POLL


@dataclass(frozen=True, slots=True)
class Look:
    """One answer of a replica. versions: how many it held."""

    at_ns: int
    held: bool
    versions: int
    index: int


@dataclass(frozen=True, slots=True)
class Life:
    """A replica's looks, in order of time."""

    node: str
    looks: tuple[Look, ...]

    @property
    def last_held(self) -> Look | None:
        """The last look that found the value."""
        return next((look for look in reversed(self.looks) if look.held), None)

    @property
    def dropped(self) -> Look | None:
        """The first look without the value after one with it, if it was never found again."""
        last = self.last_held
        return None if last is None else next((look for look in self.looks if look.at_ns > last.at_ns), None)


def lives(history: History, key: Any, value: Any, since_ns: int) -> list[Life]:
    """The lives, by the nodes' names. since_ns: when the value was written. O(n)."""
    found: dict[str, list[Look]] = {}
    home: set[str] = set()
    for operation in history.operations:
        done = operation.completion
        if operation.f != POLL or done is None or done.type != "ok" or operation.key != key or done.time < since_ns:
            continue
        node, answer = done.node or operation.invocation.node, done.value
        if node is None or not isinstance(answer, dict):
            continue
        values = answer.get("values") or []
        if answer.get("home", True):
            home.add(node)
        held = any(_holds(each, value) for each in values) if isinstance(values, list) else False
        versions = answer.get("versions")
        many = len(versions) if isinstance(versions, list) else 0
        found.setdefault(node, []).append(Look(done.time, held, many, done.index))
    return [
        Life(node, tuple(found[node]))
        for node in sorted(found)
        if node in home or any(look.held for look in found[node])
    ]


def _holds(held: Any, value: Any) -> bool:
    if isinstance(held, list):
        return value in held
    if isinstance(held, dict):
        return held.get("write") == value or value in held
    return bool(held == value)
