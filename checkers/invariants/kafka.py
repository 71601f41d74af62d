"""Kafka: what is sent to a log is polled, once, and in one order.

Operations: `send`, `poll` and `txn` of micro-operations, `assign`, `subscribe`, `crash` (`kafka_records`). Keys of the
history are judged separately; the logs are named in the micro-operations.

1. Only what is `ok` was certainly sent, or polled. A crashed send may be polled or not, a failed one may not.
2. The offsets of a log are those that an `ok` send or a poll shows. Inconsistent offset: it shows two values.
   Duplicate: a value is shown at two offsets.
3. Unexpected: a value was polled that nobody had begun to send by then. Aborted read: its send had failed.
4. Lost: an acknowledged value that was never polled, though a larger offset of its log was. Unseen: one that was never
   polled, and no larger offset either, or its own is not known.
5. Poll skip: of two records that a process polled one after the other, the second has the larger offset, and offsets of
   the log lie between them. Nonmonotonic poll: the second has the same offset or a smaller one. Within one operation
   they are called internal. From one operation to the next, only those count between which the process was not
   assigned anew.
6. Nonmonotonic send: of two records that a process sent to a log one after the other, the second has no larger offset.
   Within one operation it is called internal.
7. Reordered: a send has a smaller offset than one that was over before it began, by whomever.
8. The logs were polled to their end if a poll that began after the stage "final-reads" was ok and brought a record.
   Where they were not, unseen values may be polled yet, and lost ones may have been polled by operations that crashed.
9. Invalid if anything of the kind is there, but for what rule 8 excuses, which leaves the verdict unknown.
10. Unknown too if no send was acknowledged, or no poll brought a record. Otherwise valid.

Source: jepsen.tests.kafka (Jepsen 0.3), whose anomalies these are but for "reordered". It also looks for cycles of
transactions, which we do not, and lets a test allow skips that come with a rebalance.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from splitbrain.checkers.histories.faults import stages
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, count, literal
from splitbrain.checkers.invariants.kafka_records import Record, Records, records_of
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict, Witness

_LISTED = 100
KINDS: Mapping[str, str] = {
    "lost": "an acknowledged record was never polled, though later ones were",
    "duplicate": "a value is at two offsets",
    "inconsistent-offset": "an offset has two values",
    "unexpected": "what was polled had not been sent",
    "aborted-read": "what was polled comes from a send that failed",
    "reordered": "a record is before one that had been sent before it",
    "internal-poll-skip": "an operation polled past records",
    "internal-nonmonotonic-poll": "an operation polled backwards",
    "poll-skip": "a process polled past records",
    "nonmonotonic-poll": "a process polled backwards",
    "internal-nonmonotonic-send": "an operation's records are not in the order in which it sent them",
    "nonmonotonic-send": "a process's records are not in the order in which it sent them",
    "unseen": "an acknowledged record was never polled",
}
"""The anomalies, the gravest first."""


@dataclass(frozen=True, slots=True)
class LogAnomaly:
    """One anomaly. record: what it is about. other: the record that shows it, if one does."""

    kind: str
    record: Record
    other: Record | None = None


@needs_real_time
def check(history: History) -> Verdict:
    """Look for every anomaly.

    Evidence: `sends` and `acknowledged`, of records; `polls` that were ok, `polled`, how many different records they
    brought, and `crashed_polls`; `logs`; `anomalies` {kind: how many}, those that occur; and `first` [{kind, key, log,
    value, offset, index}], at most 100 of them, the gravest first.
    Raises HistoryError as `kafka_records` says. O(n log n) in records sent and polled.
    """
    found = records_of(history)
    anomalies = [each for records in found.values() for each in _anomalies(records)]
    ranks = list(KINDS)
    anomalies.sort(key=lambda each: (ranks.index(each.kind), each.record.operation.invocation.index))
    counts = Counter(each.kind for each in anomalies)
    acknowledged = sum(
        record.operation.outcome == "ok" for records in found.values() for record in records.sent.values()
    )
    polled = sum(len(_seen(records)) for records in found.values())
    logs = {
        (key, log)
        for key, records in found.items()
        for log in (*(log for log, _ in records.sent), *(log for polls in records.polls for log in polls.by_log))
    }
    evidence: dict[str, Any] = {
        "sends": sum(len(records.sent) + len(records.failed - records.sent.keys()) for records in found.values()),
        "acknowledged": acknowledged,
        "polls": sum(len(records.polls) for records in found.values()),
        "crashed_polls": sum(records.crashed_polls for records in found.values()),
        "polled": polled,
        "logs": len(logs),
        "anomalies": {kind: counts[kind] for kind in KINDS if counts[kind]},
        "first": [_as_data(each) for each in anomalies[:_LISTED]],
    }
    ended = _polled_to_the_end(history, found.values())
    excused = _excused(ended, evidence["crashed_polls"])
    wrong = [each for each in anomalies if each.kind not in excused]
    if wrong:
        shown = {kind: number for kind, number in evidence["anomalies"].items() if kind not in excused}
        reason = ", ".join(f"{number:,} {kind}" for kind, number in shown.items())
        return Verdict.invalid(reason, _witness(wrong[0]), **evidence)
    doubt = _doubt(acknowledged, polled, counts["unseen"] + counts["lost"])
    if doubt is not None:
        return Verdict.unknown(doubt, **evidence)
    reason = f"{count(acknowledged, 'acknowledged record')} in {count(len(logs), 'log')}, all polled and in order"
    return Verdict.valid(reason, **evidence)


def _excused(ended: bool, crashed_polls: int) -> frozenset[str]:
    """The kinds that may be none after all (rule 8)."""
    if ended:
        return frozenset()
    return frozenset({"unseen", "lost"} if crashed_polls else {"unseen"})


def _doubt(acknowledged: int, polled: int, unseen: int) -> str | None:
    """Why nothing wrong proves nothing (rules 9 and 10), or None."""
    if not acknowledged:
        return "no send was acknowledged, so no record can be lost"
    if not polled:
        return "no poll brought a record"
    if unseen:
        never = f"{unseen:,} of {count(acknowledged, 'acknowledged record')} were never polled"
        return f"{never}, and nothing says that the logs were polled to their end"
    return None


def _polled_to_the_end(history: History, found: Iterable[Records]) -> bool:
    begun = stages(history).get("final-reads")
    if begun is None:
        return False
    polls = (polls for records in found for polls in records.polls if polls.by_log)
    return any(each.operation.invocation.index > begun.index for each in polls)


def _anomalies(records: Records) -> Iterator[LogAnomaly]:
    offsets = _offsets(records)
    yield from _of_offsets(records)
    yield from _of_values(records)
    yield from _unpolled(records)
    yield from _of_polls(records, offsets)
    yield from _of_sends(records)
    yield from _reordered(records)


def _shown(records: Records) -> Iterator[Record]:
    """Every record with an offset, as sends and polls show them, in the order of the operations' invocations."""
    of_sends = (record for some in records.sends for record in some)
    of_polls = (record for polls in records.polls for some in polls.by_log.values() for record in some)
    yield from sorted((*of_sends, *of_polls), key=lambda record: record.operation.invocation.index)


def _offsets(records: Records) -> dict[str, list[int]]:
    """The offsets of each log, ascending."""
    found: dict[str, set[int]] = {}
    for record in _shown(records):
        if record.offset is not None:
            found.setdefault(record.log, set()).add(record.offset)
    return {log: sorted(some) for log, some in found.items()}


def _seen(records: Records) -> set[Any]:
    """What was polled: logs and values."""
    return {(record.log, record.name) for polls in records.polls for some in polls.by_log.values() for record in some}


def _of_offsets(records: Records) -> Iterator[LogAnomaly]:
    """Rule 2: each further value of an offset, and each further offset of a value, once."""
    at_offset: dict[Any, dict[Any, Record]] = {}
    of_value: dict[Any, dict[Any, Record]] = {}
    for record in _shown(records):
        values = at_offset.setdefault((record.log, record.offset), {})
        if record.name not in values and values:
            yield LogAnomaly("inconsistent-offset", record, next(iter(values.values())))
        values.setdefault(record.name, record)
        places = of_value.setdefault((record.log, record.name), {})
        if record.offset not in places and places:
            yield LogAnomaly("duplicate", record, next(iter(places.values())))
        places.setdefault(record.offset, record)


def _of_values(records: Records) -> Iterator[LogAnomaly]:
    """Rule 3: each value that should not have been polled, once."""
    told: set[Any] = set()
    for polls in records.polls:
        for some in polls.by_log.values():
            for record in some:
                name = (record.log, record.name)
                sent = records.sent.get(name)
                end = polls.operation.completion
                assert end is not None
                if name in told or (sent is not None and sent.operation.invocation.index < end.index):
                    continue
                told.add(name)
                yield LogAnomaly("aborted-read" if name in records.failed else "unexpected", record)


def _unpolled(records: Records) -> Iterator[LogAnomaly]:
    """Rule 4."""
    seen = _seen(records)
    last: dict[str, Record] = {}
    for polls in records.polls:
        for log, some in polls.by_log.items():
            last[log] = max((*some, *([last[log]] if log in last else [])), key=_offset)
    for name, record in records.sent.items():
        if record.operation.outcome != "ok" or name in seen:
            continue
        further = last.get(record.log)
        if record.offset is None or further is None or _offset(further) <= record.offset:
            yield LogAnomaly("unseen", record)
        else:
            yield LogAnomaly("lost", record, further)


def _of_polls(records: Records, offsets: Mapping[str, Sequence[int]]) -> Iterator[LogAnomaly]:
    """Rule 5."""
    last: dict[tuple[int, str], tuple[int, Record]] = {}
    for polls in records.polls:
        for log, some in polls.by_log.items():
            for before, record in pairwise(some):
                kind = _step(before, record, offsets[log])
                if kind is not None:
                    yield LogAnomaly(f"internal-{kind}", record, before)
            consumer = (polls.operation.process, log)
            epoch, earlier = last.get(consumer, (-1, some[0]))
            kind = _step(earlier, some[0], offsets[log]) if epoch == polls.epoch else None
            if kind is not None:
                yield LogAnomaly(kind, some[0], earlier)
            last[consumer] = (polls.epoch, some[-1])


def _step(before: Record, record: Record, offsets: Sequence[int]) -> str | None:
    """What is wrong with polling one record after the other, or None."""
    if _offset(record) <= _offset(before):
        return "nonmonotonic-poll"
    if bisect_left(offsets, _offset(record)) > bisect_right(offsets, _offset(before)):
        return "poll-skip"
    return None


def _of_sends(records: Records) -> Iterator[LogAnomaly]:
    """Rule 6."""
    last: dict[tuple[int, str], Record] = {}
    for some in records.sends:
        own: dict[str, Record] = {}
        for record in some:
            producer = (record.operation.process, record.log)
            internal = record.log in own
            before = own[record.log] if internal else last.get(producer)
            own[record.log] = record
            if before is not None and _offset(before) >= _offset(record):
                yield LogAnomaly("internal-nonmonotonic-send" if internal else "nonmonotonic-send", record, before)
        last.update({(record.operation.process, log): record for log, record in own.items()})


def _reordered(records: Records) -> Iterator[LogAnomaly]:
    """Rule 7: by log, the largest offset of what was over, for each send that began then."""
    by_log: dict[str, list[Record]] = {}
    for some in records.sends:
        for record in some:
            by_log.setdefault(record.log, []).append(record)
    for sent in by_log.values():
        over = sorted(sent, key=lambda record: _end(record.operation))
        ends = [_end(record.operation) for record in over]
        furthest = list(accumulate(over, _further))
        for record in sent:
            before = bisect_left(ends, record.operation.invocation.index)
            if before and _offset(furthest[before - 1]) > _offset(record):
                yield LogAnomaly("reordered", record, furthest[before - 1])


def _offset(record: Record) -> int:
    assert record.offset is not None
    return record.offset


def _further(one: Record, other: Record) -> Record:
    return other if _offset(other) > _offset(one) else one


def _end(operation: Operation) -> int:
    assert operation.completion is not None
    return operation.completion.index


def _as_data(each: LogAnomaly) -> dict[str, Any]:
    record = each.record
    return {
        "kind": each.kind,
        "key": record.operation.key,
        "log": record.log,
        "value": record.value,
        "offset": record.offset,
        "index": record.operation.invocation.index,
    }


def _witness(each: LogAnomaly) -> Witness:
    text = f"{each.kind}: {KINDS[each.kind]}; {_clause(each.record)}"
    operations = [each.record.operation]
    if each.other is not None:
        text += f", and {_clause(each.other)}"
        operations.append(each.other.operation)
    events = {event.index for o in operations for event in (o.invocation, o.completion) if event}
    return Witness(text, tuple(sorted(events)), _as_data(each))


def _clause(record: Record) -> str:
    """What an operation did with a record, and when."""
    operation = record.operation
    asked = operation.invocation.value
    sent = any(micro[0] == "send" and str(micro[1]) == record.log and micro[2] == record.value for micro in asked)
    where = "" if record.offset is None else f" at offset {record.offset:,}"
    does = "sent" if sent else "polled"
    moment = operation.completion or operation.invocation
    return f"process {operation.process} {does} {literal(record.value)} of {record.log}{where} at {at(moment)}"
