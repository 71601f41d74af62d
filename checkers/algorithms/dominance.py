"""Dominance counting: for many ranges at once, how many entries are below a bound, and the first of them.

Entries belong to groups that are stored side by side. A range reaches to the end of a group.
"""

from __future__ import annotations

import numpy as np

from splitbrain.checkers.histories.columns import Integers


def below(
    values: Integers, group: Integers, begin: Integers, end: Integers, bound: Integers
) -> tuple[Integers, Integers]:
    """For each range, the number of entries below its bound, and the least entry if it is below, else -1.

    values: not negative. group: of each value, ascending from 0. begin, end: of the ranges; each ends where a group
    does.
    bound: of each range. O((values + ranges) * log of the largest bound), by a wavelet matrix (Claude, Navarro and
    Ordóñez, Information Systems 2015).
    """
    number, least = np.zeros(len(begin), dtype=np.int64), np.full(len(begin), -1, dtype=np.int64)
    if not len(values):
        return number, least
    # Values above every bound are all alike. Once capped, an offset distinguishes the groups.
    highest = int(bound.max(initial=0))
    capped = np.minimum(values, highest)
    span = highest + 1
    suffix = np.minimum.accumulate((capped + group * span)[::-1])[::-1]
    there = np.flatnonzero(begin < end)
    first = suffix[begin[there]] - group[begin[there]] * span
    some = there[first < bound[there]]
    least[some] = first[first < bound[there]]
    number[some] = _count(capped, begin[some], end[some], bound[some])
    return number, least


def _count(values: Integers, begin: Integers, end: Integers, bound: Integers) -> Integers:
    found = np.zeros(len(begin), dtype=np.int64)
    if not len(begin):
        return found
    values = np.minimum(values, bound.max())
    zeros = np.zeros(len(values) + 1, dtype=np.int64)
    for bit in range(int(bound.max()).bit_length() - 1, -1, -1):
        ones = (values >> bit) & 1
        np.cumsum(1 - ones, out=zeros[1:])
        lower, upper = zeros[begin], zeros[end]
        high = ((bound >> bit) & 1).astype(bool)
        found += np.where(high, upper - lower, 0)
        begin = np.where(high, zeros[-1] + begin - lower, lower)
        end = np.where(high, zeros[-1] + end - upper, upper)
        values = np.concatenate((values[ones == 0], values[ones == 1]))
    return found
