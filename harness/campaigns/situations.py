"""Situations: what a distributed system has to get right in the rare moment, and whether a run met it.

1. A situation is computed from the history alone: operations, faults, and what replicas showed when they were polled.
   The system's code is not touched.
2. A run can tell a situation or not: where no replica is polled, nothing is known of hints. What it can't tell, it
   does not count.
3. A situation that no run of a campaign met is a hole in the test, and is named.

"Sometimes assertions" of Antithesis say the same from within a program.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from splitbrain.checkers import History
from splitbrain.checkers.histories.faults import Fault, faults, stages
from splitbrain.checkers.histories.history import Operation
from splitbrain.checkers.histories.replica_polls import POLL
from splitbrain.checkers.service.progress import is_write

CUTS = ("partition", "bridge", "one-way", "flapping")
ENDS = ("kill", "terminate", "storm", "power-cut", "rolling-restart", "wipe")
READ = "read"


@dataclass(frozen=True)
class Situation:
    """One situation. name: in words. told: whether a run can tell it. met: whether it occurred in that run."""

    name: str
    told: Callable[[Seen], bool]
    met: Callable[[Seen], bool]


class Seen:
    """What situations are computed from."""

    def __init__(self, history: History) -> None:
        self.operations: Sequence[Operation] = [each for each in history.operations if each.f != POLL]
        self.polls: Sequence[Operation] = [
            each for each in history.operations if each.f == POLL and each.outcome == "ok"
        ]
        self.faults = [fault for fault in faults(history) if fault.start.effective]
        self.last = len(history.events)
        self.stages = stages(history)
        self.keyed = any(each.key is not None for each in self.operations)

    def of(self, families: Iterable[str]) -> list[Fault]:
        """The faults of these families."""
        wanted = frozenset(families)
        return [fault for fault in self.faults if fault.family in wanted]

    def end(self, fault: Fault) -> int:
        """Until which event it stood."""
        return fault.ended.index if fault.ended else self.last

    def done(self, operation: Operation) -> int:
        """At which event it was completed; after the last if never."""
        return operation.completion.index if operation.completion else self.last

    def within(self, operations: Iterable[Operation], some: Sequence[Fault]) -> Iterable[Operation]:
        """Those that were invoked and completed while one of the faults stood."""
        for operation in operations:
            first, last = operation.invocation.index, self.done(operation)
            if any(fault.began.index < first and last < self.end(fault) for fault in some):
                yield operation

    @cached_property
    def writes(self) -> list[Operation]:
        return [operation for operation in self.operations if is_write(operation.f)]

    @cached_property
    def acknowledged(self) -> list[Operation]:
        return [write for write in self.writes if write.outcome == "ok"]

    @cached_property
    def shown(self) -> Mapping[Any, list[Operation]]:
        """The polls of each key, in the order of their completions."""
        by_key: dict[Any, list[Operation]] = defaultdict(list)
        for poll in sorted(self.polls, key=self.done):
            by_key[poll.key].append(poll)
        return by_key

    @cached_property
    def dissent(self) -> Mapping[Any, list[int]]:
        """By key, the events at which two primary replicas were seen to hold different versions."""
        found: dict[Any, list[int]] = {}
        for key, looks in self.shown.items():
            held: dict[str, list[Any]] = {}
            for poll in looks:
                if poll.value.get("home", True) and poll.invocation.node:
                    held[poll.invocation.node] = poll.value["versions"]
                    if any(versions != poll.value["versions"] for versions in held.values()):
                        found.setdefault(key, []).append(self.done(poll))
        return found


def _siblings(operation: Operation) -> bool:
    value = operation.completion.value if operation.completion is not None else None
    return isinstance(value, list) and len(value) > 1


def _siblings_in_a_cut(seen: Seen) -> bool:
    return any(_siblings(each) for each in seen.within(_reads(seen), seen.of(CUTS)))


def _reads(seen: Seen) -> list[Operation]:
    return [each for each in seen.operations if each.f == READ and each.outcome == "ok"]


def _both_sides(seen: Seen) -> bool:
    """Writes of one key through two nodes, both acknowledged within one cut."""
    for cut in seen.of(CUTS):
        through: dict[Any, set[str | None]] = defaultdict(set)
        for write in seen.within(seen.acknowledged, [cut]):
            through[write.key].add(write.invocation.node)
            if len(through[write.key]) > 1:
                return True
    return False


def _coordinator_ended(seen: Seen) -> bool:
    """A write was under way through a node when that node was ended, and its outcome is not known."""
    return any(
        write.outcome == "info"
        and write.invocation.node in fault.start.nodes
        and write.invocation.index < fault.began.index < seen.done(write)
        for fault in seen.of(ENDS)
        for write in seen.writes
    )


def _unknown_took_effect(seen: Seen) -> bool:
    """A write whose outcome was not known was seen by a read afterwards."""
    unknown = {_content(write.invocation.value): seen.done(write) for write in seen.writes if write.outcome == "info"}
    return any(
        value in unknown and read.invocation.index > unknown[value]
        for read in _reads(seen)
        for value in _contents(read.value)
    )


def _content(value: Any) -> str:
    return str(value.get("write", value) if isinstance(value, Mapping) else value)


def _contents(value: Any) -> set[str]:
    return {_content(each) for each in (value if isinstance(value, list) else [value])}


def _hints(seen: Seen) -> Iterable[tuple[Any, int, int]]:
    """Hints that were seen and then not any more: the key, and the events of the two polls."""
    for key, looks in seen.shown.items():
        kept: dict[str | None, int] = {}
        for poll in looks:
            node = poll.invocation.node
            if poll.value.get("hinted"):
                kept.setdefault(node, seen.done(poll))
            elif node in kept:
                yield key, kept.pop(node), seen.done(poll)


def _hint_after_restart(seen: Seen) -> bool:
    ends = [seen.end(fault) for fault in seen.of(ENDS)]
    return any(since < end < until for _, since, until in _hints(seen) for end in ends)


def _hint_holder_ended(seen: Seen) -> bool:
    """A node was ended while it kept hints."""
    for looks in seen.shown.values():
        for poll in looks:
            node = poll.invocation.node
            if poll.value.get("hinted") and any(
                node in fault.start.nodes and 0 < fault.began.index - seen.done(poll) < 200 for fault in seen.of(ENDS)
            ):
                return True
    return False


def _read_beside_write(seen: Seen) -> bool:
    """A read and a write of one key at the same time, while its replicas were seen to differ."""
    by_key: dict[Any, list[Operation]] = defaultdict(list)
    for write in seen.writes:
        by_key[write.key].append(write)
    for read in _reads(seen):
        first, last = read.invocation.index, seen.done(read)
        moments = seen.dissent.get(read.key, [])
        if bisect_left(moments, first - 100) == bisect_right(moments, last + 100):
            continue
        if any(write.invocation.index < last and first < seen.done(write) for write in by_key[read.key]):
            return True
    return False


def _differed_after_heal(seen: Seen) -> bool:
    healed = max((seen.end(fault) for fault in seen.faults), default=seen.last)
    return any(moment > healed for moments in seen.dissent.values() for moment in moments)


def _two_families(seen: Seen) -> bool:
    return any(
        one.family != other.family and one.began.index < seen.end(other) and other.began.index < seen.end(one)
        for one in seen.faults
        for other in seen.faults
    )


def _back_in_a_cut(seen: Seen) -> bool:
    return any(cut.began.index < seen.end(fault) < seen.end(cut) for fault in seen.of(ENDS) for cut in seen.of(CUTS))


def _again_soon(seen: Seen) -> bool:
    """A node was struck again within a second after its last fault had ended."""
    struck = [fault for fault in seen.faults if fault.ended is not None and fault.start.nodes]
    return any(
        one.start.nodes & other.start.nodes
        and one.ended is not None
        and 0 <= other.began.time - one.ended.time <= 1_000_000_000
        for one in struck
        for other in seen.faults
    )


def _deleted_meanwhile(seen: Seen) -> bool:
    """A delete was acknowledged while a node was down or cut off."""
    deletes = [write for write in seen.acknowledged if write.f in ("delete", "remove")]
    return any(True for _ in seen.within(deletes, seen.of((*CUTS, *ENDS, "pause"))))


def _rested(seen: Seen) -> bool:
    """A key that nobody wrote any more was read after a later fault."""
    last: dict[Any, int] = {}
    for write in seen.writes:
        last[write.key] = max(last.get(write.key, 0), write.invocation.index)
    began = [fault.began.index for fault in seen.faults]
    return any(last.get(read.key, seen.last) < at < read.invocation.index for read in _reads(seen) for at in began[-1:])


def _always(seen: Seen) -> bool:
    return True


def _keyed(seen: Seen) -> bool:
    return seen.keyed


def _polled(seen: Seen) -> bool:
    return bool(seen.polls)


def _deletes(seen: Seen) -> bool:
    return any(write.f in ("delete", "remove") for write in seen.writes)


SITUATIONS = (
    Situation("siblings were read during a cut", _keyed, _siblings_in_a_cut),
    Situation("both sides of a cut acknowledged writes of one key", _keyed, _both_sides),
    Situation("a node ended while a write through it was under way", _always, _coordinator_ended),
    Situation("a write of unknown outcome was read later", _always, _unknown_took_effect),
    Situation("a hint was delivered after its owner had restarted", _polled, _hint_after_restart),
    Situation("a node ended while it kept hints", _polled, _hint_holder_ended),
    Situation("a read raced with a write of a key whose replicas differed", _polled, _read_beside_write),
    Situation("replicas differed after the last heal", _polled, _differed_after_heal),
    Situation("faults of two families stood at once", _always, _two_families),
    Situation("a node came back while the network was cut", _always, _back_in_a_cut),
    Situation("a node was struck again within a second", _always, _again_soon),
    Situation("a delete was acknowledged during a fault", _deletes, _deleted_meanwhile),
    Situation("a key at rest was read after a later fault", _keyed, _rested),
)


def occurred(history: History) -> dict[str, bool]:
    """By name, whether each situation that this run could tell occurred in it. O(n * faults)."""
    seen = Seen(history)
    return {situation.name: situation.met(seen) for situation in SITUATIONS if situation.told(seen)}
