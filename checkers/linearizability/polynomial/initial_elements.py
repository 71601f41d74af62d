"""Initial elements of a container, as calls that inserted them one after the other before the first event.

1. Their events have negative indices, so they precede every call of the history. Judged with them, a container that
   starts empty answers as one that starts with the elements.
2. They belong to no operation of the history, so no finding names them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from splitbrain.checkers.linearizability.model import Call


def insertions(f: str, elements: Sequence[Hashable]) -> list[Call]:
    """A call of the operation for each element, in that order.

    >>> [(call.argument, call.invoked, call.returned) for call in insertions("push", ["a", "b"])]
    [('a', -4, -3), ('b', -2, -1)]
    """
    first = -2 * len(elements)
    return [
        Call(f, each, each, invoked=first + 2 * at, returned=first + 2 * at + 1) for at, each in enumerate(elements)
    ]


def recorded(calls: Iterable[Call]) -> tuple[Call, ...]:
    """Those of the calls that the history records, each once, in the order of their invocations."""
    # Calls are compared by identity, and an invocation is one call's.
    return tuple({call.invoked: call for call in sorted(calls, key=_invoked) if call.invoked >= 0}.values())


def during(first: int, last: int) -> str:
    """From which event to which, in parentheses."""
    return f"(events {first} to {last})" if first >= 0 else "(before the first event)"


def _invoked(call: Call) -> int:
    return call.invoked
