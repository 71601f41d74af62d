"""The history builder: turns events into columns as they are read, and checks the rules of a history.

1. A process has one operation open at a time. After `info` its number is never used again.
2. A completion has the `f` of its invocation and, if it names a key, its key.
3. Nemesis events have process "nemesis" and type `info`.
4. Where lines carry an index, it is the event's position. Any other index means that lines are missing or reordered.
5. `due` is on invocations only, and not after their time.
6. The error is the first event that breaks a rule, in the order of the lines. It names its line.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable
from typing import Any, NoReturn, TypeVar

import numpy as np

from splitbrain.checkers.histories.columns import FAIL, INFO, INVOKE, NEMESIS_PROCESS, OK, TYPES, Columns
from splitbrain.checkers.histories.event import Event, HistoryError

T = TypeVar("T", bound=Hashable)
_CODES = {"invoke": INVOKE, "ok": OK, "fail": FAIL, "info": INFO}
_NO_PROCESS = -2  # Stands for every number that no process can have.
_BATCH = 8192  # Columns are filled some events at a time: a list comprehension a field beats a loop over events.


class _Table(dict[T, int]):
    """Codes in the order of first occurrence."""

    def __missing__(self, item: T) -> int:
        code = self[item] = len(self)
        return code


class HistoryBuilder:
    """Takes events one by one and makes columns of them.

    numbered: check the events' own indices (rule 4); otherwise they are ignored.
    """

    def __init__(self, *, numbered: bool) -> None:
        self._numbered = numbered
        self._pending: list[Event] = []
        self._lines = array("q")
        self._index, self._time, self._process = array("q"), array("q"), array("q")
        self._type, self._f, self._key = array("b"), array("i"), array("i")
        self._node, self._error = array("i"), array("i")
        self._value: list[Any] = []
        self._due: dict[int, int] = {}
        self._fs = _Table[str]()
        self._keys = _Table[str | int | None]({None: 0})
        self._nodes = _Table[str | None]({None: 0})
        self._errors = _Table[str | None]({None: 0})

    def add(self, line: int, event: Event) -> None:
        """Add an event that was read from that line. Raises HistoryError if a number in it is out of range."""
        self._pending.append(event)
        self._lines.append(line)
        if len(self._pending) == _BATCH:
            self._flush()

    def extend(self, events: Iterable[Event]) -> None:
        """Add events, one a line."""
        for event in events:
            self.add(len(self._lines) + 1, event)

    def columns(self) -> Columns:
        """The columns of all events so far. O(n log n). Raises HistoryError for the first event that breaks a rule."""
        self._flush()
        columns = Columns(
            time=_numbers(self._time),
            process=_numbers(self._process),
            type=np.frombuffer(self._type, dtype=np.int8),
            f=np.frombuffer(self._f, dtype=np.int32),
            key=np.frombuffer(self._key, dtype=np.int32),
            node=np.frombuffer(self._node, dtype=np.int32),
            error=np.frombuffer(self._error, dtype=np.int32),
            value=self._value,
            fs=list(self._fs),
            keys=list(self._keys),
            nodes=list(self._nodes),
            errors=list(self._errors),
            due=self._due,
        )
        self._check_rules(columns)
        return columns

    def _flush(self) -> None:
        batch, self._pending = self._pending, []
        first = len(self._time)
        self._due.update((at, event.due) for at, event in enumerate(batch, first) if event.due is not None)
        try:
            self._index.extend([event.index for event in batch])
            self._time.extend([event.time for event in batch])
            # No process may have a negative number, and none must be taken for the nemesis's.
            self._process.extend(
                [
                    NEMESIS_PROCESS if p == "nemesis" else p if p >= 0 else _NO_PROCESS
                    for p in [e.process for e in batch]
                ]
            )
            self._type.extend([_CODES[event.type] for event in batch])
        except (OverflowError, TypeError, KeyError):
            self._raise_out_of_range(batch)
        self._f.extend(map(self._fs.__getitem__, [event.f for event in batch]))
        self._key.extend(map(self._keys.__getitem__, [event.key for event in batch]))
        self._node.extend(map(self._nodes.__getitem__, [event.node for event in batch]))
        self._error.extend(map(self._errors.__getitem__, [event.error for event in batch]))
        self._value.extend([event.value for event in batch])

    def _raise_out_of_range(self, batch: list[Event]) -> NoReturn:
        """Raise HistoryError for the first event with a field that no column can hold."""
        first = len(self._lines) - len(batch)
        for offset, event in enumerate(batch):
            numbers = {"index": event.index, "time": event.time}
            if event.process != "nemesis":
                numbers["process"] = event.process
            for name, number in numbers.items():
                if type(number) is not int or not -(2**63) <= number < 2**63:
                    raise HistoryError(self._lines[first + offset], f"{name} is {number!r:.60}, no integer of 64 bits")
            if event.type not in _CODES:
                problem = f"type is {event.type!r:.60}; it must be one of {', '.join(_CODES)}"
                raise HistoryError(self._lines[first + offset], problem)
        raise AssertionError("a field did not fit, and then all did")

    def _check_rules(self, columns: Columns) -> None:
        found = [problem for problem in (self._misnumbered(), self._misplaced(columns), self._misdue()) if problem]
        if found:
            at, problem = min(found)
            raise HistoryError(self._lines[at], problem)

    def _misnumbered(self) -> tuple[int, str] | None:
        if not self._numbered:
            return None
        index = _numbers(self._index)
        wrong = np.flatnonzero(index != np.arange(len(index)))
        if not len(wrong):
            return None
        at = int(wrong[0])
        return at, f"index is {index[at]}, expected {at}: lines are missing or reordered"

    def _misdue(self) -> tuple[int, str] | None:
        for at, due in self._due.items():
            if self._type[at] != INVOKE:
                return at, "due is for invocations only: a completion is never late"
            if not -(2**63) <= due <= self._time[at]:
                return at, f"due is {due}, after the invocation's time, {self._time[at]}"
        return None

    def _misplaced(self, columns: Columns) -> tuple[int, str] | None:
        """The first event that may not follow the one before it in its process."""
        client = columns.process != NEMESIS_PROCESS
        wrong = np.flatnonzero(np.where(client, columns.process < 0, columns.type != INFO))
        order = np.flatnonzero(client)
        order = order[np.argsort(columns.process[order], kind="stable")]
        types, process, f, key = (field[order] for field in (columns.type, columns.process, columns.f, columns.key))
        first = np.ones(len(order), dtype=bool)
        first[1:] = process[1:] != process[:-1]
        before = np.empty_like(types)
        before[1:] = types[:-1]
        invokes = types == INVOKE
        other_f, other_key = np.zeros(len(order), dtype=bool), np.zeros(len(order), dtype=bool)
        other_f[1:] = f[1:] != f[:-1]
        other_key[1:] = (key[1:] != 0) & (key[1:] != key[:-1])
        busy = invokes & ~first & ((before == INVOKE) | (before == INFO))
        lone = ~invokes & (first | (before != INVOKE))
        bad = busy | lone | (~invokes & ~lone & (other_f | other_key))
        misplaced = order[bad]
        if not len(wrong) and not len(misplaced):
            return None
        at = int(min([*wrong[:1], *([misplaced.min()] if len(misplaced) else [])]))
        earlier = order[np.flatnonzero(order == at)[0] - 1] if at in misplaced else at
        return at, _problem(columns, at, int(earlier))


def _problem(columns: Columns, at: int, earlier: int) -> str:
    """What is wrong with an event. earlier: the event before it in its process, or itself if there is none."""
    kind, f, process = columns.type[at], columns.fs[columns.f[at]], int(columns.process[at])
    if process == NEMESIS_PROCESS:
        return f"a nemesis event has type {TYPES[kind]!r}; it must be 'info'"
    if process < 0:
        return 'a process has a number from 0, or is "nemesis"; this one has a number below 0'
    same = columns.process[earlier] == process and earlier < at
    if kind == INVOKE:
        if columns.type[earlier] == INVOKE:
            return f"process {process} invokes {f!r} while its last operation is open"
        return f"process {process} invokes {f!r} after an 'info' retired it"
    if not same or columns.type[earlier] != INVOKE:
        return f"process {process} completes {f!r} which it never invoked"
    invoked = columns.fs[columns.f[earlier]]
    if invoked != f:
        return f"process {process} completes {f!r} but had invoked {invoked!r}"
    key, of = columns.keys[columns.key[at]], columns.keys[columns.key[earlier]]
    return f"process {process} completes {f!r} of key {key!r}, invoked of {of!r}"


def _numbers(numbers: array[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.frombuffer(numbers, dtype=np.int64)
