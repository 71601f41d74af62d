"""Simpler strikes: shorter holds, fewer targets.

What a family drew for a strike is its own (`Strike.how`). All that is known of it here is that lists are what it hits:
nodes, or links as pairs of nodes. A part of a list is a smaller fault of the same kind, and a family that knows better
refuses it: then it keeps no failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from splitbrain.harness.nemesis.strike import Strike

HOLDS_S = (0.5, 1.0, 2.0, 4.0)


def shorter(strike: Strike) -> Iterator[Strike]:
    """The strike, held for less, the shortest first."""
    for hold_s in HOLDS_S:
        if hold_s < strike.for_s:
            yield msgspec.structs.replace(strike, for_s=hold_s)


def narrower(strike: Strike) -> Iterator[Strike]:
    """The strike on less: on one node or on the links of one node, the smallest first."""
    for name, value in strike.how.items():
        if isinstance(value, list) and len(value) > 1:
            nodes = sorted({node for item in value for node in (item if isinstance(item, list) else [item])})
            parts = [[item for item in value if item == node or node in item] for node in nodes]
            parts += [value[:1]]
            for part in sorted(parts, key=len):
                if 0 < len(part) < len(value):
                    yield _with(strike, name, part)


def _with(strike: Strike, name: str, part: list[Any]) -> Strike:
    how: Mapping[str, Any] = {**strike.how, name: part}
    return msgspec.structs.replace(strike, how=how)
