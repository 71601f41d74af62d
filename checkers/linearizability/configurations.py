"""Configurations: what an object could be at one moment, and which of the open calls have taken effect by then.

1. A configuration is a state and a set of bits. Each open call has two bits: the lower one is set if the call has taken
   effect, the upper one if it has not and is hidable (rule 4 of `search`).
2. LOST stands for every state that no read can observe any more (rule 7 of `search`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from sys import getsizeof

from splitbrain.checkers.linearizability.model import State

Frontier = Mapping[State, Iterable[int]]
"""Configurations: the sets of bits by state."""

CONFIGURATION_BYTES = 250
"""About what a configuration takes besides its state: an integer, and its place in a set."""


class _Lost(enum.Enum):
    LOST = "lost"


LOST: State = _Lost.LOST


def insert(configurations: dict[State, set[int]], state: State, bits: int) -> None:
    """Add a configuration to those of its state."""
    if state in configurations:
        configurations[state].add(bits)
    else:
        configurations[state] = {bits}


def size_bytes(configurations: Mapping[State, set[int]]) -> int:
    """About how many bytes the configurations take. O(states)."""
    return sum(getsizeof(state) + len(several) * CONFIGURATION_BYTES for state, several in configurations.items())
