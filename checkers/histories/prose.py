"""Counts, times and lists in sentences, the same for every checker.

1. Times are seconds since the start of the run with three decimals, by the history's own clock.
2. A list in a sentence is short; what it omits is counted.
3. Different keys have different names where they are the fields of one object.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable
from typing import TypeVar

from splitbrain.checkers.histories.event import Event

NS_PER_MS = 1_000_000
K = TypeVar("K", bound=Hashable)


def seconds(time_ns: int) -> str:
    """A time of the run.

    >>> seconds(12_345_678_901)
    '12.346 s'
    """
    return f"{time_ns / 1e9:.3f} s"


def milliseconds(duration_ns: int) -> float:
    """A duration in milliseconds, to the microsecond."""
    return round(duration_ns / NS_PER_MS, 3)


def count(number: int, noun: str, plural: str | None = None) -> str:
    """A number and its noun.

    >>> count(1204, "operation"), count(1, "key"), count(2, "history", "histories")
    ('1,204 operations', '1 key', '2 histories')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listing(items: Iterable[object], limit: int = 5, last: str = "and") -> str:
    """Items in a sentence; `last` stands before the last of them.

    >>> listing(["n1", "n2", "n3"]), listing(range(9), limit=2)
    ('n1, n2 and n3', '0, 1 and 7 more')
    """
    names = [str(item) for item in items]
    if len(names) > limit:
        names = [*names[:limit], f"{len(names) - limit} more"]
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


def key_name(key: object) -> str:
    """A key in a sentence or as a JSON field. Histories of a single object have no key."""
    return "the only key" if key is None else str(key)


def key_names(keys: Iterable[K]) -> dict[K, str]:
    """Names of keys as the fields of one JSON object, all different. Where two names would be the same, strings are
    quoted.

    >>> key_names(["x", 1, None]), key_names(["x", 1, "1"])
    ({'x': 'x', 1: '1', None: 'the only key'}, {'x': '"x"', 1: '1', '1': '"1"'})
    """
    names = {key: key_name(key) for key in keys}
    if len(set(names.values())) < len(names):
        names = {key: json.dumps(key, ensure_ascii=False) if isinstance(key, str) else names[key] for key in names}
    return names


def literal(value: object) -> str:
    """A value in a sentence, as JSON writes it; long ones are shortened.

    >>> literal(None), literal((1, "a", (True,))), literal("x" * 99)
    ('null', '[1, "a", [true]]', '"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...')
    """
    # A model's TRUE and FALSE are written as true and false.
    text = json.dumps(value, ensure_ascii=False, default=lambda each: getattr(each, "value", str(each)))
    return text if len(text) <= 60 else text[:57] + "..."


def at(event: Event) -> str:
    """When an event happened, and through which node if it says: `12.345 s (n2)`."""
    return f"{seconds(event.time)} ({event.node})" if event.node else seconds(event.time)
