"""A history as columns, for numpy and for checks of a million operations.

1. Events are numbered from 0 in the order of the history, operations from 0 in the order of their invocations.
2. Strings and keys are codes into a table of the values that occur, in the order of their first occurrence.
3. An operation without a completion counts as `info`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

INVOKE, OK, FAIL, INFO = range(4)
"""Types of events, and (but for the first) outcomes of operations."""
TYPES: tuple[Literal["invoke"], Literal["ok"], Literal["fail"], Literal["info"]] = ("invoke", "ok", "fail", "info")
NEMESIS_PROCESS = -1
FOREVER = 1 << 62
"""The index at which an operation that never completed ends: after all that did."""

Integers = NDArray[np.int64]
Codes = NDArray[np.int32]


@dataclass(frozen=True)
class Columns:
    """Events by field; all columns have one length.

    time: nanoseconds. process: its number, or NEMESIS_PROCESS. type: INVOKE, OK, FAIL or INFO.
    f, key, node, error: codes into fs, keys, nodes, errors. The first key, node and error are None. value: as recorded.
    due: `Event.due` of the few events that have it, by index.
    """

    time: Integers
    process: Integers
    type: NDArray[np.int8]
    f: Codes
    key: Codes
    node: Codes
    error: Codes
    value: Sequence[Any]
    fs: Sequence[str]
    keys: Sequence[str | int | None]
    nodes: Sequence[str | None]
    errors: Sequence[str | None]
    due: Mapping[int, int] = field(default_factory=dict)

    @cached_property
    def operations(self) -> OperationColumns:
        """The clients' operations. O(n log n)."""
        client = np.flatnonzero(self.process != NEMESIS_PROCESS)
        # Sorted by process, a completion directly follows its invocation.
        order = client[np.argsort(self.process[client], kind="stable")]
        types, processes = self.type[order], self.process[order]
        opens = types == INVOKE
        completed = np.zeros(len(order), dtype=bool)
        if len(order):
            completed[:-1] = opens[:-1] & (types[1:] != INVOKE) & (processes[1:] == processes[:-1])
        following = np.full(len(order), FOREVER)
        following[:-1][completed[:-1]] = order[1:][completed[:-1]]
        outcomes = np.full(len(order), INFO, dtype=np.int8)
        outcomes[:-1][completed[:-1]] = types[1:][completed[:-1]]
        invoked, at = order[opens], np.argsort(order[opens])
        return OperationColumns(invoked[at], following[opens][at], outcomes[opens][at])


@dataclass(frozen=True)
class OperationColumns:
    """Operations by field, in the order of their invocations; all columns have one length.

    invoked: event index of the invocation. completed: that of the completion, of whatever type; FOREVER if none came.
    outcome: OK, FAIL or INFO. Process, f, key and argument are in the columns of events, at `invoked`.
    """

    invoked: Integers
    completed: Integers
    outcome: NDArray[np.int8]
