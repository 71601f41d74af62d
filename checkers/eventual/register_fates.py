"""Fates of the writes of a versioned register: what its concluding reads say of each.

`lost_versions` has the rules and the terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import chain

from splitbrain.checkers.eventual.acknowledged import FirstReads, KeyWrites, Value, completion_of
from splitbrain.checkers.histories.final_reads import concluding_reads
from splitbrain.checkers.histories.history import Operation
from splitbrain.checkers.versions.writes import Coverage, Versions, Write

_FIGURES = (
    *("attempted", "acknowledged", "failed", "indeterminate"),
    *("lost", "surviving", "superseded", "deleted", "unprovable", "missing", "never_read", "vanished"),
    *("resurrected", "phantom", "unexpected", "reads", "final_reads"),
)
COVERED = ("surviving", "superseded")
"""The fates of a write that a final sibling covers."""


@dataclass
class RegisterKey:
    """One key: what was put, and the final siblings, ascending.

    undoing: by acknowledged delete, the concluding reads in which it is undone. resurrected: the writes these returned.
    """

    writes: KeyWrites
    siblings: list[int] = field(default_factory=list)
    undoing: Mapping[int, Sequence[Operation]] = field(default_factory=dict)
    resurrected: Set[int] = frozenset()

    def counts(self) -> dict[str, int]:
        numbers = self.writes.counts()
        numbers["resurrected"] = len(self.resurrected)
        return {figure: numbers[figure] for figure in _FIGURES}


def returned(read: Operation) -> tuple[int, ...]:
    """The siblings that an ok read returned; `Versions.of` has seen to their form."""
    return tuple(completion_of(read).value)


def id_of(value: Value) -> int:
    """The id that names a write."""
    assert isinstance(value, int)
    return value


def judged(each: KeyWrites, versions: Versions) -> RegisterKey:
    """What became of the writes of a key."""
    concluding = concluding_reads(each.final)
    shown = [
        Shown(read, versions.coverage(returned(read), each.key), versions.deleted(each.key, completion_of(read).index))
        for read in concluding
    ]
    siblings = {id_ for read in concluding for id_ in returned(read)}
    coverage = versions.coverage(siblings, each.key)
    deleted = versions.deleted(each.key, max((completion_of(read).index for read in concluding), default=-1))
    deletes = {write.id for write in versions.deletes(each.key) if write.outcome == "ok"}
    later = _later_deletes(each, versions, siblings, deletes)
    undoing = {
        id_: [read for read in concluding if any(id_ in later[sibling] for sibling in returned(read))]
        for id_ in sorted(deletes.intersection(chain.from_iterable(later.values())))
    }
    for read in each.reads:
        _note_impossible(each, versions, read, returned(read))
    for id_ in each.writes:
        write = versions.writes[id_of(id_)]
        _note_impossible(each, versions, write.operation, write.seen or ())
        if write.outcome != "ok":
            continue
        if not each.final:
            each.fate[id_] = "never_read"
        elif write.deletes:
            each.fate[id_] = _fate_of_delete(each, write, coverage, undoing.get(write.id, ()), len(concluding))
        else:
            fate = _fate(write, siblings, coverage, deleted)
            each.fate[id_] = _by_node(each, write, fate, shown) if fate in COVERED else fate
    first = FirstReads()
    for read in each.reads:
        first.note(read, returned(read))

    def is_gone(value: Value) -> bool:
        write = versions.writes[id_of(value)]
        return not _may_cover(coverage, write) and not _may_cover(deleted, write)

    each.note_vanished(first, concluding, is_gone)
    return RegisterKey(each, sorted(siblings), undoing, {id_ for id_, some in later.items() if some})


@dataclass(frozen=True, slots=True)
class Shown:
    """What a concluding read says of writes: what its siblings cover, and what deletes may have taken from it."""

    read: Operation
    covered: Coverage
    deleted: Coverage

    def certainly_lacks(self, write: Write) -> bool:
        return not _may_cover(self.covered, write) and not _may_cover(self.deleted, write)


def _fate(write: Write, siblings: Set[int], coverage: Coverage, deleted: Coverage) -> str:
    """What the final siblings, taken together, say of an acknowledged put."""
    if write.id in siblings:
        return "surviving"
    if write.id in coverage.ids:
        return "superseded"
    if write.id in deleted.ids:
        return "deleted"
    return "unprovable" if _may_cover(coverage, write) or _may_cover(deleted, write) else "lost"


def _fate_of_delete(
    each: KeyWrites, write: Write, coverage: Coverage, undoing: Sequence[Operation], concluding: int
) -> str:
    """What the concluding reads say of an acknowledged delete. undoing: those in which it is undone."""
    if len(undoing) == concluding:
        return "lost"
    if undoing:
        each.missing[write.id] = undoing[0]
    return "superseded" if write.id in coverage.ids else "surviving"


def _may_cover(coverage: Coverage, write: Write) -> bool:
    return write.id in coverage.ids or write.invoked < coverage.horizon


def _by_node(each: KeyWrites, write: Write, fate: str, shown: Sequence[Shown]) -> str:
    """The fate of a put that is covered somewhere, after a look at each of the concluding reads."""
    lacking = [one for one in shown if write.id not in one.covered.ids]
    for one in lacking:
        if one.certainly_lacks(write):
            each.missing[write.id] = one.read
            return fate
    return "unprovable" if lacking else fate


def _later_deletes(each: KeyWrites, versions: Versions, siblings: Set[int], deletes: Set[int]) -> dict[int, Set[int]]:
    """By final sibling: the acknowledged deletes that had seen it. O(siblings * writes and "seen" entries)."""
    if not deletes:
        return dict.fromkeys(siblings, frozenset())
    later = seen_by(each, versions)
    return {id_: (descendants(later, id_) - {id_}) & deletes for id_ in siblings}


def seen_by(each: KeyWrites, versions: Versions) -> Mapping[int, Sequence[int]]:
    """By id, the writes of the key whose contexts covered it directly."""
    found: dict[int, list[int]] = {}
    for other in map(id_of, each.writes):
        for seen in versions.writes[other].seen or ():
            found.setdefault(seen, []).append(other)
    return found


def descendants(seen_by: Mapping[int, Sequence[int]], id_: int) -> set[int]:
    """The write and all that had seen it. O(writes and "seen" entries of the key)."""
    found, ahead = {id_}, [id_]
    while ahead:
        for other in seen_by.get(ahead.pop(), ()):
            if other not in found:
                found.add(other)
                ahead.append(other)
    return found


def _note_impossible(each: KeyWrites, versions: Versions, operation: Operation, ids: tuple[int, ...]) -> None:
    for id_ in ids:
        tombstone = operation.f == "read" and id_ in versions.writes and versions.writes[id_].deletes
        if tombstone or not versions.known(id_, each.key):
            each.impossible["unexpected"].setdefault(id_, operation)
        elif versions.writes[id_].outcome == "fail" and versions.writes[id_].operation is not operation:
            each.impossible["phantom"].setdefault(id_, operation)
