"""Elements of sets: any value that a history can hold.

1. Two elements are the same if they are the same JSON (`values`): 1 is neither "1" nor 1.0 nor true. A set that is an
   element is a list to the reader of EDN, in the order written.
2. Integers and strings stand for themselves. There may be millions, and most elements are either.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from splitbrain.checkers.histories.prose import literal
from splitbrain.checkers.histories.values import identity

_THEMSELVES = {int, str}  # By type() and not isinstance(): true is an int to Python, and equal to 1.


@dataclass(frozen=True, slots=True)
class OtherElement:
    """An element that is neither an integer nor a string. same: what the same elements have in common."""

    same: Hashable
    value: Any = field(compare=False)

    def __str__(self) -> str:
        return literal(self.value)


Element = int | str | OtherElement


def element_of(value: Any) -> Element:
    """The element that a value is.

    >>> element_of(7), str(element_of([7, 0])), element_of([7, 0]) == element_of([7, 0]), element_of(1.0) == 1
    (7, '[7, 0]', True, False)
    """
    return value if type(value) in _THEMSELVES else OtherElement(identity(value), value)


def elements_of(values: Sequence[Any]) -> Sequence[Element]:
    """The elements of a list. O(n), fast where all are integers and strings."""
    return values if set(map(type, values)) <= _THEMSELVES else [element_of(value) for value in values]


def plain(element: Element) -> Any:
    """The value that the element is, as the history has it."""
    return element.value if isinstance(element, OtherElement) else element
