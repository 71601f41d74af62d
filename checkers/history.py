"""The history: what clients asked, what they were told, and what was done to the system meanwhile.

1. The order of events is the order of lines; `time` is for durations only.
2. An operation is an invocation and, if one came, its completion by the same process: `ok` it happened,
   `fail` it certainly did not, `info` nobody knows. No completion at all counts as `info`.
3. A process has one operation open at a time; after `info` its number is never used again. A completion
   has its invocation's `f` and, if it names one, its key.
4. Nemesis events have process "nemesis" and type `info`.
5. A last line that was cut off is the crash it is: it is dropped and `truncated` says so.
   Anything else that is wrong is an error which names the line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import msgspec

EventType = Literal["invoke", "ok", "fail", "info"]
NEMESIS: Literal["nemesis"] = "nemesis"


class HistoryError(ValueError):
    """A history that can't be read: `line` (from 1) and what is wrong with it."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem


# gc=False: JSON has no cycles, and tracking a million events would slow every collection.
class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One line of a history.

    index: position, from 0. time: nanoseconds since the start, on one monotonic clock.
    process: a client process's number, or "nemesis". f: what was asked. key, node, error: optional;
    error opens with its code (`timeout: no answer within 1 s`).
    """

    index: int
    time: int
    process: int | Literal["nemesis"]
    type: EventType
    f: str
    key: str | int | None = None
    value: Any = None
    node: str | None = None
    error: str | None = None


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


@dataclass(frozen=True)
class History:
    """Events in order, and the operations they make up.

    events: as recorded. truncated: the last line was cut off and dropped.
    """

    events: Sequence[Event]
    truncated: bool = False

    @classmethod
    def parse(cls, lines: Iterable[bytes | str]) -> History:
        """Read JSONL. O(n).

        lines: one JSON object each; an open binary file will do.
        Raises HistoryError naming the line that can't be read or doesn't follow from those before it.
        """
        decoder = msgspec.json.Decoder(Event)
        events: list[Event] = []
        opened: dict[int, Event] = {}
        retired: set[int] = set()
        failure: HistoryError | None = None
        truncated = False
        for number, line in enumerate(lines, 1):
            if failure is not None:
                raise failure
            if not line.strip():
                continue
            try:
                event = decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
                failure = HistoryError(number, _plainly(problem, line))
                truncated = _cut_off(problem, line)
                continue
            _follow(event, number, len(events), opened, retired)
            events.append(event)
        if failure is not None and not truncated:
            raise failure
        return cls(events, truncated)

    @cached_property
    def operations(self) -> Sequence[Operation]:
        """The clients' operations, in the order of their invocations. O(n)."""
        slots: list[tuple[Event, Event | None]] = []
        position: dict[int, int] = {}
        for event in self.events:
            if not isinstance(event.process, int):
                continue
            if event.type == "invoke":
                position[event.process] = len(slots)
                slots.append((event, None))
            else:
                at = position.pop(event.process)
                slots[at] = (slots[at][0], event)
        return [Operation(invocation, completion) for invocation, completion in slots]

    @property
    def nemesis(self) -> Iterator[Event]:
        """The nemesis's events, in order."""
        return (event for event in self.events if event.process == NEMESIS)


def encode(event: Event) -> bytes:
    """The event as one line of JSONL, newline included."""
    return msgspec.json.encode(event) + b"\n"


def _follow(event: Event, number: int, position: int, opened: dict[int, Event], retired: set[int]) -> None:
    """Raise HistoryError unless the event may come next."""
    if event.index != position:
        raise HistoryError(number, f"index is {event.index}, expected {position}: lines are missing or reordered")
    process = event.process
    if not isinstance(process, int):
        if event.type != "info":
            raise HistoryError(number, f"a nemesis event has type {event.type!r}; it must be 'info'")
        return
    if event.type == "invoke":
        if process in opened:
            raise HistoryError(number, f"process {process} invokes {event.f!r} while its last operation is open")
        if process in retired:
            raise HistoryError(number, f"process {process} invokes {event.f!r} after an 'info' retired it")
        opened[process] = event
        return
    invocation = opened.pop(process, None)
    if invocation is None:
        raise HistoryError(number, f"process {process} completes {event.f!r} which it never invoked")
    if event.f != invocation.f:
        raise HistoryError(number, f"process {process} completes {event.f!r} but had invoked {invocation.f!r}")
    if event.key is not None and event.key != invocation.key:
        raise HistoryError(
            number,
            f"process {process} completes {event.f!r} of key {event.key!r}, invoked of {invocation.key!r}",
        )
    if event.type == "info":
        retired.add(process)


def _cut_off(problem: Exception, line: bytes | str) -> bool:
    """Whether this is a line that a crash in mid-write left: no newline, and no complete JSON.

    A complete object of the wrong shape is a mistake of whoever wrote it, not of a crash.
    """
    ended = line.endswith(b"\n") if isinstance(line, bytes) else line.endswith("\n")
    return not ended and not isinstance(problem, msgspec.ValidationError)


def _plainly(problem: Exception, line: bytes | str) -> str:
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
    shown = text.strip()
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"not a history event ({problem}): {shown}"
