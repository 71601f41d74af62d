"""Delta debugging: the smallest part of a list that still shows what the whole shows.

1. `ddmin` ends with a list from which no single item can be taken out: 1-minimal.
2. Parts are tried from large to small. A list of which most can go needs about as many trials as the logarithm of its
   length for each item that stays; in the worst case the number is quadratic.

Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input" (2002).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")
First = Callable[[Iterable[tuple[T, ...]]], int | None]
"""Which of the lists is the first that still shows it; None: none does."""


def ddmin(items: Sequence[T], first: First[T], *, or_none: bool = True) -> tuple[T, ...]:
    """A 1-minimal part of the items. first: is asked about parts that are shorter than what was found so far. or_none:
    whether it may be empty.

    >>> wanted = {3, 7}
    >>> ddmin(range(10), lambda parts: next((at for at, part in enumerate(parts) if wanted <= set(part)), None))
    (3, 7)
    """
    kept = tuple(items)
    if or_none and kept and first([()]) is not None:
        return ()
    size = (len(kept) + 1) // 2
    while kept and size < len(kept):
        before = len(kept)
        kept = _swept(kept, size, first, 0 if or_none else 1)
        # Only a sweep that finds nothing shows that no single item can go.
        if size > 1:
            size = min((size + 1) // 2, max(1, (len(kept) + 1) // 2))
        elif len(kept) == before:
            break
    return kept


def _swept(items: tuple[T, ...], size: int, first: First[T], least: int) -> tuple[T, ...]:
    """The items without the pieces of this size that can go, from the last to the first. least: so many stay.

    What came last is the likeliest to go: nothing that follows hangs on it.
    """
    kept, end = items, len(items)
    while end > 0 and len(kept) - min(size, len(kept)) >= least:
        ends = range(end, 0, -size)
        place = first(kept[: max(0, each - size)] + kept[each:] for each in ends)
        if place is None:
            break
        end = max(0, ends[place] - size)
        kept = kept[:end] + kept[ends[place] :]
    return kept
