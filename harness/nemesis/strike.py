"""A strike: one fault, from its start to its end, as a value.

1. All strikes of a run are drawn before it starts. So a schedule can be kept, replayed and made smaller.
2. A strike says what it holds: links, processes, clocks, disks. Two strikes that hold the same thing never overlap in
   time. All others may.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Hold = tuple[str, ...]
"""What a strike has to itself: `("link", "n1", "n2")`, `("process", "n3")`, `("clock", "n2")`, `("disk", "n4")`."""


class Strike(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One fault.

    number: counts from 0 by `at_s`. family: by name. at_s: when it starts, in seconds since the load began. for_s: how
    long it holds, in seconds. how: what the family drew: JSON-able, and part of the operations' values in the history.
    """

    number: int
    family: str
    at_s: float
    for_s: float
    how: Mapping[str, Any] = {}

    @property
    def end_s(self) -> float:
        """When it ends, in seconds since the load began."""
        return self.at_s + self.for_s
