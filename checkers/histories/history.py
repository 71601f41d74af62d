"""The history: what clients asked, what they were answered, and what was done to the system meanwhile.

1. The order of events is the order of the lines. `time` is for durations only.
2. An operation is an invocation and, if one came, its completion by the same process. `ok`: it happened. `fail`: it
   certainly did not happen. `info`, or no completion at all: its outcome is indeterminate.
3. `builder` checks what a process may do when. An event that breaks a rule is an error that names its line.
4. A last line that was cut off is what a crash leaves: it is dropped, and `truncated` says so. A line was cut off only
   if more text could have made it an event. Any other bad line is malformed.
5. Values are nested 200 levels deep at most (`nesting`).
6. A history that was read is kept as columns. An event is made when it is asked for, and is not kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, repeat
from typing import Any, Literal, overload

import msgspec

from splitbrain.checkers.histories.builder import HistoryBuilder
from splitbrain.checkers.histories.columns import FOREVER, NEMESIS_PROCESS, TYPES, Columns
from splitbrain.checkers.histories.event import NEMESIS, Event, HistoryError
from splitbrain.checkers.histories.nesting import SHORT, TOO_DEEP, too_deep
from splitbrain.checkers.histories.repeated_keys import may_repeat, repeated, told

_BATCH = 1024
_lines_of = msgspec.json.Encoder().encode_lines
_ENDED = "Input data was truncated"  # In the words of the decoder.


@dataclass(frozen=True, slots=True)
class Operation:
    """A client's operation: its invocation and, unless the run ended first, its completion."""

    invocation: Event
    completion: Event | None

    @property
    def process(self) -> int:
        assert isinstance(self.invocation.process, int)
        return self.invocation.process

    @property
    def f(self) -> str:
        return self.invocation.f

    @property
    def key(self) -> str | int | None:
        return self.invocation.key

    @property
    def outcome(self) -> Literal["ok", "fail", "info"]:
        """`ok`, `fail` or `info`; an operation without a completion is `info`."""
        if self.completion is None or self.completion.type == "invoke":
            return "info"
        return self.completion.type

    @property
    def value(self) -> Any:
        """The completion's value where it has one, else the invocation's."""
        if self.completion is not None and self.completion.value is not None:
            return self.completion.value
        return self.invocation.value


class _Events(Sequence[Event]):
    """The events of columns, each made when it is asked for."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns.time)

    def __iter__(self) -> Iterator[Event]:
        # In batches: a numpy array is read fastest as a list, and a list of all events would be large.
        return chain.from_iterable(self._made(at, at + 4096) for at in range(0, len(self), 4096))

    @overload
    def __getitem__(self, at: int) -> Event: ...

    @overload
    def __getitem__(self, at: slice) -> list[Event]: ...

    def __getitem__(self, at: int | slice) -> Event | list[Event]:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        position = range(len(self))[at]
        return next(self._made(position, position + 1))

    def _made(self, start: int, stop: int) -> Iterator[Event]:
        columns, part = self.columns, slice(start, stop)
        return map(
            Event,
            range(start, stop),
            columns.time[part].tolist(),
            [NEMESIS if process == NEMESIS_PROCESS else process for process in columns.process[part].tolist()],
            [TYPES[code] for code in columns.type[part].tolist()],
            [columns.fs[code] for code in columns.f[part].tolist()],
            [columns.keys[code] for code in columns.key[part].tolist()],
            columns.value[part],
            [columns.nodes[code] for code in columns.node[part].tolist()],
            [columns.errors[code] for code in columns.error[part].tolist()],
            map(columns.due.get, range(start, stop)) if columns.due else repeat(None),
        )


@dataclass(frozen=True)
class History:
    """Events in order, and the operations that they make up.

    events: as recorded. truncated: the end was cut off and dropped. cut_at: the line, from 1, on which the event that
    was cut off begins, or on which the text ends inside a vector or list; 0 if nothing was cut off or the line is not
    known. real_time: whether invocations were recorded. Without them the order in real time is ambiguous, and all
    operations begin before the first completion.
    """

    events: Sequence[Event]
    truncated: bool = False
    cut_at: int = 0
    real_time: bool = True

    @classmethod
    def of(cls, builder: HistoryBuilder, *, cut_at: int = 0) -> History:
        """The history of a builder's events. cut_at: see above. Raises HistoryError for the first event that breaks a
        rule.
        """
        return cls(_Events(builder.columns()), cut_at > 0, cut_at)

    @classmethod
    def parse(cls, lines: Iterable[bytes | str]) -> History:
        """Read JSONL. O(n log n); a million operations take about three seconds and 250 MB.

        lines: one JSON object each; an open binary file will do. Raises HistoryError naming the line that can't be
        read, or that does not follow from those before it.
        """
        decode = msgspec.json.Decoder(Event).decode
        builder = HistoryBuilder(numbered=True)
        failure: HistoryError | None = None
        cut_at = 0
        batch = _Batch()
        for number, line in enumerate(lines, 1):
            if len(batch.events) == _BATCH and failure is None:
                failure, batch = batch.into(builder), _Batch()
            if failure is not None:
                cut_at = 0
                break
            if not line.strip():
                continue
            # Most lines are short enough to need no further check: there may be a million.
            if len(line) > SHORT and too_deep(_as_bytes(line)):
                raise HistoryError(number, TOO_DEEP)
            try:
                batch.add(number, line, decode(line))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
                failure = HistoryError(number, _plainly(problem, line))
                cut_at = number if _cut_off(problem, line) else 0
        earlier = batch.into(builder)
        if earlier is not None:
            failure, cut_at = earlier, 0
        history = cls.of(builder, cut_at=cut_at)
        if failure is not None and not cut_at:
            raise failure
        return history

    @cached_property
    def columns(self) -> Columns:
        """The events by field. O(n log n) once, for a history that was not read from lines.

        Raises HistoryError for the first event that breaks a rule.
        """
        if isinstance(self.events, _Events):
            return self.events.columns
        builder = HistoryBuilder(numbered=False)
        builder.extend(self.events)
        return builder.columns()

    def with_columns(self, columns: Columns) -> History:
        """This history with those columns, which obey the rules."""
        return replace(self, events=_Events(columns))

    def until(self, end: int | None) -> History:
        """The events before that index, or all: what was open then has no completion."""
        return self if end is None else replace(self, events=self.events[:end])

    @cached_property
    def operations(self) -> Sequence[Operation]:
        """The clients' operations, in the order of their invocations. O(n)."""
        found, events = self.columns.operations, list(self.events)
        return [
            Operation(events[invoked], events[completed] if completed != FOREVER else None)
            for invoked, completed in zip(found.invoked.tolist(), found.completed.tolist(), strict=True)
        ]

    @property
    def nemesis(self) -> Iterator[Event]:
        """The nemesis's events, in order."""
        if isinstance(self.events, _Events):
            return (self.events[at] for at in (self.columns.process == NEMESIS_PROCESS).nonzero()[0].tolist())
        return (event for event in self.events if event.process == NEMESIS)


@dataclass
class _Batch:
    """Lines that were read, and the event of each, which are not in the builder yet."""

    numbers: list[int] = field(default_factory=list)
    lines: list[bytes | str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def add(self, number: int, line: bytes | str, event: Event) -> None:
        self.numbers.append(number)
        self.lines.append(line)
        self.events.append(event)

    def into(self, builder: HistoryBuilder) -> HistoryError | None:
        """Move the events there, up to the first line that has a key twice. Returns what is wrong with that line."""
        text, kept, failure = b"".join(map(_as_bytes, self.lines)), _lines_of(self.events), None
        if text != kept and may_repeat(text, kept):
            for at, line in enumerate(self.lines):
                if (name := repeated(_as_bytes(line))) is not None:
                    failure = HistoryError(self.numbers[at], told(name))
                    del self.numbers[at:], self.events[at:]
                    break
        for number, event in zip(self.numbers, self.events, strict=True):
            builder.add(number, event)
        return failure


def _cut_off(problem: Exception, line: bytes | str) -> bool:
    """Whether a crash in the middle of a write left this line: it has no newline, and is the beginning of an object.

    A complete object of the wrong shape is a mistake of its writer, not of a crash.
    """
    data = _as_bytes(line)
    if data.endswith(b"\n") or not data.lstrip().startswith(b"{"):
        return False
    # The decoder calls `-` and `1.` invalid numbers where they may only be incomplete.
    ends = (_ENDED, f"JSON is malformed: invalid number (byte {len(data)})")
    return str(problem) in ends and not _has_half_a_pair(problem, data)


def _as_bytes(line: bytes | str) -> bytes:
    return line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")


def _has_half_a_pair(problem: Exception, line: bytes | str) -> bool:
    """Whether the decoder met half of a surrogate pair, for which it has no message of its own."""
    if "surrogate" in str(problem):
        return True
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return str(problem) == _ENDED


def _plainly(problem: Exception, line: bytes | str) -> str:
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
    shown = text.strip()
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    reason = "a string has half of a surrogate pair" if _has_half_a_pair(problem, line) else problem
    return f"not a history event ({reason}): {shown}"
