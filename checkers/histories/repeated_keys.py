"""Keys that are given twice. Readers take the last, the first or both, so such a history says nothing.

1. An object of JSON or a map of EDN that has one key twice is refused, by its line and the key: `"value":1,"value":2`.
2. Keys are the same if they are read as the same: `"v\\u0061lue"` is `"value"`, and in EDN `:a` is `"a"`.
"""

from __future__ import annotations

import json
import re
from collections import Counter

_keys = re.compile(rb'"([^"\\]*+)"\s*+:')
_apart = re.compile(rb'"\s+:')


def repeated(text: bytes) -> str | None:
    """The first key that an object in this JSON has twice; None if there is none, or it is no JSON. O(n)."""
    names = _keys.findall(text)
    if b"\\" not in text and len(set(names)) == len(names):
        return None
    found: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> None:
        if len(dict(pairs)) < len(pairs):
            names = Counter(name for name, _ in pairs)
            found.extend(name for name, number in names.items() if number > 1)

    try:
        json.loads(text, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return None
    return found[0] if found else None


def may_repeat(text: bytes, kept: bytes, dropped: bytes = b"\0") -> bool:
    """Whether this JSON has more keys than what was read of it: one twice, an unknown one, or one of a null.

    kept: what was read, written again, without what is null. dropped: a key with its colon that is not kept either.
    O(n), and fast.
    """
    if b'" ' in text and _apart.search(text):
        return True
    return text.count(b'":') - text.count(dropped) != kept.count(b'":') - kept.count(dropped)


def told(name: str) -> str:
    """What is wrong, for a HistoryError."""
    return f"the key {name!r:.60} is given twice, and readers differ in which they take"
