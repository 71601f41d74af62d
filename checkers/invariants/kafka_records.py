"""The records of a history of logs: who sent and who polled which, at which offset.

1. An operation is `send`, `poll` or `txn`, whose value lists micro-operations: ["send", key, value], completed as
   ["send", key, [offset, value]] or, where the offset is not known, as it was asked; and ["poll"], completed as
   ["poll", {key: [[offset, value], ...]}].
2. Keys name logs, by strings or integers. In the object of a poll integers are strings, so 1 and "1" are one log.
3. A value is sent to a log once, unless the send before failed. Offsets are integers.
4. `assign` and `subscribe`, whose value is a list of keys or an object from keys to offsets, and `crash` say that a
   process polls from elsewhere now. What it polled before has no order with what it polls next.
5. `debug-topic-partitions`, by which Jepsen's tests ask how the logs are, says nothing about records.

Source of the shapes: jepsen.tests.kafka (Jepsen 0.3).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import literal
from splitbrain.checkers.histories.values import identity, is_integer, is_name, operations_of, refusal

_RULE = 'an operation on logs needs a list of ["send", key, value] and ["poll"]'
_RECORDS = "the answer to a poll needs an object of lists of [offset, value]"
_DEBUG = "debug-topic-partitions"
ANEW = frozenset({"assign", "subscribe", "crash"})


@dataclass(frozen=True, slots=True)
class Record:
    """A value of a log, as one operation knows it. offset: None if it is not known."""

    operation: Operation
    log: str
    value: Any
    offset: int | None

    @property
    def name(self) -> Hashable:
        return identity(self.value)


@dataclass(frozen=True, slots=True)
class Polls:
    """What one operation polled, by log and in order, and how often its process had been assigned before."""

    operation: Operation
    epoch: int
    by_log: Mapping[str, Sequence[Record]]


@dataclass(slots=True)
class Records:
    """What concerns one of the history's own keys.

    sent: by log and value, but for failed ones. failed: logs and values. sends: of each ok operation, its records with
    an offset. polls: of each ok operation that polled. crashed_polls: how many operations that polled crashed.
    """

    sent: dict[tuple[str, Hashable], Record] = field(default_factory=dict)
    failed: set[tuple[str, Hashable]] = field(default_factory=set)
    sends: list[list[Record]] = field(default_factory=list)
    polls: list[Polls] = field(default_factory=list)
    epochs: dict[int, int] = field(default_factory=dict)
    crashed_polls: int = 0

    def take(self, operation: Operation) -> None:
        """Take in an operation. Raises HistoryError for what breaks a rule."""
        if operation.f in ANEW:
            self.epochs[operation.process] = self.epochs.get(operation.process, 0) + 1
            return
        asked = list(_micro_operations(operation.invocation))
        done = asked
        if operation.outcome == "ok" and operation.completion is not None:
            done = list(_micro_operations(operation.completion))
            _agree(asked, done, operation.completion)
        polled: dict[str, list[Record]] = {}
        sent = []
        for (kind, *before), (_, *after) in zip(asked, done, strict=True):
            if kind == "send":
                sent.append(self._send(operation, before, after))
            elif operation.outcome == "ok" and operation.completion is not None:
                for log, pairs in _polled(operation.completion, after).items():
                    records = [Record(operation, log, value, offset) for offset, value in pairs]
                    polled.setdefault(log, []).extend(records)
        polls = any(kind == "poll" for kind, *_ in asked)
        self.crashed_polls += polls and operation.outcome == "info"
        if operation.outcome == "ok":
            self.sends.append([record for record in sent if record.offset is not None])
            if polls:
                self.polls.append(Polls(operation, self.epochs.get(operation.process, 0), polled))

    def _send(self, operation: Operation, before: Sequence[Any], after: Sequence[Any]) -> Record:
        log, value = str(before[0]), before[1]
        offset = after[1][0] if _is_record(after[1], value) else None
        record = Record(operation, log, value, offset)
        if operation.outcome == "fail":
            self.failed.add((log, record.name))
            return record
        if (log, record.name) in self.sent:
            earlier = self.sent[log, record.name].operation.invocation.index + 1
            problem = f"a value is sent to a log once, and {literal(value)} was to {literal(log)} by line {earlier}"
            raise refusal(operation.invocation, problem)
        self.sent[log, record.name] = record
        return record


def records_of(history: History) -> dict[str | int | None, Records]:
    """The records by the history's own keys. Raises HistoryError. O(values sent and polled)."""
    found: dict[str | int | None, Records] = {}
    for operation in operations_of(history, "a log", ("send", "poll", "txn", *sorted(ANEW), _DEBUG)):
        if operation.f != _DEBUG:
            found.setdefault(operation.key, Records()).take(operation)
    return found


def _micro_operations(event: Event) -> Iterator[Sequence[Any]]:
    if not isinstance(event.value, list | tuple) or not event.value:
        raise refusal(event, _RULE)
    for each in event.value:
        if not isinstance(each, list | tuple) or not each:
            raise refusal(event, _RULE)
        sends = each[0] == "send" and len(each) == 3 and is_name(each[1]) and each[2] is not None
        if not sends and not (each[0] == "poll" and len(each) <= 2):
            raise refusal(event, _RULE)
        yield each


def _is_record(said: Any, value: Any) -> bool:
    """Whether a completed send says [offset, value]."""
    if not isinstance(said, list | tuple) or len(said) != 2:
        return False
    return is_integer(said[0]) and identity(said[1]) == identity(value)


def _agree(asked: Sequence[Sequence[Any]], done: Sequence[Sequence[Any]], completion: Event) -> None:
    """Raise HistoryError unless the completion has the micro-operations that were asked for."""
    rule = "a completion needs the micro-operations of its invocation, with offsets"
    if [each[0] for each in asked] != [each[0] for each in done]:
        raise refusal(completion, rule)
    for before, after in zip(asked, done, strict=True):
        if before[0] == "send":
            same = identity(before[2]) == identity(after[2]) or _is_record(after[2], before[2])
            if str(before[1]) != str(after[1]) or not same:
                raise refusal(completion, rule)


def _polled(completion: Event, answer: Sequence[Any]) -> dict[str, list[tuple[int, Any]]]:
    """What one poll brought, by log."""
    records = answer[0] if answer else None
    if not isinstance(records, dict):
        raise refusal(completion, _RECORDS)
    found: dict[str, list[tuple[int, Any]]] = {}
    for key, pairs in records.items():
        if not isinstance(pairs, list | tuple):
            raise refusal(completion, _RECORDS)
        for pair in pairs:
            if not isinstance(pair, list | tuple) or len(pair) != 2 or not is_integer(pair[0]):
                raise refusal(completion, _RECORDS)
            found.setdefault(str(key), []).append((pair[0], pair[1]))
    return found
