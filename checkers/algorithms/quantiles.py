"""Quantiles of durations, by nearest rank.

1. A quantile is one of the durations: the smallest that at least that share of them does not exceed.
   Nothing is interpolated, so the 99.9th percentile of ten durations is the longest.
2. No durations, no quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from splitbrain.checkers.histories.prose import milliseconds

_SHOWN = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}


def percentile(ordered_ns: Sequence[int] | npt.NDArray[np.int64], percent: float) -> int:
    """The `percent`-th percentile of ascending durations, by nearest rank. O(1).

    percent: above 0, at most 100. Raises ValueError if there are no durations.

    >>> percentile([10, 20, 30, 40], 50), percentile([10, 20, 30, 40], 99.9)
    (20, 40)
    """
    if len(ordered_ns) == 0:
        raise ValueError("no durations have no percentile; check that there are some first")
    # Rounded before the ceiling: 99.9% of 1000 is 999, but as floats it is 999.0000000000001.
    rank = math.ceil(round(len(ordered_ns) * percent / 100, 6))
    return int(ordered_ns[max(rank, 1) - 1])


def quantiles_ms(durations_ns: Sequence[int] | npt.NDArray[np.int64]) -> dict[str, float]:
    """p50, p90, p95, p99, p99.9 and max in milliseconds; empty if there are no durations. O(n log n)."""
    if len(durations_ns) == 0:
        return {}
    ordered = np.sort(np.asarray(durations_ns, dtype=np.int64))
    return {name: milliseconds(percentile(ordered, percent)) for name, percent in _SHOWN.items()}
