"""Jepsen's operations: EDN maps to a History, and a History to EDN.

1. An operation is a map with :type, :process and :f. Of its other fields :value, :time, :key, :node and :error are
   read, and :due where it can be an invocation's. A tag (`#jepsen.history.Op{...}`) changes nothing. Operations follow
   one another, on one line or several each, or are all in one vector or list.
2. The order of operations is the order of the text. :index may be absent, sparse or out of order; it is ignored.
   Without :time, an operation's time is its position, in nanoseconds.
3. :process is a number from 0 or :nemesis; no other name is a process. Transactions, as Elle's files have them, may
   lack :f: a list of micro-operations is a `txn`. They may lack :process, if all do: they are of process 0 then.
4. :error becomes text that opens with its code: `[:no-client "Connection refused"]` is "no-client: Connection refused".
   An f, a key or a node that is neither text nor number becomes its EDN text.
5. Independent keys (jepsen.independent): the value of a client's operation is [key value], which becomes both. A
   completion may have nil instead.
6. Elle's files may have completions only, all of them transactions. When each began, and whose session it belongs to,
   is not known. So each is of a process of its own, and all begin before the first event: `History.real_time` is
   false.
7. A text that ends inside an operation, vector or list was cut off. What was complete counts, and `cut_at` says where
   the rest is missing. An operation inside which others begin was never closed; that is an error, as is anything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import count, islice
from typing import Annotated, Any, Literal, Protocol

import msgspec

from splitbrain.checkers.histories.builder import HistoryBuilder
from splitbrain.checkers.histories.columns import TYPES
from splitbrain.checkers.histories.event import NEMESIS, Event, HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.nesting import DEEPEST, too_deep
from splitbrain.checkers.histories.notation.edn import EdnError, Reader, write
from splitbrain.checkers.histories.notation.edn_fast import Translator
from splitbrain.checkers.histories.notation.edn_scalars import keyword, scalar
from splitbrain.checkers.histories.repeated_keys import may_repeat, repeated

TRANSACTION = "txn"
_BATCH = 256  # Lines: few enough that what they decode to dies young, many enough to share the cost of a call.


class Record(Event, kw_only=True, frozen=True, gc=False):
    """An event as Jepsen writes it: time may be absent, an error may be anything, and the index is ignored."""

    index: int = msgspec.field(default=0, name="#")
    time: int | None = None  # type: ignore[assignment]
    process: Annotated[int, msgspec.Meta(ge=0)] | Literal["nemesis"]
    error: Any = None
    due: Any = None


_begins = re.compile(r"\s*(?:#jepsen\.history\.Op)?\{\s*:")
_FIELDS = frozenset(Record.__struct_fields__) - {"index"}


class EdnOperations:
    """The operations in lines of EDN: (line, event), as they are read. Raises HistoryError.

    fast: try the fast path; it changes nothing but the time. cut_at: set after the last operation. The line on which
    the operation that was cut off begins, or on which the text ends inside a vector or list; 0 if nothing was cut off.
    nameless: the lines of operations without a process, as they are read.
    """

    def __init__(self, lines: Iterable[bytes], *, fast: bool = True) -> None:
        self.cut_at = 0
        self.nameless: list[int] = []
        self._lines = iter(lines)
        self._translator = Translator() if fast else None
        self._decode = msgspec.json.Decoder(list[Record]).decode
        self._reader = Reader(splice=True, deepest=DEEPEST)

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        at = 1
        while batch := list(islice(self._lines, _BATCH)):
            for lines in (batch,) if self._reader.between else ([line] for line in batch):
                fast = self._read_fast(lines)
                if fast is not None:
                    yield from zip(count(at), fast)
                elif len(lines) == 1:
                    yield from self._read_in_full(at, lines[0])
                else:
                    yield from self._read_one_by_one(at, lines)
                at += len(lines)
        if not self._reader.finished:
            if self._reader.swallowed(_begins) or any(map(_is_operation, self._reader.held())):
                raise HistoryError(self._reader.opened, "this is never closed, and other operations begin in it")
            # Between the operations of a vector there is no operation to name, only where the text ends.
            self.cut_at = at - 1 if self._reader.between else self._reader.opened

    def _read_one_by_one(self, at: int, lines: list[bytes]) -> Iterator[tuple[int, Record]]:
        for number, line in enumerate(lines, at):
            fast = self._read_fast([line])
            if fast is not None:
                yield number, fast[0]
            else:
                yield from self._read_in_full(number, line)

    def _read_fast(self, lines: list[bytes]) -> list[Record] | None:
        if self._translator is None or not self._reader.between:
            return None
        if any(map(too_deep, lines)):
            return None
        text = self._translator.operations(lines)
        if text is None:
            return None
        try:
            found = self._decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if len(found) != len(lines) or (
            may_repeat(text, msgspec.json.encode(found), b'"index":') and repeated(text) is not None
        ):
            return None
        self._reader.skip(len(lines))
        return found

    def _read_in_full(self, at: int, line: bytes) -> Iterator[tuple[int, Record]]:
        ended = line.endswith(b"\n")
        try:
            text = line.decode()
        except UnicodeDecodeError as problem:
            if ended or problem.reason != "unexpected end of data":
                raise HistoryError(at, f"not UTF-8 from byte {problem.start + 1} of the line on") from None
            text, self.cut_at = line[: problem.start].decode(), at
        try:
            for number, value in self._reader.feed(text):
                yield number, record_of(number, value, self.nameless)
        except EdnError as problem:
            if ended or not problem.incomplete:
                raise HistoryError(problem.line, f"{problem.problem} (column {problem.column})") from None
            self.cut_at = problem.line


def read_operations(lines: Iterable[bytes], *, independent: bool = False) -> History:
    """A history from EDN. O(n log n); two million plain lines take about ten seconds.

    lines: in order, each with its end. independent: see rule 5. Raises HistoryError naming the line that can't be read,
    or an operation that may not follow those before it.
    """
    return history_of(EdnOperations(lines), independent=independent)


class Operations(Protocol):
    """What reads operations: (line, event). See `EdnOperations`."""

    cut_at: int
    nameless: list[int]

    def __iter__(self) -> Iterator[tuple[int, Record]]: ...


def history_of(operations: Operations, *, independent: bool) -> History:
    """The history that operations make up, by the rules above. Raises HistoryError as `read_operations` does."""
    builder = HistoryBuilder(numbered=False)
    clients = 0
    alone: list[tuple[int, Event]] | None = []  # All events, as long as there may be completions only (rule 6).
    for position, (line, record) in enumerate(operations):
        event: Event = record
        error = record.error
        if record.time is None or record.due is not None or (error is not None and type(error) is not str):
            event = normalized(record, position)
        event = split_independent(line, event) if independent else event
        builder.add(line, event)
        client = event.process != NEMESIS
        clients += client
        if alone is not None:
            alone.append((line, event))
            if client and (event.type == "invoke" or event.f != TRANSACTION):
                alone = None
    if 0 < len(operations.nameless) < clients:
        problem = ":process is missing, and other operations have one; a process is a number from 0, or :nemesis"
        raise HistoryError(operations.nameless[0], problem)
    if not alone or not clients:
        return History.of(builder, cut_at=operations.cut_at)
    return replace(History.of(_with_invocations(alone), cut_at=operations.cut_at), real_time=False)


def _with_invocations(events: list[tuple[int, Event]]) -> HistoryBuilder:
    """The completions, after an invocation of each by a process of its own."""
    builder = HistoryBuilder(numbered=False)
    own = count()
    lone = [
        (line, event if event.process == NEMESIS else msgspec.structs.replace(event, process=next(own)))
        for line, event in events
    ]
    for line, event in lone:
        if event.process != NEMESIS:
            builder.add(line, msgspec.structs.replace(event, type="invoke", error=None))
    for line, event in lone:
        builder.add(line, event)
    return builder


def edn_lines(history: History) -> Iterator[bytes]:
    """The history as EDN, an operation a line, newline included; reading it gives the same events. O(n).

    Types, fs, names of fields and the micro-operations of transactions are written as keywords, as Jepsen does.
    """
    for event in history.events:
        process = f":{event.process}" if isinstance(event.process, str) else event.process
        fields = [f":index {event.index}, :time {event.time}, :process {process}"]
        fields.append(f":type :{event.type}, :f {keyword(event.f)}")
        fields += [f":key {scalar(event.key)}"] if event.key is not None else []
        fields.append(f":value {_written(event.value)}")
        fields += [f":node {scalar(event.node)}"] if event.node is not None else []
        fields += [f":error {scalar(event.error)}"] if event.error is not None else []
        fields += [f":due {event.due}"] if event.due is not None else []
        yield f"{{{', '.join(fields)}}}\n".encode()


def normalized(record: Event, position: int) -> Event:
    """The event with the time and error that a history has."""
    time = position if record.time is None else record.time
    error = error_text(record.error)
    # A test may use this name otherwise, and Jepsen copies an invocation's fields to its completion.
    due = record.due if record.type == "invoke" and type(record.due) is int and 0 <= record.due <= time else None
    return Event(
        position, time, record.process, record.type, record.f, record.key, record.value, record.node, error, due
    )


def error_text(error: Any) -> str | None:
    """A Jepsen error as text that opens with its code.

    >>> error_text(["no-client", "Connection refused"]), error_text("timeout"), error_text(["busy", None])
    ('no-client: Connection refused', 'timeout', 'busy')
    """
    if error is None or isinstance(error, str):
        return error
    if isinstance(error, list) and error and isinstance(error[0], str):
        rest = [part if isinstance(part, str) else write(part) for part in error[1:] if part is not None]
        return f"{error[0]}: {' '.join(rest)}" if rest else error[0]
    return write(error)


def split_independent(line: int, event: Event) -> Event:
    """The event with its [key value] as key and value. Raises HistoryError if a client's value is not a pair."""
    value = event.value
    if event.process == NEMESIS or (value is None and event.type != "invoke"):
        return event
    if not isinstance(value, list) or len(value) != 2:
        problem = f"process {event.process} {event.f!r}: with independent keys a value is [key value], not"
        raise HistoryError(line, f"{problem} {clipped(write(value))}")
    return msgspec.structs.replace(event, key=_name(value[0]), value=value[1])


def clipped(text: str) -> str:
    """The beginning of a text, for an error."""
    return text if len(text) <= 60 else text[:57] + "..."


def _is_operation(value: Any) -> bool:
    return isinstance(value, dict) and "type" in value and ("process" in value or "f" in value)


def record_of(line: int, operation: Any, nameless: list[int]) -> Record:
    """The event that a map describes. nameless: takes the line if the operation has no process (rule 3).

    Raises HistoryError.
    """
    if not isinstance(operation, dict):
        problem = "not an operation, which is a map with :type, :process and :f"
        raise HistoryError(line, f"{problem}: {clipped(write(operation))}")
    fields = {name: operation[name] for name in _FIELDS if name in operation}
    if fields.get("f") is None and _may_be_transaction(fields):
        fields["f"] = TRANSACTION
    if fields.get("process") is None and fields.get("f") == TRANSACTION:
        fields["process"] = 0
        nameless.append(line)
    for name in ("f", "key", "node"):
        fields[name] = _name(fields.get(name))
    if fields["node"] is not None:
        fields["node"] = str(fields["node"])
    if fields["f"] is not None:
        fields["f"] = str(fields["f"])
    try:
        return msgspec.convert(fields, Record)
    except msgspec.ValidationError as problem:
        raise HistoryError(line, f"{_explained(fields, str(problem))}: {clipped(write(operation))}") from None


def _may_be_transaction(fields: dict[str, Any]) -> bool:
    """Whether an operation without :f is a transaction, or the end of one that did not succeed."""
    if fields.get("process") == NEMESIS:
        return False
    value = fields.get("value")
    if value is None:
        return fields.get("type") in ("fail", "info")
    return isinstance(value, list) and all(
        isinstance(each, list) and len(each) == 3 and isinstance(each[0], str) for each in value
    )


def _explained(fields: dict[str, Any], problem: str) -> str:
    """Which field of an operation is wrong, and what it must be."""
    wanted = {
        "type": f"one of {', '.join(':' + name for name in TYPES)}",
        "process": "a number from 0, or :nemesis",
        "f": "what was asked, such as :read",
        "time": "a whole number of nanoseconds",
    }
    found = re.search(r"\$\.(\w+)", problem) or re.search(r"field `(\w+)`", problem)
    name = found[1] if found else ""
    if name not in wanted:
        return problem
    value = fields.get(name)
    return f":{name} is {'missing' if value is None else clipped(write(value))}; it must be {wanted[name]}"


def _name(value: Any) -> str | int | None:
    plain = value is None or isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
    return value if plain else write(value)


def _written(value: Any) -> str:
    """A value; a transaction's `[["append", 1, 2]]` as Jepsen has it, `[[:append 1 2]]`."""
    steps = value if isinstance(value, list) else ()
    if not steps or not all(isinstance(step, list) and len(step) == 3 and isinstance(step[0], str) for step in steps):
        return write(value)
    return f"[{' '.join(f'[{keyword(step[0])} {write(step[1])} {write(step[2])}]' for step in steps)}]"
