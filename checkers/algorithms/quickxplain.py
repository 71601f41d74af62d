"""Pruning: of things that can't all be right, so few that without any one of them the rest could be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def pruned(things: Sequence[T], wrong: Callable[[Sequence[T]], bool]) -> list[T]:
    """Few of the things that are wrong by themselves, in their order; the earlier rather than the later.

    wrong: whether things, in their order, can't all be right. It must hold of all of them, and of more things wherever
    it holds of fewer. To keep k of n things it is asked O(k log n) times (as Junker's QuickXplain, 2004).

    >>> pruned(range(100), lambda some: 7 in some and 40 in some)
    [7, 40]
    """
    kept: list[T] = []
    while not wrong(kept):
        # The shortest beginning that makes it go wrong: its last thing is needed, those after it are not.
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
