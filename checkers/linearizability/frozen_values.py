"""Frozen values: a history's values as models see them, which can be compared and hashed.

1. Lists become tuples. JSON objects become `Fields`, an immutable mapping.
2. true and false become TRUE and FALSE, and numbers with a fraction or an exponent become Decimal. Python's True and
   1.0 equal 1; in a database they don't.
3. Null, integers and texts stay as they are.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


class Truth(enum.Enum):
    """true and false, equal only to themselves."""

    TRUE = True
    FALSE = False

    def __bool__(self) -> bool:
        return self is Truth.TRUE

    def __repr__(self) -> str:
        return self.name.lower()

    __str__ = __repr__


TRUE, FALSE = Truth.TRUE, Truth.FALSE
_PLAIN = frozenset({int, str, type(None)})


class Fields(Mapping[str, Hashable]):
    """A JSON object: an immutable mapping from name to frozen value, in the order of the names.

    It can be hashed, so it can be a state or a part of one. It equals mappings with the same names and values, and
    never a list of pairs.

    >>> point = freeze({"y": 2, "x": [1]})
    >>> point["x"], list(point), len(point), point == {"x": (1,), "y": 2}, point == (("x", (1,)), ("y", 2))
    ((1,), ['x', 'y'], 2, True, False)
    """

    __slots__ = ("_by_name", "_hash")

    def __init__(self, by_name: Mapping[str, Hashable]) -> None:
        self._by_name = {name: by_name[name] for name in sorted(by_name)}
        self._hash = hash(frozenset(self._by_name.items()))

    def __getitem__(self, name: str) -> Hashable:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Fields):
            return self._hash == other._hash and self._by_name == other._by_name
        return self._by_name == other if isinstance(other, Mapping) else NotImplemented

    def __repr__(self) -> str:
        return f"Fields({self._by_name!r})"

    def __reduce__(self) -> tuple[type[Fields], tuple[dict[str, Hashable]]]:
        # Hashes of texts differ from process to process: the other one computes its own.
        return Fields, (self._by_name,)

    @property
    def value(self) -> dict[str, Hashable]:
        """The fields as a dict, for JSON."""
        return dict(self._by_name)


@dataclass(frozen=True)
class Decimal:
    """A number with a fraction or an exponent. 1.0 is not 1: an answer in another type is another value."""

    value: float


def freeze(value: Any) -> Hashable:
    """A history's value as one that can be compared and hashed. O(its size).

    A frozen value stays as it is. Raises TypeError for what can't be hashed and is neither a list nor a dict.

    >>> freeze([1, {"b": [], "a": True}])
    (1, Fields({'a': true, 'b': ()}))
    """
    kind = type(value)
    if kind in _PLAIN:
        return value  # type: ignore[no-any-return]
    if kind is bool:
        return TRUE if value else FALSE
    if kind is list or kind is tuple:
        return tuple(value) if _PLAIN.issuperset(map(type, value)) else tuple(map(freeze, value))
    if kind is dict:
        return Fields({str(key): freeze(each) for key, each in value.items()})
    if kind is float:
        return Decimal(value)
    if isinstance(value, Hashable):
        return value
    raise TypeError(f"{value!r} is no value of a history")
