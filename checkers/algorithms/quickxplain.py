"""Minimal conflicting subsets (QuickXplain: Junker, AAAI 2004)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def pruned(things: Sequence[T], wrong: Callable[[Sequence[T]], bool]) -> list[T]:
    """A minimal subset of the things that is still wrong: without any one of them it would not be.

    things: in an order of preference; earlier ones are rather kept. wrong: whether some of the things, in their order,
    are in conflict. It must be true of all of them, and of whatever contains a conflict. It is called O(k log n) times
    to keep k of n things.
    Returns the subset, in the order of the things.

    >>> pruned(range(100), lambda some: 7 in some and 40 in some)
    [7, 40]
    """
    kept: list[T] = []
    while not wrong(kept):
        # The shortest prefix that conflicts with what is kept: its last thing is needed, those after it are not.
        few, enough = 0, len(things)
        while enough - few > 1:
            middle = (few + enough) // 2
            if wrong([*things[:middle], *kept]):
                enough = middle
            else:
                few = middle
        kept.insert(0, things[enough - 1])
        things = things[: enough - 1]
    return kept
