"""What `kafka` must say: every record against every other one."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any, NamedTuple

from splitbrain.checkers.histories.history import History, Operation
from tests.checkers.plain_history import span, stage, verdict_of


class Record(NamedTuple):
    operation: Operation
    log: str
    value: Any
    offset: int | None


def kafka(history: History) -> dict[str, Any]:
    acting = [o for o in history.operations if o.f in ("send", "poll", "txn")]
    sent = [_asked(o, each) for o in acting for each in o.invocation.value if each[0] == "send"]
    ok = [o for o in acting if o.outcome == "ok"]
    acknowledged = [record for o in ok for record in _sends(o)]
    polls = [(o, _polls(o)) for o in ok if any(each[0] == "poll" for each in o.invocation.value)]
    polled = [record for _, some in polls for record in some]
    placed = [record for record in (*acknowledged, *polled) if record.offset is not None]
    logs = sorted({record.log for record in (*sent, *polled)})
    found = Counter[str]()
    for log in logs:
        pairs = {(record.offset, record.value) for record in placed if record.log == log}
        found["inconsistent-offset"] += len(pairs) - len({offset for offset, _ in pairs})
        found["duplicate"] += len(pairs) - len({value for _, value in pairs})
        seen = {record.value for record in polled if record.log == log}
        for value in seen:
            mine = [record for record in sent if (record.log, record.value) == (log, value)]
            first = min(span(record.operation)[1] for record in polled if (record.log, record.value) == (log, value))
            begun = [r for r in mine if r.operation.outcome != "fail"]
            late = [
                record
                for record in polled
                if (record.log, record.value) == (log, value)
                and not any(span(r.operation)[0] < span(record.operation)[1] for r in begun)
            ]
            if late or not begun:
                assert first
                failed = any(record.operation.outcome == "fail" for record in mine)
                found["aborted-read" if failed else "unexpected"] += 1
        furthest = max((record.offset or 0 for record in polled if record.log == log), default=-1)
        for record in acknowledged:
            if record.log == log and record.value not in seen:
                passed = record.offset is not None and record.offset < furthest
                found["lost" if passed else "unseen"] += 1
        offsets = {record.offset for record in placed if record.log == log}
        _of_polls(history, log, polls, offsets, found)
        _of_sends(log, ok, found)
    ended = stage(history, "final-reads")
    to_the_end = ended is not None and any(span(o)[0] > ended.index for o, some in polls if some)
    crashed = [o for o in acting if o.outcome == "info" and any(each[0] == "poll" for each in o.invocation.value)]
    certain = [kind for kind in found if to_the_end or kind not in (("unseen", "lost") if crashed else ("unseen",))]
    wrong = any(found[kind] for kind in certain)
    judged = bool(acknowledged and polled and not found["unseen"] and not found["lost"])
    return {
        "verdict": verdict_of(wrong, judged),
        "anomalies": {kind: number for kind, number in found.items() if number},
        "acknowledged": len(acknowledged),
        "crashed_polls": len(crashed),
        "polled": len({(record.log, record.value) for record in polled}),
    }


def _asked(operation: Operation, micro: Any) -> Record:
    return Record(operation, micro[1], micro[2], None)


def _sends(operation: Operation) -> list[Record]:
    assert operation.completion
    done = [each for each in operation.completion.value if each[0] == "send"]
    return [
        Record(operation, log, said[1], said[0]) if isinstance(said, list) else Record(operation, log, said, None)
        for _, log, said in done
    ]


def _polls(operation: Operation) -> list[Record]:
    assert operation.completion
    answers = [each[1] for each in operation.completion.value if each[0] == "poll"]
    return [
        Record(operation, log, value, offset)
        for answer in answers
        for log, records in answer.items()
        for offset, value in records
    ]


def _of_polls(history: History, log: str, polls: Any, offsets: set[Any], found: Counter[str]) -> None:
    last: dict[int, Record] = {}
    moments = sorted(
        [(span(o)[0], o, some) for o, some in polls]
        + [(span(o)[0], o, None) for o in history.operations if o.f in ("assign", "subscribe", "crash")],
        key=lambda moment: moment[0],
    )
    for _, operation, some in moments:
        if some is None:
            last.pop(operation.process, None)
            continue
        mine = [record for record in some if record.log == log]
        steps = [("internal-", one, other) for one, other in pairwise(mine)]
        if mine and operation.process in last:
            steps.append(("", last[operation.process], mine[0]))
        for where, one, other in steps:
            if other.offset <= one.offset:
                found[f"{where}nonmonotonic-poll"] += 1
            elif any(one.offset < offset < other.offset for offset in offsets):
                found[f"{where}poll-skip"] += 1
        if mine:
            last[operation.process] = mine[-1]


def _of_sends(log: str, ok: list[Operation], found: Counter[str]) -> None:
    all_sent = [r for o in ok for r in _sends(o) if r.log == log and r.offset is not None]
    for process in {record.operation.process for record in all_sent}:
        for one, other in pairwise(record for record in all_sent if record.operation.process == process):
            if (other.offset or 0) <= (one.offset or 0):
                internal = one.operation is other.operation
                found["internal-nonmonotonic-send" if internal else "nonmonotonic-send"] += 1
    for record in all_sent:
        before = [other for other in all_sent if span(other.operation)[1] < span(record.operation)[0]]
        found["reordered"] += any((other.offset or 0) > (record.offset or 0) for other in before)
