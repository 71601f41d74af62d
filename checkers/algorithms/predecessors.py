"""Predecessor search: the last row of a group before a given row, for many queries at once."""

from __future__ import annotations

import numpy as np

from splitbrain.checkers.histories.columns import Integers


class PredecessorTable:
    """Rows by group, sorted for binary search.

    group, row: one entry each, neither negative.
    """

    def __init__(self, group: Integers, row: Integers) -> None:
        order = np.lexsort((row, group))
        self.group, self.row = group[order], row[order]
        self._span = int(row.max()) + 1 if len(row) else 1
        self._places = self.group * self._span + self.row

    def before(self, group: Integers, row: Integers) -> Integers:
        """The last row of each given group below the given row, or -1. O(log n) each."""
        at = np.searchsorted(self._places, group * self._span + np.minimum(row, self._span), side="left") - 1
        found = np.maximum(at, 0)
        there = (at >= 0) & (self.group[found] == group) if len(self.row) else np.zeros(len(at), dtype=bool)
        return np.where(there, self.row[found], -1) if len(self.row) else np.full(len(at), -1)
