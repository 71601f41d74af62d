"""Lost writes in versioned registers: what was acknowledged is still there, or was knowingly replaced.

Operations: `put` and `read` as `writes` says. Keys are judged apart.

1. The final siblings of a key are all write ids in its last words (`final_reads`), together: a write that any
   node still has is not lost, and one that no node has any more is, whatever earlier final reads returned.
2. An acknowledged write (`ok`) is surviving if it is a final sibling, superseded if a final sibling had
   (transitively) seen it, and otherwise lost: someone was told that it was done, nobody replaced it
   knowingly, and it is gone. Last-write-wins loses writes exactly so.
3. A write of which nobody recorded what it had seen, among the final siblings or reached from them, may have
   seen any write of its key invoked before it ended. Such an acknowledged write, if not covered otherwise, is
   unprovable: not called lost, but not called safe either.
4. A write that survives or is superseded, but not by the siblings of every last word, is missing from the others:
   there a client would look in vain for it and for what replaced it. If that can't be told for one of them, as in 3, it
   is unprovable.
5. Never read: acknowledged, and its key has no final read. Vanished: indeterminate (`info`, or never completed),
   returned by an ok read that was over before any of the last words began, and neither a final sibling nor seen by one,
   nor may it be as in 3: somebody was shown it, and it is gone.
6. Phantom: its put failed, which promises that it did not happen, and yet it was read, or another put had
   seen it. Unexpected: read or seen, though nobody ever put it to that key.
7. Invalid if anything is lost, phantom or unexpected, or missing in a history that reached the stage
   "convergence". Otherwise unknown if anything vanished, if nothing was acknowledged, or if anything was never read, is
   missing or is unprovable. Otherwise valid. (What vanished was promised to nobody, and a store that takes a write back
   which had too few replicas breaks no word; but one that keeps siblings until they are replaced has no way to.)
8. Stable latency: of a write that survives or is superseded and isn't missing, from its acknowledgement to the
   invocation of the last read that lacked it (`visibility`); 0 if none did. Lost latency: of a lost write, from
   its acknowledgement to the invocation of the last read that held it; 0 if none did by then. Where writes had seen
   one another in a circle, there are none.

Sources: Dynamo (SOSP 2007), sections 4.4 and 6.1; Jepsen's Riak analysis (2013), whose sets these generalise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from splitbrain.checkers.algorithms.quantiles import quantiles_ms
from splitbrain.checkers.histories.faults import faults, meanwhile
from splitbrain.checkers.histories.final_reads import FinalReads, Key, concluding_reads, disagreement
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, count, key_name, key_names, listing
from splitbrain.checkers.verdict import Verdict, Witness
from splitbrain.checkers.versions.reads import VersionedReads
from splitbrain.checkers.versions.version_order import Circular
from splitbrain.checkers.versions.visibility import visibility
from splitbrain.checkers.versions.writes import Coverage, Versions, Write

_LISTED = 100  # A report shows so many anomalies in full; the counts are always complete.
_SHOWN_READS = 20


@dataclass
class RegisterKey:
    """One key: its writes in the order of their invocations, and what became of the acknowledged ones.

    siblings: the final siblings, ascending. missing: by id, a last word that shows nothing of it. vanished: by id, the
    read that was first to be over of those that returned it.
    phantom, unexpected: by id, the first operation that shows it.
    """

    key: Key
    writes: list[Write] = field(default_factory=list)
    reads: list[tuple[Operation, tuple[int, ...]]] = field(default_factory=list)
    final: list[Operation] = field(default_factory=list)
    siblings: list[int] = field(default_factory=list)
    fate: dict[int, str] = field(default_factory=dict)
    missing: dict[int, Operation] = field(default_factory=dict)
    vanished: dict[int, Operation] = field(default_factory=dict)
    phantom: dict[int, Operation] = field(default_factory=dict)
    unexpected: dict[int, Operation] = field(default_factory=dict)

    def fated(self, fate: str) -> list[Write]:
        return [write for write in self.writes if self.fate.get(write.id) == fate]

    def counts(self) -> dict[str, int]:
        outcomes = Counter(write.outcome for write in self.writes)
        fates = Counter(self.fate.values())
        return {
            "attempted": len(self.writes),
            "acknowledged": outcomes["ok"],
            "failed": outcomes["fail"],
            "indeterminate": outcomes["info"],
            "lost": fates["lost"],
            "surviving": fates["surviving"],
            "superseded": fates["superseded"],
            "unprovable": fates["unprovable"],
            "missing": len(self.missing),
            "never_read": fates["never_read"],
            "vanished": len(self.vanished),
            "phantom": len(self.phantom),
            "unexpected": len(self.unexpected),
            "reads": len(self.reads),
            "final_reads": len(self.final),
        }


def check(history: History) -> Verdict:
    """Judge the registers of a history by the rules above.

    Evidence: the counts named in the rules, in total and by key (`keys`), `lost_fraction` of the
    acknowledged, `stable_latency_ms`, `lost_latency_ms` (quantiles).
    Raises HistoryError as `Versions.of` does. O((operations + "seen" entries) * chains of a key).
    """
    versions = Versions.of(history)
    final = FinalReads.of(history)
    keys: dict[Key, RegisterKey] = {}
    for write in versions.writes.values():
        keys.setdefault(write.key, RegisterKey(write.key)).writes.append(write)
    for read, siblings in versions.reads:
        keys.setdefault(read.key, RegisterKey(read.key)).reads.append((read, siblings))
    for key, reads in final.by_key.items():
        keys[key].final = reads
    for each in keys.values():
        _judge(each, versions)
    totals = Counter[str]()
    for each in keys.values():
        totals.update(each.counts())
    evidence: dict[str, Any] = {
        **totals,
        "lost_fraction": totals["lost"] / totals["acknowledged"] if totals["acknowledged"] else None,
        **_latencies(keys, versions),
        "keys": {name: keys[key].counts() for key, name in key_names(keys).items()},
    }
    diverged, disagree = disagreement(history, totals["missing"], "put")
    complaints = _complaints(totals)
    if totals["missing"] and diverged:
        complaints.insert(1 if totals["lost"] else 0, disagree)
    if complaints:
        return Verdict.invalid("; ".join(complaints), _witness(history, keys, versions, diverged), **evidence)
    if totals["vanished"]:
        return Verdict.unknown(_vanished(keys, totals["vanished"]), **evidence)
    if not totals["acknowledged"]:
        return Verdict.unknown("no put was acknowledged, so none can be lost", **evidence)
    blind = [key_name(each.key) for each in keys.values() if each.fated("never_read")]
    if blind:
        return Verdict.unknown(f"no final read of {listing(blind)}: {final.missing}", **evidence)
    if totals["missing"]:
        return Verdict.unknown(disagree, **evidence)
    if totals["unprovable"]:
        reason = (
            f"{totals['unprovable']:,} of {count(totals['acknowledged'], 'acknowledged put')} "
            "can't be judged: what remains descends from a put of which nobody knows what it had seen"
        )
        return Verdict.unknown(reason, **evidence)
    reason = (
        f"{count(totals['acknowledged'], 'acknowledged put')} on {count(len(keys), 'key')}, none lost: "
        f"{totals['surviving']:,} surviving, {totals['superseded']:,} superseded"
    )
    return Verdict.valid(reason, **evidence)


def _judge(each: RegisterKey, versions: Versions) -> None:
    last = {read.invocation.index for read in concluding_reads(each.final)}
    siblings: set[int] = set()
    shown: list[tuple[Operation, Coverage]] = []
    for read, returned in each.reads:
        _note_impossible(each, versions, read, returned)
        if read.invocation.index in last:
            siblings.update(returned)
            shown.append((read, versions.coverage(returned, each.key)))
    for write in each.writes:
        _note_impossible(each, versions, write.operation, write.seen or ())
    each.siblings = sorted(siblings)
    coverage = versions.coverage(siblings, each.key)
    for write in each.writes:
        if write.outcome != "ok":
            continue
        if not each.final:
            fate = "never_read"
        elif write.id in siblings:
            fate = "surviving"
        elif write.id in coverage.ids:
            fate = "superseded"
        elif write.invoked < coverage.horizon:
            fate = "unprovable"
        else:
            fate = "lost"
        if fate in ("surviving", "superseded"):
            fate = _by_node(each, write, fate, shown)
        each.fate[write.id] = fate
    if not last:
        return
    sighted: dict[int, Operation] = {}
    for read, returned in each.reads:
        # A sight that overlaps a last word proves nothing: the put may have taken effect between the two.
        if _over(read) < min(last):
            for id_ in returned:
                if id_ not in sighted or _over(read) < _over(sighted[id_]):
                    sighted[id_] = read
    for write in each.writes:
        gone = write.id not in coverage.ids and write.invoked >= coverage.horizon
        if gone and write.outcome == "info" and write.id in sighted:
            each.vanished[write.id] = sighted[write.id]


def _over(read: Operation) -> int:
    assert read.completion is not None
    return read.completion.index


def _by_node(each: RegisterKey, write: Write, fate: str, shown: Sequence[tuple[Operation, Coverage]]) -> str:
    """The fate of a write that is covered somewhere, after a look at each of the last words."""
    lacking = [(read, coverage) for read, coverage in shown if write.id not in coverage.ids]
    for read, coverage in lacking:
        if write.invoked >= coverage.horizon:
            each.missing[write.id] = read
            return fate
    return "unprovable" if lacking else fate


def _note_impossible(each: RegisterKey, versions: Versions, operation: Operation, ids: tuple[int, ...]) -> None:
    for id_ in ids:
        if not versions.known(id_, each.key):
            each.unexpected.setdefault(id_, operation)
        elif versions.writes[id_].outcome == "fail" and versions.writes[id_].operation is not operation:
            each.phantom.setdefault(id_, operation)


def _latencies(keys: Mapping[Key, RegisterKey], versions: Versions) -> dict[str, dict[str, float]]:
    """Stable and lost latency."""
    try:
        known = visibility(VersionedReads.of(versions))
    except Circular:
        known = {}
    stable: list[int] = []
    lost: list[int] = []
    for each in keys.values():
        for id_, fate in each.fate.items():
            if id_ not in known:
                continue
            if fate == "lost":
                lost.append(_since_ack(versions.writes[id_], known[id_].last_seen))
            elif fate in ("surviving", "superseded") and id_ not in each.missing:
                stable.append(_since_ack(versions.writes[id_], known[id_].last_missed))
    return {"stable_latency_ms": quantiles_ms(stable), "lost_latency_ms": quantiles_ms(lost)}


def _since_ack(write: Write, read: Operation | None) -> int:
    assert write.operation.completion is not None
    return max(0, read.invocation.time - write.operation.completion.time) if read else 0


def _complaints(totals: Mapping[str, int]) -> list[str]:
    parts = []
    if totals["lost"]:
        parts.append(f"{totals['lost']:,} of {count(totals['acknowledged'], 'acknowledged put')} lost")
    if totals["phantom"]:
        parts.append(f"{count(totals['phantom'], 'write')} read whose put had failed")
    if totals["unexpected"]:
        parts.append(f"{count(totals['unexpected'], 'write')} read that nobody put")
    return parts


def _vanished(keys: Mapping[Key, RegisterKey], number: int) -> str:
    each = next(each for each in keys.values() if each.vanished)
    id_, read = next(iter(each.vanished.items()))
    assert read.completion is not None
    were = "was" if number == 1 else "were"
    return (
        f"{count(number, 'write')} of which nobody knows whether the put was done {were} read and {were} gone in the "
        f"end: process {read.process} read {id_} from {key_name(each.key)} at {at(read.completion)}"
    )


def _witness(history: History, keys: Mapping[Key, RegisterKey], versions: Versions, diverged: bool) -> Witness:
    lost = [(each, write) for each in keys.values() for write in each.fated("lost")]
    if lost:
        lost.sort(key=lambda pair: pair[1].ended)
        return _lost_witness(history, *lost[0], versions, {"lost": [_as_data(write) for _, write in lost[:_LISTED]]})
    missing = [(each, write) for each in keys.values() for write in each.writes if write.id in each.missing]
    if missing and diverged:
        missing.sort(key=lambda pair: pair[1].ended)
        listed = {"missing": [_as_data(write) for _, write in missing[:_LISTED]]}
        return _missing_witness(*missing[0], versions, listed)
    told = {"phantom": "though its put had failed", "unexpected": "which nobody put there"}
    for kind in ("phantom", "unexpected"):
        for each in keys.values():
            for id_, operation in getattr(each, kind).items():
                assert operation.completion is not None
                verb = "read" if operation.f == "read" else "replaced"
                text = (
                    f"process {operation.process} {verb} write {id_} of {key_name(each.key)} "
                    f"at {at(operation.completion)}, {told[kind]}"
                )
                events = {operation.invocation.index, operation.completion.index}
                if id_ in versions.writes:
                    write = versions.writes[id_].operation
                    events |= {event.index for event in (write.invocation, write.completion) if event}
                return Witness(text, tuple(sorted(events)), {"kind": kind, "key": each.key, "value": id_})
    raise AssertionError("a witness was asked for where nothing is wrong")


def _lost_witness(
    history: History, each: RegisterKey, write: Write, versions: Versions, data: dict[str, Any]
) -> Witness:
    put = write.operation
    assert put.completion is not None
    holding = [read for read, siblings in each.reads if write.id in siblings]
    last = holding[-1] if holding else None
    # It may have been replaced first, and what had replaced it lost after that.
    heirs = _heirs(each, write)
    covering = [read for read, siblings in each.reads if not heirs.isdisjoint(siblings)]
    replaced = covering[-1] if covering and covering[-1] is not last else None
    since = max(write.ended, covering[-1].invocation.index if covering else -1)
    missed = next(read for read, _ in each.reads if read.invocation.index > since)
    words = concluding_reads(each.final)
    sight = f"was last read at {at(last.completion)}" if last and last.completion else "was in no read at any time"
    if replaced and replaced.completion:
        sight += f", and what had replaced it at {at(replaced.completion)}"
        sight += f"; the read at {at(missed.invocation)} has neither"
    elif last:
        sight += f" and is gone from the read at {at(missed.invocation)}"
    remains = [_describe(versions.writes[id_]) for id_ in each.siblings if id_ in versions.writes]
    left = f"all that remains is {listing(remains)}" if remains else "nothing remains"
    text = (
        f"process {put.process} was told at {at(put.completion)} that write {write.id} "
        f"to {key_name(each.key)} was done; "
        f"it {sight}; {left}, and no chain of what was seen leads from there to {write.id}; "
        f"{meanwhile(faults(history), write.invoked, missed.invocation.index)}"
    )
    kept = [versions.writes[id_].operation for id_ in each.siblings if id_ in versions.writes]
    operations = [put, *(read for read in (last, replaced) if read), missed, *kept, *words[:_SHOWN_READS]]
    events = {event.index for o in operations for event in (o.invocation, o.completion) if event}
    extra = {"kind": "lost", "key": each.key, "value": write.id, "siblings": each.siblings}
    return Witness(text, tuple(sorted(events)), {**extra, **data})


def _heirs(each: RegisterKey, write: Write) -> set[int]:
    """The write and all that had seen it. O(writes and "seen" entries of the key)."""
    by: dict[int, list[int]] = {}
    for other in each.writes:
        for id_ in other.seen or ():
            by.setdefault(id_, []).append(other.id)
    found, ahead = {write.id}, [write.id]
    while ahead:
        for heir in by.get(ahead.pop(), ()):
            if heir not in found:
                found.add(heir)
                ahead.append(heir)
    return found


def _missing_witness(each: RegisterKey, write: Write, versions: Versions, data: dict[str, Any]) -> Witness:
    put, lacking = write.operation, each.missing[write.id]
    returned = {read.invocation.index: siblings for read, siblings in each.reads}
    holding = next(
        read
        for read in reversed(concluding_reads(each.final))
        if write.id in versions.coverage(returned[read.invocation.index], each.key).ids
    )
    assert put.completion and lacking.completion and holding.completion
    has, lacks = (listing(returned[read.invocation.index]) or "nothing" for read in (holding, lacking))
    text = (
        f"process {put.process} was told at {at(put.completion)} that write {write.id} to {key_name(each.key)} was "
        f"done; the final read at {at(holding.completion)} shows it or what replaced it ({has}), and that at "
        f"{at(lacking.completion)} shows neither ({lacks})"
    )
    events = {event.index for o in (put, holding, lacking) for event in (o.invocation, o.completion) if event}
    return Witness(text, tuple(sorted(events)), {"kind": "missing", "key": each.key, "value": write.id, **data})


def _describe(write: Write) -> str:
    if write.seen is None:
        return f"write {write.id} (which saw nobody knows what)"
    return f"write {write.id} (which had seen {listing(write.seen, limit=8) or 'nothing'})"


def _as_data(write: Write) -> dict[str, Any]:
    completion = write.operation.completion
    assert completion is not None
    return {
        "key": write.key,
        "value": write.id,
        "time": completion.time,
        "node": completion.node or write.operation.invocation.node,
        "process": write.operation.process,
        "index": completion.index,
    }
