"""Lost writes in versioned registers: what was acknowledged is still there, or was knowingly replaced.

Operations: `put`, `delete` and `read` as `writes` says; any other is refused. Keys are judged separately.

1. The final siblings of a key are all write ids in its concluding reads (`final_reads`), together. A write that any
   node still has is not lost. One that no node has any more is lost, whatever earlier final reads returned.
2. An acknowledged put (`ok`) is surviving if it is a final sibling, superseded if a final sibling had (transitively)
   seen it, deleted if a delete had seen it that did not fail, and otherwise lost. A client was told that it was done,
   no client replaced or deleted it knowingly, and it is gone. Last-write-wins loses writes exactly so.
3. A write that does not say what it had seen, among the final siblings and the deletes or reached from them, may have
   seen any write of its key invoked before it ended. An acknowledged put that is covered only so is unprovable: it is
   called neither lost nor safe.
4. A put that survives or is superseded, but not by the siblings of every concluding read, is missing from the others:
   there a client would look in vain for it and for what replaced it. If one of them may cover it as in 3, or a delete
   had seen it, and none certainly lacks it, it is unprovable.
5. A tombstone is in no read. But whoever holds it can't show what it had deleted. An acknowledged delete is undone in a
   concluding read that returns a write which the delete had (transitively) seen: that write is resurrected. A delete
   that is undone in all of them is lost, in some of them missing there. Otherwise it is superseded if a final sibling
   had seen it, else surviving. What an indeterminate delete had seen may be there or not.
6. Never read: acknowledged, and its key has no final read. Vanished: see `acknowledged`; a concluding read shows a
   write if it returned it, or a write that had seen it or may have, as in 3; nor did it vanish if a delete may explain
   its absence.
7. Phantom: read, or seen by another write, though its put or delete failed, which promises that it did not happen.
   Unexpected: read or seen, though no client ever put it to that key. Neither is possible.
8. The verdict follows from these as `acknowledged` says.
9. Stable latency, for a write that survives or is superseded and isn't missing: from its acknowledgement to the
   invocation of the last read that lacked it (`visibility`); 0 if none did. Lost latency, for a lost write: from its
   acknowledgement to the invocation of the last read that held it; 0 if none did by then. Where writes had seen one
   another in a circle, and of keys with deletes, there are none: a read that found nothing may have been right.

Sources: Dynamo (SOSP 2007), sections 4.4 and 6.1; Jepsen's Riak analysis (2013), whose sets these generalise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from splitbrain.checkers.algorithms.quantiles import quantiles_ms
from splitbrain.checkers.eventual import acknowledged
from splitbrain.checkers.eventual.acknowledged import SHOWN_READS, KeyWrites, Loss, Value, completion_of
from splitbrain.checkers.eventual.register_fates import (
    COVERED,
    RegisterKey,
    descendants,
    id_of,
    judged,
    returned,
    seen_by,
)
from splitbrain.checkers.histories.final_reads import FinalReads, Key, concluding_reads
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, key_name, listing
from splitbrain.checkers.histories.values import operations_of
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict
from splitbrain.checkers.versions.reads import VersionedReads
from splitbrain.checkers.versions.version_order import Circular
from splitbrain.checkers.versions.visibility import visibility
from splitbrain.checkers.versions.writes import PUTTING, Versions, Write


@needs_real_time
def check(history: History) -> Verdict:
    """Judge the registers of a history by the rules above.

    Evidence: the counts named in the rules, in total and by key (`keys`), `lost_fraction` of the
    acknowledged, `stable_latency_ms`, `lost_latency_ms` (quantiles).
    Raises HistoryError as `Versions.of` does, and for an operation that a versioned register does not have.
    O((operations + "seen" entries) * chains of a key), of keys with deletes times their final siblings.
    """
    operations_of(history, "a versioned register", (*PUTTING, "read"))
    versions = Versions.of(history)
    final = FinalReads.of(history)
    keys = {key: judged(writes, versions) for key, writes in _gather(versions, final).items()}
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


def _latencies(keys: Mapping[Key, KeyWrites], versions: Versions) -> dict[str, dict[str, float]]:
    """Stable and lost latency."""
    try:
        known = visibility(VersionedReads.of(versions))
    except Circular:
        known = {}
    stable: list[int] = []
    lost: list[int] = []
    for each in keys.values():
        if versions.deletes(each.key):
            continue
        for id_, fate in each.fate.items():
            visible = known.get(id_of(id_))
            if visible is None:
                continue
            if fate == "lost":
                lost.append(each.since_acknowledgement_ns(id_, visible.last_seen))
            elif fate in COVERED and id_ not in each.missing:
                stable.append(each.since_acknowledgement_ns(id_, visible.last_missed))
    return {"stable_latency_ms": quantiles_ms(stable), "lost_latency_ms": quantiles_ms(lost)}


class RegisterWording:
    """How anomalies of versioned registers are worded (see `Wording`)."""

    thing = "write"
    impossible: Mapping[str, str] = {
        "phantom": "read whose put had failed",
        "unexpected": "read that nobody put",
    }

    def __init__(self, keys: Mapping[Key, RegisterKey], versions: Versions) -> None:
        self._keys = keys
        self._versions = versions
        self._deletes = any(write.deletes for write in versions.writes.values())
        self.f = "write" if self._deletes else "put"

    def valid(self, totals: Mapping[str, int]) -> str:
        deleted = f", {totals['deleted']:,} deleted" if self._deletes else ""
        return f": {totals['surviving']:,} surviving, {totals['superseded']:,} superseded{deleted}"

    def done(self, each: KeyWrites, value: Value) -> str:
        if self._versions.writes[id_of(value)].deletes:
            return f"{key_name(each.key)} was deleted (write {value})"
        return f"write {value} to {key_name(each.key)} was done"

    def loss(self, each: KeyWrites, value: Value) -> Loss:
        if self._versions.writes[id_of(value)].deletes:
            return self._undone(each, id_of(value))
        holding = _last(each.reads, {id_of(value)})
        # It may have been replaced first, and what had replaced it lost after that.
        covering = _last(each.reads, descendants(seen_by(each, self._versions), id_of(value)))
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

    def _undone(self, each: KeyWrites, id_: int) -> Loss:
        """A delete that every concluding read undoes."""
        key = self._keys[each.key]
        undoing = key.undoing[id_]
        back = self._resurrected(each, id_, undoing[0])
        puts = [self._versions.writes[other].operation for other in back]
        text = f"had seen {listing(back)}, and the final read at {at(completion_of(undoing[0]))} returns that again"
        text += ", as do all others" if len(undoing) > 1 else ""
        return Loss(text, undoing[0], [*puts, *undoing[:SHOWN_READS]], {"siblings": key.siblings, "resurrected": back})

    def _resurrected(self, each: KeyWrites, id_: int, read: Operation) -> list[int]:
        """What a read returned of the writes that a delete had seen."""
        return sorted(set(returned(read)) & (self._versions.coverage([id_], each.key).ids - {id_}))

    def missing(self, each: KeyWrites, value: Value) -> tuple[Operation, str]:
        covers = self._versions.coverage
        lacking = each.missing[value]
        if self._versions.writes[id_of(value)].deletes:
            back = self._resurrected(each, id_of(value), lacking)
            holding = next(
                r for r in concluding_reads(each.final) if r not in self._keys[each.key].undoing[id_of(value)]
            )
            return holding, (
                f"it had seen {listing(back)}, and the final read at {at(completion_of(lacking))} returns that again; "
                f"that at {at(completion_of(holding))} does not"
            )
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
        write = self._versions.writes.get(id_of(value))
        clause = "which nobody put there"
        if kind == "phantom" and write is not None:
            clause = f"though its {write.operation.f} had failed"
        moment = at(completion_of(operation))
        text = f"process {operation.process} {verb} write {value} of {key_name(each.key)} at {moment}, {clause}"
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
