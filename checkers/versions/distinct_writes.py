"""Registers with distinct writes: which write each read returned, as columns.

Operations: `write` with a value, `read` whose completion has the value read. A key holds null before its first write.
Polls of replicas are ignored.

1. Values written to one key differ, so a read names the write that it returned. A value written twice is refused, with
   both lines. A write of null is refused too. `values` defines when two values are the same. Failed writes do not
   count: a client may retry with the value of a write that certainly did not happen.
2. A write with an indeterminate outcome (`info`, or never completed) happened if a read returned its value. Otherwise
   its outcome stays ambiguous. It can't change any verdict, so it is left out.
3. A stray is a read of a value that no `ok` or `info` write wrote to that key: either nobody wrote it, or only a write
   that had failed.
4. Any other operation is refused (`refuse_others`), because its effect on a register is not defined.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitbrain.checkers.histories.columns import FAIL, FOREVER, OK, Columns, Integers
from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import at, key_name, literal
from splitbrain.checkers.histories.replica_polls import POLL
from splitbrain.checkers.histories.told_arguments import filled_in
from splitbrain.checkers.histories.values import identity

INITIAL = -1
"""The version of a read that returned null."""
STRAY = -2
"""The version of a read whose value nobody wrote."""


@dataclass(frozen=True)
class DistinctWrites:
    """Operations by field, all of one length, in the order of their invocations; a row each.

    Rows are the `ok` reads, the `ok` writes, and the `info` writes that were read.
    session: code of the process, from 0. key: its code. read: true for a read, false for a write.
    version: of a read, the row of the write that it returned, or INITIAL or STRAY; of a write, its own row.
    invoked, completed: event indices; `completed` is FOREVER for an `info` write. unread: `info` writes left out.
    """

    history: History
    session: Integers
    key: Integers
    read: NDArray[np.bool_]
    version: Integers
    invoked: Integers
    completed: Integers
    sessions: int
    unread: int

    @classmethod
    def of(cls, history: History) -> DistinctWrites:
        """Read the history's registers. O(n log n). Raises HistoryError where rule 1 is broken, and as
        `filled_in` does."""
        history = filled_in(history, ("write",))
        columns = history.columns
        operations = columns.operations
        f = columns.f[operations.invoked]
        codes = {name: code for code, name in enumerate(columns.fs)}
        reads, writes = f == codes.get("read", -1), f == codes.get("write", -1)
        kept = np.flatnonzero((writes & (operations.outcome != FAIL)) | (reads & (operations.outcome == OK)))
        invoked, completed = operations.invoked[kept], operations.completed[kept]
        acknowledged = operations.outcome[kept] == OK
        key, read = columns.key[invoked].astype(np.int64), reads[kept]
        version = _versions(columns, key, read, invoked, completed)
        seen = np.zeros(len(kept), dtype=bool)
        seen[version[read & (version >= 0)]] = True
        happened = read | acknowledged | seen
        row = np.cumsum(happened) - 1
        version = np.where(version >= 0, row[np.maximum(version, 0)], version)
        completed = np.where(acknowledged, completed, FOREVER)
        processes, session = np.unique(columns.process[invoked][happened], return_inverse=True)
        return cls(
            history,
            session.astype(np.int64),
            key[happened],
            read[happened],
            version[happened],
            invoked[happened],
            completed[happened],
            len(processes),
            int((~happened).sum()),
        )

    @property
    def columns(self) -> Columns:
        return self.history.columns

    def __len__(self) -> int:
        return len(self.session)

    @property
    def acknowledged(self) -> NDArray[np.bool_]:
        """Which rows are acknowledged (`ok`) writes."""
        return ~self.read & (self.completed < FOREVER)

    def process(self, row: int) -> int:
        """The number of its process."""
        return int(self.columns.process[self.invoked[row]])

    def key_of(self, row: int) -> str | int | None:
        """Its key, as in the history."""
        key: str | int | None = self.columns.keys[self.key[row]]
        return key

    def value(self, row: int) -> str:
        """The value read or written, as JSON."""
        return literal(self.columns.value[self.completed[row] if self.read[row] else self.invoked[row]])

    def describe(self, row: int) -> str:
        """What it did, as a clause: `process 3 read 7 from x at 0.015 s (n1)`."""
        key, value = key_name(self.key_of(row)), self.value(row)
        moment = at(self.history.events[int(self.invoked[row])])
        if not self.read[row]:
            return f"process {self.process(row)} wrote {value} to {key} at {moment}"
        what = "nothing" if self.version[row] == INITIAL else value
        return f"process {self.process(row)} read {what} from {key} at {moment}"

    def events(self, rows: set[int]) -> tuple[int, ...]:
        """The events of these rows, ascending."""
        ends = {int(self.completed[row]) for row in rows} - {FOREVER}
        return tuple(sorted({int(self.invoked[row]) for row in rows} | ends))

    def as_data(self, row: int) -> dict[str, object]:
        """The row as JSON-able data."""
        value = self.columns.value[self.completed[row] if self.read[row] else self.invoked[row]]
        f = "read" if self.read[row] else "write"
        return {
            "f": f,
            "process": self.process(row),
            "key": self.key_of(row),
            "value": value,
            "index": int(self.invoked[row]),
            "time": int(self.columns.time[self.invoked[row]]),
        }


def refuse_others(columns: Columns, known: tuple[str, ...], what: str) -> None:
    """Raise HistoryError for the first client operation that is neither one of `known` nor a replica poll. O(n)."""
    codes = [code for code, name in enumerate(columns.fs) if name not in (*known, POLL)]
    wrong = np.flatnonzero(np.isin(columns.f, codes) & (columns.process >= 0))
    if len(wrong):
        first = int(wrong[0])
        name = columns.fs[columns.f[first]]
        problem = f"{what} has no operation {name!r}, asked by process {columns.process[first]}; it has "
        raise HistoryError(first + 1, problem + " and ".join(known))


def _versions(
    columns: Columns, key: Integers, read: NDArray[np.bool_], invoked: Integers, completed: Integers
) -> Integers:
    values = columns.value
    version = np.arange(len(key))
    by_key: list[dict[object, int]] = [{} for _ in columns.keys]
    for row, code, index in zip(*_listed(~read, key, invoked), strict=True):
        value = values[index]
        if value is None:
            raise HistoryError(index + 1, "a write needs a value; null is what a key holds before any write")
        writer = by_key[code]
        same = identity(value)
        if same in writer:
            first = int(invoked[writer[same]]) + 1
            name = key_name(columns.keys[code])
            problem = (
                f"{literal(value)} is written to {name} a second time, after line {first}; writes must be distinct"
            )
            raise HistoryError(index + 1, problem)
        writer[same] = row
    for row, code, index in zip(*_listed(read, key, completed), strict=True):
        value = values[index]
        version[row] = INITIAL if value is None else by_key[code].get(identity(value), STRAY)
    return version


def _listed(some: NDArray[np.bool_], key: Integers, index: Integers) -> tuple[list[int], list[int], list[int]]:
    rows = np.flatnonzero(some)
    return rows.tolist(), key[rows].tolist(), index[rows].tolist()
