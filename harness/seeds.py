"""Seeds: one number for a whole run, split by name into as many independent seeds as it needs.

1. A seed is any int. Splitting is pure, so the draws of one part never depend on how much another part drew.
2. Draws are the same on any machine, Python and PYTHONHASHSEED: a keyed hash, and only IEEE-exact arithmetic after it.
   Exponential and normal draws of `random` go through libm, and its choice and shuffle changed between versions of
   Python: use `choose` and `shuffled`.

Splittable generators: Claessen and Palka, Haskell 2013.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


def split(seed: int, label: str | int) -> int:
    """A seed for the part called `label`, from 0 to 2**64 - 1. O(length of the label), about 1 us.

    >>> split(1, "network") == split(1, "network"), split(1, "network") == split(1, "disk")
    (True, False)
    >>> split(1, 7) == split(1, "7")
    False
    """
    kind = "i" if isinstance(label, int) else "s"
    return int.from_bytes(blake2b(f"{seed}/{kind}{label}".encode(), digest_size=8).digest(), "big")


def draw(seed: int) -> random.Random:
    """A stream of draws from this seed; keep to `random()`, `getrandbits`, `choose` and `shuffled`."""
    return random.Random(seed)


def fraction(seed: int) -> float:
    """One uniform draw from [0, 1), where a stream would cost more than the draw."""
    return (split(seed, "fraction") >> 11) * 2.0**-53


def log_uniform(rng: random.Random, least: float, most: float) -> float:
    """A draw between two positive bounds, each factor as likely as any other.

    It takes square roots, which are IEEE-exact, and not powers, which go through libm. O(1).
    """
    low, high = least, max(least, most)
    # Halvings of the logarithm's scale: each takes the geometric mean as a new bound.
    for _ in range(12):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if rng.random() < 0.5 else (middle, high)
    return low


def choose(rng: random.Random, items: Sequence[T]) -> T:
    """One of the items, uniformly. Raises IndexError if there is none."""
    return items[int(rng.random() * len(items))]


def shuffled(rng: random.Random, items: Iterable[T]) -> list[T]:
    """The items in a uniformly random order (Fisher and Yates). O(n)."""
    order = list(items)
    for last in range(len(order) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        order[last], order[other] = order[other], order[last]
    return order
