"""Counter: a read shows a sum that the adds around it allow.

Operations: `add` of an integer, negative to count down; `read` of the sum. Keys are judged separately.

1. A counter starts at `initial`.
2. An add counts for certain in a read if it was acknowledged (`ok`) before the read was invoked. It may count if it was
   invoked before the read completed and did not fail. A crashed add (`info`, or never completed) may count in any later
   read, and in none, for ever after. A failed add counts in none.
3. The least that a read may show is the sum of the initial value, the certain adds, and the negative ones of the
   possible adds; the most has the positive ones instead. A misread is an `ok` read below the least or above the most.
4. Invalid if there is a misread. Unknown if there is no `ok` read. Otherwise valid.
5. The bounds are necessary, not sufficient: a read may keep to them with a sum that no set of the adds makes, and one
   read may go back on another. The linearizability checker with a counter as its model judges exactly, at its cost.
6. A value that is no integer is refused, as is an operation of another name.

Source: jepsen.checker/counter (Jepsen 0.3), whose bounds these are. It takes no negative adds: there the lower bound is
the sum of the acknowledged ones and the upper bound that of the attempted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from splitbrain.checkers.histories.final_reads import Key
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, count, key_name
from splitbrain.checkers.histories.values import is_integer, operations_of, refusal
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict, Witness

_LISTED = 100
_SHOWN_ADDS = 20


class _Sums:
    """Sums of adds before an event. placed: event index and amount of each add."""

    def __init__(self, placed: Iterable[tuple[int, int]]) -> None:
        ordered = sorted(placed)
        self._indices = [index for index, _ in ordered]
        # Python's integers, not numpy's: a sum beyond 64 bits would wrap around and pass for a good one.
        self._up = list(accumulate((max(amount, 0) for _, amount in ordered), initial=0))
        self._down = list(accumulate((min(amount, 0) for _, amount in ordered), initial=0))

    def up_before(self, index: int) -> int:
        """The sum of the positive ones."""
        return self._up[bisect_left(self._indices, index)]

    def down_before(self, index: int) -> int:
        """The sum of the negative ones."""
        return self._down[bisect_left(self._indices, index)]


@dataclass(slots=True)
class CounterKey:
    """The adds of one key that did not fail, and its ok reads, in the order of their invocations."""

    adds: list[Operation] = field(default_factory=list)
    reads: list[Operation] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CounterRead:
    """An ok read of a key, and the least and the most that it may show."""

    operation: Operation
    least: int
    shown: int
    most: int

    @property
    def off_by(self) -> int:
        """How far it is out of its bounds; 0 within."""
        return max(self.least - self.shown, self.shown - self.most, 0)

    @property
    def key(self) -> Key:
        return self.operation.key


@needs_real_time
def check(history: History, *, initial: int = 0) -> Verdict:
    """Judge whether every read keeps to its bounds.

    initial: what every key's counter starts at.
    Evidence: `attempted`, `acknowledged`, `failed` and `indeterminate` adds; `keys`, `reads`; `exact_reads`, those
    whose bounds leave one value; `widest_bounds`, the most minus the least of the read that they bind least;
    `misreads`; `largest_error`, how far the worst is out; `misread`, the first 100 [{key, least, shown, most, index}].
    Raises HistoryError by rule 6. O(n log n).
    """
    outcomes, keys = _gather(history)
    readings = [reading for each in keys.values() for reading in _readings(each, initial)]
    readings.sort(key=lambda reading: reading.operation.invocation.index)
    wrong = [reading for reading in readings if reading.off_by]
    evidence: dict[str, Any] = {
        "attempted": outcomes.total(),
        "acknowledged": outcomes["ok"],
        "failed": outcomes["fail"],
        "indeterminate": outcomes["info"],
        "keys": len({reading.key for reading in readings}),
        "reads": len(readings),
        "exact_reads": sum(reading.least == reading.most for reading in readings),
        "widest_bounds": max((reading.most - reading.least for reading in readings), default=None),
        "misreads": len(wrong),
        "largest_error": max((reading.off_by for reading in wrong), default=0),
        "misread": [_as_data(reading) for reading in wrong[:_LISTED]],
    }
    if wrong:
        largest = evidence["largest_error"]
        reason = f"{len(wrong):,} of {count(len(readings), 'read')} out of bounds, by up to {largest:,}"
        return Verdict.invalid(reason, _witness(wrong[0], keys[wrong[0].key], initial), **evidence)
    if not readings:
        return Verdict.unknown("no read was ok, so nobody saw a counter", **evidence)
    bounds = "all exact" if len(readings) == evidence["exact_reads"] else f"{evidence['widest_bounds']:,} wide at most"
    return Verdict.valid(f"{count(len(readings), 'read')} within bounds, {bounds}", **evidence)


def _gather(history: History) -> tuple[Counter[str], dict[Key, CounterKey]]:
    """How many adds had each outcome, and the keys. Raises HistoryError by rule 6."""
    outcomes = Counter[str]()
    keys: dict[Key, CounterKey] = {}
    for operation in operations_of(history, "a counter", ("add", "read"), "add"):
        each = keys.setdefault(operation.key, CounterKey())
        if operation.f == "add":
            if not is_integer(operation.invocation.value):
                raise refusal(operation.invocation, "an add to a counter needs an integer")
            outcomes[operation.outcome] += 1
            if operation.outcome != "fail":
                each.adds.append(operation)
        elif operation.outcome == "ok" and operation.completion is not None:
            if not is_integer(operation.completion.value):
                raise refusal(operation.completion, "an ok read of a counter needs an integer")
            each.reads.append(operation)
    return outcomes, keys


def _readings(each: CounterKey, initial: int) -> Iterable[CounterRead]:
    possible = _Sums((add.invocation.index, add.invocation.value) for add in each.adds)
    acknowledged = [add for add in each.adds if add.outcome == "ok"]
    certain = _Sums((add.completion.index, add.invocation.value) for add in acknowledged if add.completion)
    for read in each.reads:
        assert read.completion is not None
        begun, over = read.invocation.index, read.completion.index
        # What was acknowledged before it began was invoked before it was over: no add counts twice.
        least = initial + certain.up_before(begun) + possible.down_before(over)
        most = initial + certain.down_before(begun) + possible.up_before(over)
        yield CounterRead(read, least, read.completion.value, most)


def _certain(add: Operation, begun: int) -> bool:
    return add.outcome == "ok" and add.completion is not None and add.completion.index < begun


def _as_data(reading: CounterRead) -> dict[str, Any]:
    return {
        "key": reading.key,
        "least": reading.least,
        "shown": reading.shown,
        "most": reading.most,
        "index": reading.operation.invocation.index,
    }


def _witness(reading: CounterRead, each: CounterKey, initial: int) -> Witness:
    read = reading.operation
    assert read.completion is not None
    begun, over = read.invocation.index, read.completion.index
    earlier = [add for add in each.adds if add.invocation.index < over]
    certain = [add for add in earlier if _certain(add, begun)]
    possible = [add for add in earlier if not _certain(add, begun)]
    allowed = f"{reading.least:,}" if reading.least == reading.most else f"{reading.least:,} to {reading.most:,}"
    text = (
        f"process {read.process} read {reading.shown:,} from {key_name(reading.key)} at {at(read.completion)}, and "
        f"{allowed} was possible: it started at {initial:,}, {_why(reading, certain, possible, initial)}"
    )
    shown = [*certain[-_SHOWN_ADDS:], *possible[-_SHOWN_ADDS:], read]
    events = {event.index for o in shown for event in (o.invocation, o.completion) if event}
    return Witness(text, tuple(sorted(events)), {"kind": "misread", **_as_data(reading)})


def _why(reading: CounterRead, certain: Sequence[Operation], possible: Sequence[Operation], initial: int) -> str:
    """What the certain adds made, and what the possible ones could make."""
    made = sum(add.invocation.value for add in certain)
    acknowledged, made_so = "nothing was acknowledged", ""
    if certain:
        acknowledged, made_so = f"{count(len(certain), 'add')} acknowledged", f" made {made:+,}"
    others = "no other may have happened by its end"
    if possible:
        least, most = reading.least - initial - made, reading.most - initial - made
        others = f"{count(len(possible), 'other')} that may have happened by its end could make {least:+,} to {most:+,}"
    begun = at(reading.operation.invocation)
    return f"{acknowledged} before the read was invoked at {begun}{made_so}, and {others}"
