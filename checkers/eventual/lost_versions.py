"""Lost writes in versioned registers: what was acknowledged is still there, or was knowingly replaced.

Operations: `put` and `read` as `writes` says; any other is refused. Keys are judged separately.

1. The final siblings of a key are all write ids in its concluding reads (`final_reads`), together. A write that any
   node still has is not lost. One that no node has any more is lost, whatever earlier final reads returned.
2. An acknowledged write (`ok`) is surviving if it is a final sibling, superseded if a final sibling had (transitively)
   seen it, and otherwise lost. A client was told that it was done, no client replaced it knowingly, and it is gone.
   Last-write-wins loses writes exactly so.
3. A write that does not say what it had seen, among the final siblings or reached from them, may have seen any write of
   its key invoked before it ended. An acknowledged write that is covered only so is unprovable: it is called neither
   lost nor safe.
4. A write that survives or is superseded, but not by the siblings of every concluding read, is missing from the others:
   there a client would look in vain for it and for what replaced it. If one of them may cover it as in 3, and none
   certainly lacks it, it is unprovable.
5. Never read: acknowledged, and its key has no final read. Vanished: see `acknowledged`; a concluding read shows a
   write if it returned it, or a write that had seen it or may have, as in 3.
6. Phantom: read, or seen by another put, though its put failed, which promises that it did not happen. Unexpected: read
   or seen, though no client ever put it to that key. Neither is possible.
7. The verdict follows from these as `acknowledged` says.
8. Stable latency, for a write that survives or is superseded and isn't missing: from its acknowledgement to the
   invocation of the last read that lacked it (`visibility`); 0 if none did. Lost latency, for a lost write: from its
   acknowledgement to the invocation of the last read that held it; 0 if none did by then. Where writes had seen one
   another in a circle, there are none.

Sources: Dynamo (SOSP 2007), sections 4.4 and 6.1; Jepsen's Riak analysis (2013), whose sets these generalise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from splitbrain.checkers.algorithms.quantiles import quantiles_ms
from splitbrain.checkers.eventual import acknowledged
from splitbrain.checkers.eventual.acknowledged import SHOWN_READS, FirstReads, KeyWrites, Loss, Value, completion_of
from splitbrain.checkers.histories.final_reads import FinalReads, Key, concluding_reads
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, key_name, listing
from splitbrain.checkers.histories.values import operations_of
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict
from splitbrain.checkers.versions.reads import VersionedReads
from splitbrain.checkers.versions.version_order import Circular
from splitbrain.checkers.versions.visibility import visibility
from splitbrain.checkers.versions.writes import Coverage, Versions, Write

_FIGURES = (
    *("attempted", "acknowledged", "failed", "indeterminate"),
    *("lost", "surviving", "superseded", "unprovable", "missing", "never_read", "vanished"),
    *("phantom", "unexpected", "reads", "final_reads"),
)
_COVERED = ("surviving", "superseded")


@dataclass
class RegisterKey:
    """One key: what was put, and the final siblings, ascending."""

    writes: KeyWrites
    siblings: list[int] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        numbers = self.writes.counts()
        return {figure: numbers[figure] for figure in _FIGURES}


@needs_real_time
def check(history: History) -> Verdict:
    """Judge the registers of a history by the rules above.

    Evidence: the counts named in the rules, in total and by key (`keys`), `lost_fraction` of the
    acknowledged, `stable_latency_ms`, `lost_latency_ms` (quantiles).
    Raises HistoryError as `Versions.of` does, and for an operation that a versioned register does not have.
    O((operations + "seen" entries) * chains of a key).
    """
    operations_of(history, "a versioned register", ("put", "read"))
    versions = Versions.of(history)
    final = FinalReads.of(history)
    keys = {key: _judged(writes, versions) for key, writes in _gather(versions, final).items()}
    writes = {key: each.writes for key, each in keys.items()}
    return acknowledged.verdict(
        history,
        writes,
        RegisterWording(keys, versions),
        counts={key: each.counts() for key, each in keys.items()},
        latencies=_latencies(writes, versions),
        final=final,
    )


def _gather(versions: Versions, final: FinalReads) -> dict[Key, KeyWrites]:
    keys: dict[Key, KeyWrites] = {}

    def of(key: Key) -> KeyWrites:
        if key not in keys:
            keys[key] = KeyWrites(key, impossible={kind: {} for kind in RegisterWording.impossible})
        return keys[key]

    for write in versions.writes.values():
        of(write.key).writes[write.id] = write.operation
    for read, _ in versions.reads:
        of(read.key).reads.append(read)
    for key, reads in final.by_key.items():
        keys[key].final = reads
    return keys


def returned(read: Operation) -> tuple[int, ...]:
    """The siblings that an ok read returned; `Versions.of` has seen to their form."""
    return tuple(completion_of(read).value)


def _judged(each: KeyWrites, versions: Versions) -> RegisterKey:
    """What became of the writes of a key."""
    concluding = concluding_reads(each.final)
    shown = [(read, versions.coverage(returned(read), each.key)) for read in concluding]
    siblings = {id_ for read in concluding for id_ in returned(read)}
    coverage = versions.coverage(siblings, each.key)
    for read in each.reads:
        _note_impossible(each, versions, read, returned(read))
    for id_ in each.writes:
        write = versions.writes[_id(id_)]
        _note_impossible(each, versions, write.operation, write.seen or ())
        if write.outcome == "ok":
            fate = _fate(write, siblings, coverage) if each.final else "never_read"
            each.fate[id_] = _by_node(each, write, fate, shown) if fate in _COVERED else fate
    first = FirstReads()
    for read in each.reads:
        first.note(read, returned(read))
    each.note_vanished(first, concluding, lambda id_: not _may_cover(coverage, versions.writes[_id(id_)]))
    return RegisterKey(each, sorted(siblings))


def _fate(write: Write, siblings: Set[int], coverage: Coverage) -> str:
    """What the final siblings, taken together, say of an acknowledged write."""
    if write.id in siblings:
        return "surviving"
    if write.id in coverage.ids:
        return "superseded"
    return "unprovable" if _may_cover(coverage, write) else "lost"


def _may_cover(coverage: Coverage, write: Write) -> bool:
    return write.id in coverage.ids or write.invoked < coverage.horizon


def _by_node(each: KeyWrites, write: Write, fate: str, shown: Sequence[tuple[Operation, Coverage]]) -> str:
    """The fate of a write that is covered somewhere, after a look at each of the concluding reads."""
    lacking = [(read, coverage) for read, coverage in shown if write.id not in coverage.ids]
    for read, coverage in lacking:
        if write.invoked >= coverage.horizon:
            each.missing[write.id] = read
            return fate
    return "unprovable" if lacking else fate


def _note_impossible(each: KeyWrites, versions: Versions, operation: Operation, ids: tuple[int, ...]) -> None:
    for id_ in ids:
        if not versions.known(id_, each.key):
            each.impossible["unexpected"].setdefault(id_, operation)
        elif versions.writes[id_].outcome == "fail" and versions.writes[id_].operation is not operation:
            each.impossible["phantom"].setdefault(id_, operation)


def _latencies(keys: Mapping[Key, KeyWrites], versions: Versions) -> dict[str, dict[str, float]]:
    """Stable and lost latency."""
    try:
        known = visibility(VersionedReads.of(versions))
    except Circular:
        known = {}
    stable: list[int] = []
    lost: list[int] = []
    for each in keys.values():
        for id_, fate in each.fate.items():
            visible = known.get(_id(id_))
            if visible is None:
                continue
            if fate == "lost":
                lost.append(each.since_acknowledgement_ns(id_, visible.last_seen))
            elif fate in _COVERED and id_ not in each.missing:
                stable.append(each.since_acknowledgement_ns(id_, visible.last_missed))
    return {"stable_latency_ms": quantiles_ms(stable), "lost_latency_ms": quantiles_ms(lost)}


class RegisterWording:
    """How anomalies of versioned registers are worded (see `Wording`)."""

    f = "put"
    thing = "write"
    impossible: Mapping[str, str] = {
        "phantom": "read whose put had failed",
        "unexpected": "read that nobody put",
    }

    def __init__(self, keys: Mapping[Key, RegisterKey], versions: Versions) -> None:
        self._keys = keys
        self._versions = versions

    def valid(self, totals: Mapping[str, int]) -> str:
        return f": {totals['surviving']:,} surviving, {totals['superseded']:,} superseded"

    def done(self, each: KeyWrites, value: Value) -> str:
        return f"write {value} to {key_name(each.key)} was done"

    def loss(self, each: KeyWrites, value: Value) -> Loss:
        holding = _last(each.reads, {_id(value)})
        # It may have been replaced first, and what had replaced it lost after that.
        covering = _last(each.reads, self._descendants(each, _id(value)))
        replaced = covering if covering is not holding else None
        since = max(each.acknowledgement(value).index, covering.invocation.index if covering else -1)
        missed = next(read for read in each.reads if read.invocation.index > since)
        siblings = self._keys[each.key].siblings
        kept = [self._versions.writes[id_] for id_ in siblings if id_ in self._versions.writes]
        left = f"all that remains is {listing(map(_describe, kept))}" if kept else "nothing remains"
        without = f"no chain of what was seen leads from there to {value}"
        text = f"{_last_read(holding, replaced, missed)}; {left}, and {without}"
        operations = [read for read in (holding, replaced) if read]
        operations += [*(write.operation for write in kept), *concluding_reads(each.final)[:SHOWN_READS]]
        return Loss(text, missed, operations, {"siblings": siblings})

    def _descendants(self, each: KeyWrites, id_: int) -> set[int]:
        """The write and all that had seen it. O(writes and "seen" entries of the key)."""
        seen_by: dict[int, list[int]] = {}
        for other in map(_id, each.writes):
            for seen in self._versions.writes[other].seen or ():
                seen_by.setdefault(seen, []).append(other)
        found, ahead = {id_}, [id_]
        while ahead:
            for other in seen_by.get(ahead.pop(), ()):
                if other not in found:
                    found.add(other)
                    ahead.append(other)
        return found

    def missing(self, each: KeyWrites, value: Value) -> tuple[Operation, str]:
        covers = self._versions.coverage
        lacking = each.missing[value]
        holding = next(
            read for read in reversed(concluding_reads(each.final)) if value in covers(returned(read), each.key).ids
        )
        has, lacks = (listing(returned(read)) or "nothing" for read in (holding, lacking))
        return holding, (
            f"the final read at {at(completion_of(holding))} shows it or what replaced it ({has}), and that at "
            f"{at(completion_of(lacking))} shows neither ({lacks})"
        )

    def impossible_read(self, each: KeyWrites, kind: str, value: Value) -> tuple[str, Operation | None]:
        operation = each.impossible[kind][value]
        verb = "read" if operation.f == "read" else "replaced"
        clause = "though its put had failed" if kind == "phantom" else "which nobody put there"
        moment = at(completion_of(operation))
        text = f"process {operation.process} {verb} write {value} of {key_name(each.key)} at {moment}, {clause}"
        write = self._versions.writes.get(_id(value))
        return text, write.operation if write else None

    def figures(self, each: KeyWrites, value: Value) -> Mapping[str, Any]:
        return {}


def _last(reads: Sequence[Operation], ids: Set[int]) -> Operation | None:
    """The last of these reads that returned any of these writes."""
    return next((read for read in reversed(reads) if not ids.isdisjoint(returned(read))), None)


def _last_read(holding: Operation | None, replaced: Operation | None, missed: Operation) -> str:
    """When the write, and then what had replaced it, was last read; and the first read without them."""
    history = f"was last read at {at(completion_of(holding))}" if holding else "was in no read at any time"
    if replaced:
        history += f", and what had replaced it at {at(completion_of(replaced))}"
        return f"{history}; the read at {at(missed.invocation)} has neither"
    return f"{history} and is gone from the read at {at(missed.invocation)}" if holding else history


def _describe(write: Write) -> str:
    if write.seen is None:
        return f"write {write.id} (which does not say what it had seen)"
    return f"write {write.id} (which had seen {listing(write.seen, limit=8) or 'nothing'})"


def _id(value: Value) -> int:
    """The id that names a put."""
    assert isinstance(value, int)
    return value
