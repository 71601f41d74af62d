"""A history's operations as arrays, one element an operation, in the order of invocation.

1. An operation without a completion ends where the history ends, and `done` is -1.
2. A lane holds one process at a time. When a process is retired, its successor takes a free lane. So there are as many
   lanes as there were processes at once, not as many as there were process numbers.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.replica_polls import POLL
from splitbrain.harness.report.faults import end_ns

OUTCOMES: Final = ("ok", "fail", "info")
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Columns:
    """n operations.

    start, end: ns. due: ns; when an operation should have started, before `start` if it waited for a free client.
    outcome: index into OUTCOMES. index, done: positions of invocation and completion in the history.
    f, key, node: indices into the names beside them; the name "" stands for none. lanes: how many there are.
    """

    start: Integers
    end: Integers
    due: Integers
    outcome: Integers
    process: Integers
    lane: Integers
    index: Integers
    done: Integers
    f: Integers
    key: Integers
    node: Integers
    f_names: tuple[str, ...]
    key_names: tuple[str, ...]
    node_names: tuple[str, ...]
    lanes: int
    end_ns: int

    @property
    def n(self) -> int:
        return len(self.start)

    @property
    def observing(self) -> Booleans:
        """Which operations are the harness's own replica polls, and not the load of a client."""
        polls = [code for code, name in enumerate(self.f_names) if name == POLL]
        return np.isin(self.f, polls)

    def at_event(self, event: int) -> int | None:
        """The operation that an event of the history belongs to."""
        found = np.flatnonzero((self.index == event) | (self.done == event))
        return int(found[0]) if len(found) else None


def columns(history: History) -> Columns:
    """The history's operations as columns. O(n log lanes)."""
    names: tuple[dict[str, int], ...] = ({}, {}, {})
    last = end_ns(history)
    rows = np.empty((len(history.operations), 10), dtype=np.int64)
    for row, operation in enumerate(history.operations):
        asked, done = operation.invocation, operation.completion
        rows[row] = (
            asked.time,
            last if done is None else done.time,
            asked.intended_time,
            OUTCOMES.index(operation.outcome),
            operation.process,
            asked.index,
            -1 if done is None else done.index,
            names[0].setdefault(asked.f, len(names[0])),
            names[1].setdefault("" if asked.key is None else str(asked.key), len(names[1])),
            names[2].setdefault((done.node if done else None) or asked.node or "", len(names[2])),
        )
    start, end, due, outcome, process, index, done_at, f, key, node = rows.T.copy()
    lane, lanes = _lanes(process, start, end)
    f_names, key_names, node_names = (tuple(table) for table in names)
    return Columns(
        start,
        end,
        due,
        outcome,
        process,
        lane,
        index,
        done_at,
        f,
        key,
        node,
        f_names,
        key_names,
        node_names,
        lanes,
        last,
    )


def _lanes(process: Integers, start: Integers, end: Integers) -> tuple[Integers, int]:
    """The lane of each operation, and how many lanes there are. Processes are intervals; the lowest free lane wins."""
    numbers, first, inverse = np.unique(process, return_index=True, return_inverse=True)
    until = np.zeros(len(numbers), dtype=np.int64)
    np.maximum.at(until, inverse, end)
    lane_of = np.zeros(len(numbers), dtype=np.int64)
    busy: list[tuple[int, int]] = []
    free: list[int] = []
    lanes = 0
    for at in np.lexsort((numbers, start[first])):
        while busy and busy[0][0] <= start[first[at]]:
            heapq.heappush(free, heapq.heappop(busy)[1])
        if free:
            lane = heapq.heappop(free)
        else:
            lane, lanes = lanes, lanes + 1
        lane_of[at] = lane
        heapq.heappush(busy, (int(until[at]), lane))
    # From top to bottom by the lowest number that each ever held, as a reader expects them.
    lowest = np.full(lanes, np.iinfo(np.int64).max)
    np.minimum.at(lowest, lane_of, numbers)
    place = np.argsort(np.argsort(lowest))
    return place[lane_of[inverse]], lanes
