"""Versioned registers: the writes, what each had seen, and so which versions supersede which.

Operations: `put` with value {"write": id}; its completion lists in "seen" the writes that its context covered directly.
`delete`, the same. `read` returns the ids of the siblings.

1. A put or a delete is a write. A write's id is an integer (not true or false), unique in the history. A write had
   *seen* another that is in its "seen", or in the "seen" of a write that it had seen. The later version then supersedes
   the earlier one (Dynamo, SOSP 2007, section 4.4).
2. Without a completion, or without "seen" in it, what a write had seen is unknown. The client held the context when the
   put completed, so everything in it had been invoked by then. Such a write may have seen any write of its key that was
   invoked before its own end, and no other.
3. A write's own id in its "seen" means nothing: a client that retried had read its first attempt.
4. The completion of a write repeats its id, if it has one. Another id is refused.
5. A "seen" that names a write invoked only after the other completed is no anomaly. The history itself is wrong.
6. What a delete writes is a tombstone: no read returns it. So a read may cover any delete that was invoked before the
   read was over and did not fail, unless it returned what that delete had seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.final_reads import Key
from splitbrain.checkers.histories.history import History, Operation

PUTTING = ("put", "delete")
"""The operations that write a version."""


@dataclass(frozen=True, slots=True)
class Write:
    """A put or a delete. seen: the ids that its context covered directly, or None if that was not recorded."""

    id: int
    operation: Operation
    seen: tuple[int, ...] | None

    @property
    def key(self) -> Key:
        return self.operation.key

    @property
    def outcome(self) -> str:
        return self.operation.outcome

    @property
    def deletes(self) -> bool:
        """Whether it is a delete."""
        return self.operation.f == "delete"

    @property
    def invoked(self) -> int:
        """Index of its invocation."""
        return self.operation.invocation.index

    @property
    def ended(self) -> int:
        """Index of its completion; FOREVER if none came."""
        return completion_index(self.operation)


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a set of versions covers.

    ids: the versions themselves and every write that they had certainly seen. horizon: an event index; any write of the
    key invoked before it may be covered too, through a write whose "seen" was not recorded. -1 if there is no such
    write.
    """

    ids: frozenset[int]
    horizon: int


@dataclass(frozen=True)
class Versions:
    """The writes of a history by id, and its `ok` reads with the siblings that they returned."""

    writes: Mapping[int, Write]
    reads: tuple[tuple[Operation, tuple[int, ...]], ...]
    _deletes: Mapping[Key, Sequence[Write]]

    @classmethod
    def of(cls, history: History) -> Versions:
        """Read the history. O(n). Raises HistoryError where a value has the wrong shape or rule 1, 4 or 5 is broken."""
        writes: dict[int, Write] = {}
        reads: list[tuple[Operation, tuple[int, ...]]] = []
        for operation in history.operations:
            if operation.f in PUTTING:
                write = _write(operation)
                if write.id in writes:
                    problem = f"write {write.id} is put a second time; ids must be unique in a history"
                    raise HistoryError(operation.invocation.index + 1, problem)
                writes[write.id] = write
            elif operation.f == "read" and operation.outcome == "ok" and operation.completion is not None:
                reads.append((operation, _ids(operation.completion.value, operation.completion.index, "an ok read")))
        for write in writes.values():
            for id_ in write.seen or ():
                if id_ in writes and writes[id_].invoked > write.ended:
                    problem = f"write {write.id} had seen {id_}, which was invoked only after it was completed"
                    raise HistoryError(write.ended + 1, problem)
        deletes: dict[Key, list[Write]] = {}
        for write in writes.values():
            if write.deletes and write.outcome != "fail":
                deletes.setdefault(write.key, []).append(write)
        return cls(writes, tuple(reads), deletes)

    def until(self, end: int | None) -> Versions:
        """With the reads only that were over before that event, or all. Every write stays, with what it had seen."""
        if end is None:
            return self
        return replace(self, reads=tuple(pair for pair in self.reads if completion_index(pair[0]) < end))

    def known(self, id_: int, key: Key) -> bool:
        """Whether anybody put or deleted under that id at that key."""
        return id_ in self.writes and self.writes[id_].key == key

    def coverage(self, siblings: Iterable[int], key: Key) -> Coverage:
        """What these versions of a key cover. O(writes and "seen" entries reached)."""
        reached: set[int] = set()
        horizon = -1
        ahead = list(siblings)
        while ahead:
            id_ = ahead.pop()
            if id_ in reached or not self.known(id_, key):
                continue
            reached.add(id_)
            write = self.writes[id_]
            if write.seen is None:
                horizon = max(horizon, write.ended)
            else:
                ahead.extend(write.seen)
        return Coverage(frozenset(reached), horizon)

    def deleted(self, key: Key, before: int) -> Coverage:
        """What the key's deletes cover that were invoked before an event and did not fail (rule 6).

        O(writes and "seen" entries reached).
        """
        return self.coverage((each.id for each in self.deletes(key) if each.invoked < before), key)

    def deletes(self, key: Key) -> Sequence[Write]:
        """The deletes of a key that did not fail, in the order of their invocations."""
        return self._deletes.get(key, ())

    def superseded(self, siblings: Iterable[int], key: Key) -> tuple[int, int] | None:
        """A pair of siblings of which the second supersedes the first, or None.

        O(S * writes of the key since the earliest of the S siblings was invoked).
        """
        among = {id_ for id_ in siblings if self.known(id_, key)}
        if len(among) < 2:
            return None
        earliest = min(self.writes[id_].invoked for id_ in among)
        for later in sorted(among):
            earlier = self._seen_among(later, among - {later}, earliest)
            if earlier is not None:
                return earlier, later
        return None

    def _seen_among(self, later: int, wanted: set[int], earliest: int) -> int | None:
        """The least of the wanted writes that `later` had seen; none of them was invoked before `earliest`."""
        reached = {later}
        ahead = [later]
        while ahead:
            write = self.writes[ahead.pop()]
            if write.ended < earliest:
                continue
            for id_ in write.seen or ():
                if id_ not in reached and self.known(id_, write.key):
                    reached.add(id_)
                    ahead.append(id_)
        found = reached & wanted
        return min(found) if found else None


def completion_index(operation: Operation) -> int:
    """The event index of its completion; FOREVER if none came."""
    return operation.completion.index if operation.completion else FOREVER


def _write(operation: Operation) -> Write:
    invoked = operation.invocation.value
    # Not isinstance: true is an int to Python, and equal to 1.
    if not isinstance(invoked, dict) or type(invoked.get("write")) is not int:
        problem = f'a {operation.f} needs a value {{"write": id}}, has {invoked!r:.60}'
        raise HistoryError(operation.invocation.index + 1, problem)
    completion = operation.completion
    seen: tuple[int, ...] | None = None
    if completion is not None and completion.type == "ok" and isinstance(completion.value, dict):
        told = completion.value.get("write")
        if told is not None and (type(told) is not int or told != invoked["write"]):
            problem = (
                f"a completion repeats the id of its {operation.f}, {invoked['write']}, and does not say {told!r:.60}"
            )
            raise HistoryError(completion.index + 1, problem)
    if completion is not None and isinstance(completion.value, dict) and completion.value.get("seen") is not None:
        seen = _ids(completion.value["seen"], completion.index, f'the "seen" of a {operation.f}')
    return Write(invoked["write"], operation, seen)


def _ids(value: object, index: int, what: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(id_) is int for id_ in value):
        raise HistoryError(index + 1, f"{what} needs a list of write ids, has {value!r:.60}")
    return tuple(value)
