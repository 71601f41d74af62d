"""Causal reverse: whoever sees a write sees every write that was over before it began.

Operations: `write` of a value; `read`, whose `ok` value lists the values that it saw. Keys are judged separately.

1. A value is written once. A write that is `ok` was over at its completion, a crashed one may yet happen, a failed one
   never does.
2. Missing: a read saw a value, and did not see another one whose write was `ok` before the write of the first began. In
   real time the second came first, so no order of the operations that respects it explains the read.
3. It does not matter when the read itself was made, and a read that sees neither of two values is no evidence.
4. Unexpected: a read saw a value that nobody had begun to write by its end. Phantom: the write of what it saw had
   failed.
5. Invalid if a read misses a value, or if anything is unexpected or phantom. Unknown if no read saw a value before
   whose write another one had been over: then there was nothing to miss. Otherwise valid.
6. Refused is a second write of a value unless the one before failed, a write of null, an `ok` read without a list, and
   an operation of another name.

Source: jepsen.tests.causal-reverse (Jepsen 0.3), made after the "comments" test of CockroachDB. It is what strict
serializability excludes and serializability does not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from splitbrain.checkers.histories.final_reads import Key
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, count, literal
from splitbrain.checkers.histories.values import identity, operations_of, refusal
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict, Witness

_LISTED = 100


@dataclass(slots=True)
class Writes:
    """The writes and reads of one key. by_value: writes but for failed ones."""

    by_value: dict[Hashable, Operation] = field(default_factory=dict)
    failed: set[Hashable] = field(default_factory=set)
    reads: list[Operation] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reversal:
    """A read that saw `seen` and missed writes that were over before it. missing: the first of them; how many."""

    read: Operation
    seen: Operation
    missing: Operation
    how_many: int


@needs_real_time
def check(history: History) -> Verdict:
    """Look for reads that saw a write, and missed one that was over before it began.

    Evidence: `writes`, `acknowledged`, `reads`; `at_stake`, reads that had something to miss; `reversed`, reads that
    missed something, and `reversals`, the first 100 of them [{key, read, seen, missing, how_many}], values and the
    read's index; `unexpected`, `phantom`.
    Raises HistoryError by rule 6. O(v log n) for v values read.
    """
    keys = _gather(history)
    reversals: list[Reversal] = []
    impossible: list[tuple[str, Operation, Any]] = []
    at_stake = 0
    for writes in keys.values():
        found, stakes = _reversals(writes)
        reversals += found
        at_stake += stakes
        impossible += _impossible(writes)
    reversals.sort(key=lambda each: each.read.invocation.index)
    impossible.sort(key=lambda each: each[1].invocation.index)
    evidence: dict[str, Any] = {
        "writes": sum(len(writes.by_value) + len(writes.failed - writes.by_value.keys()) for writes in keys.values()),
        "acknowledged": sum(each.outcome == "ok" for writes in keys.values() for each in writes.by_value.values()),
        "reads": sum(len(writes.reads) for writes in keys.values()),
        "at_stake": at_stake,
        "reversed": len(reversals),
        "reversals": [_as_data(each) for each in reversals[:_LISTED]],
        "unexpected": sum(kind == "unexpected" for kind, _, _ in impossible),
        "phantom": sum(kind == "phantom" for kind, _, _ in impossible),
    }
    complaints = _complaints(evidence)
    if complaints:
        witness = _witness(reversals[0]) if reversals else _impossible_witness(*impossible[0])
        return Verdict.invalid("; ".join(complaints), witness, **evidence)
    if not at_stake:
        return Verdict.unknown("no read saw a write that another one had been over before", **evidence)
    return Verdict.valid(f"{count(at_stake, 'read')} saw every write that came before what they saw", **evidence)


def _gather(history: History) -> dict[Key, Writes]:
    keys: dict[Key, Writes] = {}
    for operation in operations_of(history, "a causal-reverse history", ("write", "read"), "write"):
        writes = keys.setdefault(operation.key, Writes())
        if operation.f == "read":
            if operation.outcome == "ok" and operation.completion is not None:
                if not isinstance(operation.completion.value, list):
                    raise refusal(operation.completion, "an ok read needs a list of the values that it saw")
                writes.reads.append(operation)
            continue
        if operation.invocation.value is None:
            raise refusal(operation.invocation, "a write needs a value")
        value = identity(operation.invocation.value)
        if operation.outcome == "fail":
            writes.failed.add(value)
        elif value in writes.by_value:
            earlier = writes.by_value[value].invocation.index + 1
            raise refusal(operation.invocation, f"a value is written once, and this one was by line {earlier}")
        else:
            writes.by_value[value] = operation
    return keys


def _reversals(writes: Writes) -> tuple[list[Reversal], int]:
    """The reads that missed something, and how many had something to miss."""
    over = sorted((each for each in writes.by_value.values() if each.outcome == "ok"), key=lambda each: _end(each))
    ends = [_end(each) for each in over]
    found, at_stake = [], 0
    for read in writes.reads:
        assert read.completion is not None
        values = {identity(value) for value in read.completion.value}
        seen = [writes.by_value[value] for value in values if value in writes.by_value]
        if not seen:
            continue
        last = max(seen, key=lambda each: each.invocation.index)
        before = over[: bisect_left(ends, last.invocation.index)]
        at_stake += bool(before)
        missing = [each for each in before if identity(each.invocation.value) not in values]
        if missing:
            found.append(Reversal(read, last, missing[0], len(missing)))
    return found, at_stake


def _end(write: Operation) -> int:
    assert write.completion is not None
    return write.completion.index


def _impossible(writes: Writes) -> Iterator[tuple[str, Operation, Any]]:
    for read in writes.reads:
        assert read.completion is not None
        for value in read.completion.value:
            write = writes.by_value.get(identity(value))
            if write is None or write.invocation.index > read.completion.index:
                yield ("phantom" if identity(value) in writes.failed else "unexpected"), read, value


def _complaints(evidence: dict[str, Any]) -> list[str]:
    parts = []
    if evidence["reversed"]:
        reads = f"{evidence['reversed']:,} of {count(evidence['reads'], 'read')}"
        parts.append(f"{reads} saw a write without one that was over before it")
    if evidence["unexpected"]:
        parts.append(f"{count(evidence['unexpected'], 'value')} read that nobody had written")
    if evidence["phantom"]:
        parts.append(f"{count(evidence['phantom'], 'value')} read whose write had failed")
    return parts


def _as_data(each: Reversal) -> dict[str, Any]:
    return {
        "key": each.read.key,
        "read": each.read.invocation.index,
        "seen": each.seen.invocation.value,
        "missing": each.missing.invocation.value,
        "how_many": each.how_many,
    }


def _witness(each: Reversal) -> Witness:
    assert each.missing.completion is not None and each.read.completion is not None
    text = (
        f"the write of {literal(each.missing.invocation.value)} by process {each.missing.process} was over at "
        f"{at(each.missing.completion)}, and that of {literal(each.seen.invocation.value)} by process "
        f"{each.seen.process} began only at {at(each.seen.invocation)}; process {each.read.process} at "
        f"{at(each.read.completion)} saw the second and not the first"
    )
    return Witness(text, _events([each.missing, each.seen, each.read]), {"kind": "causal reverse", **_as_data(each)})


def _impossible_witness(kind: str, read: Operation, value: Any) -> Witness:
    assert read.completion is not None
    why = "which nobody had begun to write" if kind == "unexpected" else "though the write of it had failed"
    text = f"process {read.process} read {literal(value)} at {at(read.completion)}, {why}"
    return Witness(text, _events([read]), {"kind": kind, "key": read.key, "value": value})


def _events(operations: Sequence[Operation]) -> tuple[int, ...]:
    return tuple(sorted({event.index for o in operations for event in (o.invocation, o.completion) if event}))
