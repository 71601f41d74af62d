"""Zones: registers whose writes are all distinct, judged in O(n log n) (Gibbons and Korach, SIAM J. Computing 1997).

1. If every value is written once, each read names its write. A *cluster* is a write and all reads of its value. The
   initial value has a cluster too, whose write came before everything.
2. A cluster's *zone* lies between the earliest return of its operations and the latest invocation. If that return comes
   first, the zone is forward: the register held the value throughout it. Otherwise all operations of the cluster
   overlap, and the zone is backward: the register held the value at some moment of it.
3. The calls are linearizable if and only if no read returned before its write was invoked, no two forward zones
   overlap, and no backward zone lies within a forward one.
4. A crashed write that was read returns with its readers. One that was never read is left out. A read of a value that
   was never written is refused at once.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from splitbrain.checkers.histories.columns import FOREVER, Integers
from splitbrain.checkers.histories.prose import listing, literal
from splitbrain.checkers.linearizability.model import Call, Finding, call_text

_BEFORE_ALL = -1


@dataclass(frozen=True)
class _Clusters:
    """By value code: the first return, the last invocation, and which calls those are of (-1: the initial value's).

    written, writes: when the write was invoked and which call it is; FOREVER and -1 without one. start: what the
    register held at first, as a clause.
    """

    first_return: Integers
    last_invocation: Integers
    first: Integers
    last: Integers
    written: Integers
    writes: Integers
    start: str


def judge(calls: Sequence[Call], *, write: str, read: str, initial: Hashable, null: Hashable = None) -> Finding | None:
    """Judge the calls of one register, in the order of their invocations. O(n log n).

    write, read: the names of its operations. initial: the value it starts with. null: the value that null stands for.
    Returns None if there is any other operation, or two writes of one value, or a write of the initial one.
    """
    if not all(call.f == write or call.f == read for call in calls):
        return None
    writing = np.array([call.f == write for call in calls], dtype=bool)
    values = [call.argument if call.f == write else call.result for call in calls]
    values = [null if value is None else value for value in values]
    codes: dict[Hashable, int] = {initial: 0}
    code = np.array([codes.setdefault(value, len(codes)) for value in values], dtype=np.int64)
    invoked = np.array([call.invoked for call in calls], dtype=np.int64)
    returned = np.array([call.returned for call in calls], dtype=np.int64)
    written_codes = code[writing]
    if len(np.unique(written_codes)) < len(written_codes) or (written_codes == 0).any():
        return None
    start = "was empty" if initial == null else f"held {literal(initial)}"
    clusters = _cluster(writing, code, invoked, returned, len(codes), f"the register {start} at first")
    found = _judge(calls, clusters, code, writing, returned)
    if found.linearizable:
        return found
    # Fewer calls may show it as well: without a read, or without a write whose value no read here answered.
    value_of = dict(zip(calls, values, strict=True))
    for call in found.calls:
        rest = [each for each in found.calls if each is not call]
        if call.f == read or all(value_of[each] != value_of[call] for each in rest):
            fewer = judge(rest, write=write, read=read, initial=initial, null=null)
            if fewer is not None and not fewer.linearizable:
                return fewer
    return found


def _cluster(writing: Any, code: Integers, invoked: Integers, returned: Integers, count: int, start: str) -> _Clusters:
    number = np.arange(len(code))
    first_return = np.full(count, FOREVER)
    last_invocation = np.full(count, _BEFORE_ALL - 1)
    first, last = np.full(count, -1), np.full(count, -1)
    written, writes = np.full(count, FOREVER), np.full(count, -1)
    # Of several assignments to one place the last stays: the latest invocation, and below the earliest return.
    last_invocation[code], last[code] = invoked, number
    late_first = np.argsort(-returned, kind="stable")
    first_return[code[late_first]], first[code[late_first]] = returned[late_first], late_first
    written[code[writing]], writes[code[writing]] = invoked[writing], number[writing]
    first_return[0], first[0], written[0] = _BEFORE_ALL, -1, _BEFORE_ALL - 1
    return _Clusters(first_return, last_invocation, first, last, written, writes, start)


def _judge(calls: Sequence[Call], of: _Clusters, code: Integers, writing: Any, returned: Integers) -> Finding:
    reads = ~writing
    unwritten = np.flatnonzero(reads & (of.written[code] == FOREVER))
    if len(unwritten):
        call = calls[unwritten[0]]
        return Finding(False, f"{call_text(call)}: nobody wrote that", (call,))
    early = np.flatnonzero(reads & (returned < of.written[code]))
    if len(early):
        call, write = calls[early[0]], calls[of.writes[code[early[0]]]]
        return Finding(False, f"{call_text(call)} returned before {call_text(write)} was invoked", (call, write))
    used = of.first_return < FOREVER
    low = np.minimum(of.first_return, of.last_invocation)
    high = np.maximum(of.first_return, of.last_invocation)
    forward = np.flatnonzero(used & (of.first_return < of.last_invocation))
    forward = forward[np.argsort(low[forward], kind="stable")]
    overlap = np.flatnonzero(low[forward[1:]] < np.maximum.accumulate(high[forward])[:-1])
    if len(overlap):
        # All before the first that overlaps are disjoint, so it overlaps the one just before it.
        one, other = int(forward[overlap[0]]), int(forward[overlap[0] + 1])
        return _overlapping(calls, of, one, other)
    backward = np.flatnonzero(used & (of.first_return > of.last_invocation))
    around = np.searchsorted(low[forward], low[backward]) - 1
    within = np.flatnonzero((around >= 0) & (high[backward] < high[forward[around]])) if len(forward) else around[:0]
    if len(within):
        return _within(calls, of, int(backward[within[0]]), int(forward[around[within[0]]]))
    return Finding(True)


def _members(calls: Sequence[Call], of: _Clusters, *clusters: int) -> tuple[Call, ...]:
    numbers = {int(each[cluster]) for cluster in clusters for each in (of.writes, of.first, of.last)} - {-1}
    return tuple(calls[number] for number in sorted(numbers))


def _span(calls: Sequence[Call], of: _Clusters, cluster: int) -> str:
    """Between which moments the register held the value of a forward zone, as a clause."""
    first, last = int(of.first[cluster]), int(of.last[cluster])
    since = f"{call_text(calls[first])} had returned" if first >= 0 else of.start
    return f"{since} before {call_text(calls[last])} was invoked"


def _overlapping(calls: Sequence[Call], of: _Clusters, one: int, other: int) -> Finding:
    text = (
        f"{_span(calls, of, one)}, and {_span(calls, of, other)}; each value had to stay from the one moment to the "
        "other, and these times overlap"
    )
    return Finding(False, text, _members(calls, of, one, other))


def _within(calls: Sequence[Call], of: _Clusters, inner: int, outer: int) -> Finding:
    known = {int(each[inner]) for each in (of.writes, of.first, of.last)} - {-1}
    text = (
        f"{_span(calls, of, outer)}, so the value had to stay from the one moment to the other; "
        f"{listing(call_text(calls[number]) for number in sorted(known))} came after the first moment and before the "
        "second"
    )
    return Finding(False, text, _members(calls, of, inner, outer))
