"""Acknowledged writes: the verdict and the witness that sets, carts and versioned registers share.

`lost_elements`, `carts` and `lost_versions` find the fate of every write of a key, each by its own rules. What follows
from these fates is the same for all:

1. A write is acknowledged if it was `ok`, indeterminate if it was `info` or never completed, failed if it was `fail`.
2. An indeterminate write vanished if an `ok` read returned it, if that read was over before any of the key's concluding
   reads began (`final_reads`), and if none of these shows it. A read that overlaps one of them proves nothing: the
   write may have taken effect between the two.
3. Invalid if an acknowledged write is lost; if something impossible was read; or if an acknowledged write is missing
   from some of the concluding reads in a history that reached the stage "convergence".
4. Otherwise unknown, for the first of these reasons: a write vanished; none was acknowledged; an acknowledged write was
   never read; one is missing; one is unprovable.
5. Otherwise valid. What vanished was promised to no client, and a store that rolls back a write with too few replicas
   breaks no promise. But a store that merges what its replicas hold cannot do so: hence unknown.
6. The witness is the lost write that was acknowledged first; else the missing one; else the first impossible value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from splitbrain.checkers.eventual.element import Element, plain
from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.faults import faults, meanwhile
from splitbrain.checkers.histories.final_reads import FinalReads, Key, disagreement
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, count, key_name, key_names, listing
from splitbrain.checkers.verdict import Verdict, Witness

Value = Element
"""What names a write: the element that was added, or the id that was put."""
LISTED = 100  # A report shows so many anomalies in full; the counts are always complete.
SHOWN_READS = 20


@dataclass
class KeyWrites:
    """The writes of one key, and what became of them.

    writes: by value, in the order of their invocations. reads: `ok` reads, in that order too; final: its final reads.
    fate: of each acknowledged write, "lost" and "never_read" among others. missing: by value, a concluding read that
    lacks it. vanished: by value, the first completed read that returned it. impossible: by kind and value, an operation
    that shows it.
    """

    key: Key
    writes: dict[Value, Operation] = field(default_factory=dict)
    reads: list[Operation] = field(default_factory=list)
    final: list[Operation] = field(default_factory=list)
    fate: dict[Value, str] = field(default_factory=dict)
    missing: dict[Value, Operation] = field(default_factory=dict)
    vanished: dict[Value, Operation] = field(default_factory=dict)
    impossible: dict[str, dict[Value, Operation]] = field(default_factory=dict)

    def with_outcome(self, outcome: str) -> list[Value]:
        return [value for value, write in self.writes.items() if write.outcome == outcome]

    def with_fate(self, fate: str) -> list[Value]:
        return [value for value, found in self.fate.items() if found == fate]

    def acknowledgement(self, value: Value) -> Event:
        """The completion of a write that was completed."""
        return completion_of(self.writes[value])

    def since_acknowledgement_ns(self, value: Value, read: Operation | None) -> int:
        """From the acknowledgement to the invocation of that read; 0 without a read, or if that was before."""
        return max(0, read.invocation.time - self.acknowledgement(value).time) if read else 0

    def note_vanished(
        self, first: FirstReads, concluding: Sequence[Operation], is_gone: Callable[[Value], bool]
    ) -> None:
        """Fill in what vanished (rule 2). is_gone: whether none of the concluding reads shows it."""
        begun = min((read.invocation.index for read in concluding), default=-1)
        for value in self.with_outcome("info"):
            read = first.by_value.get(value)
            if read is not None and completion_of(read).index < begun and is_gone(value):
                self.vanished[value] = read

    def counts(self) -> Counter[str]:
        """Every count that does not depend on the kind of data."""
        outcomes = Counter(write.outcome for write in self.writes.values())
        numbers = {"attempted": len(self.writes), "acknowledged": outcomes["ok"], "failed": outcomes["fail"]}
        numbers |= {"indeterminate": outcomes["info"], "missing": len(self.missing), "vanished": len(self.vanished)}
        numbers |= {kind: len(some) for kind, some in self.impossible.items()}
        numbers |= {"reads": len(self.reads), "final_reads": len(self.final)}
        return Counter({**Counter(self.fate.values()), **numbers})


class FirstReads:
    """by_value: of the reads that returned a value, the one that was completed first."""

    def __init__(self) -> None:
        self.by_value: dict[Value, Operation] = {}

    def note(self, read: Operation, values: Iterable[Value]) -> None:
        """Take in a read that returned these values. Reads may come in any order."""
        completed = completion_of(read).index
        for value in values:
            if value not in self.by_value or completed < completion_of(self.by_value[value]).index:
                self.by_value[value] = read


@dataclass(frozen=True, slots=True)
class Loss:
    """How a write was lost.

    text: after "it". missed: the first read that should have shown it and did not. operations: more that show the loss.
    data: what the witness's data says besides.
    """

    text: str
    missed: Operation
    operations: Sequence[Operation]
    data: Mapping[str, Any] = field(default_factory=dict)


class Wording(Protocol):
    """How one kind of data words its anomalies.

    f: the operation that writes ("add"). thing: what a write is called once it is read ("element"). impossible: the
    complaint about each kind of impossible value.
    """

    f: str
    thing: str
    impossible: Mapping[str, str]

    def valid(self, totals: Mapping[str, int]) -> str:
        """What to add to the reason of a valid verdict."""

    def done(self, each: KeyWrites, value: Value) -> str:
        """What the acknowledgement said (`1 was added to s0`)."""

    def loss(self, each: KeyWrites, value: Value) -> Loss:
        """How a lost write was lost."""

    def missing(self, each: KeyWrites, value: Value) -> tuple[Operation, str]:
        """A concluding read that shows a missing write, and what it and the one that lacks it show."""

    def impossible_read(self, each: KeyWrites, kind: str, value: Value) -> tuple[str, Operation | None]:
        """Who read an impossible value, as a sentence, and its write if there is one."""

    def figures(self, each: KeyWrites, value: Value) -> Mapping[str, Any]:
        """What to say of a lost or missing write besides its acknowledgement."""


def verdict(
    history: History,
    keys: Mapping[Key, KeyWrites],
    wording: Wording,
    *,
    counts: Mapping[Key, Mapping[str, int]],
    latencies: Mapping[str, Sequence[float] | Mapping[str, float]],
    final: FinalReads,
) -> Verdict:
    """The verdict by rules 3 to 5.

    counts: by key, as the evidence shows them. latencies: by name, as the evidence shows them.
    """
    totals = Counter[str]()
    for each in counts.values():
        totals.update(each)
    acknowledged = count(totals["acknowledged"], f"acknowledged {wording.f}")
    evidence: dict[str, Any] = {
        **totals,
        "lost_fraction": totals["lost"] / totals["acknowledged"] if totals["acknowledged"] else None,
        **latencies,
        "keys": {name: counts[key] for key, name in key_names(keys).items()},
    }
    diverged, disagree = disagreement(history, totals["missing"], wording.f)
    complaints = [f"{totals['lost']:,} of {acknowledged} lost"] if totals["lost"] else []
    if totals["missing"] and diverged:
        complaints.append(disagree)
    complaints += [
        f"{count(totals[kind], wording.thing)} {complaint}"
        for kind, complaint in wording.impossible.items()
        if totals[kind]
    ]
    if complaints:
        return Verdict.invalid("; ".join(complaints), _witness(history, keys, wording, diverged), **evidence)
    doubt = _doubt(keys, wording, totals, final, disagree)
    if doubt is not None:
        return Verdict.unknown(doubt, **evidence)
    return Verdict.valid(f"{acknowledged} on {count(len(keys), 'key')}, none lost{wording.valid(totals)}", **evidence)


def _doubt(
    keys: Mapping[Key, KeyWrites], wording: Wording, totals: Mapping[str, int], final: FinalReads, disagree: str
) -> str | None:
    """The first reason for doubt (rule 4), or None."""
    if totals["vanished"]:
        return _vanished(keys, wording, totals["vanished"])
    if not totals["acknowledged"]:
        return f"no {wording.f} was acknowledged, so none can be lost"
    if totals["never_read"]:
        unread = listing(key_name(key) for key, each in keys.items() if each.with_fate("never_read"))
        return f"no final read of {unread}: {final.missing}"
    if totals["missing"]:
        return disagree
    if totals["unprovable"]:
        doubtful = f"{totals['unprovable']:,} of {count(totals['acknowledged'], f'acknowledged {wording.f}')}"
        return (
            f"{doubtful} can't be judged: what remains descends from a {wording.f} that does not say what it had seen"
        )
    return None


def completion_of(operation: Operation) -> Event:
    """The completion of an operation that was completed."""
    assert operation.completion is not None
    return operation.completion


def _vanished(keys: Mapping[Key, KeyWrites], wording: Wording, number: int) -> str:
    each = next(each for each in keys.values() if each.vanished)
    value, read = next(iter(each.vanished.items()))
    were = "was" if number == 1 else "were"
    return (
        f"{count(number, wording.thing)} whose {wording.f} is indeterminate {were} read, and {were} gone in the end: "
        f"process {read.process} read {value} from {key_name(each.key)} at {at(completion_of(read))}"
    )


def _witness(history: History, keys: Mapping[Key, KeyWrites], wording: Wording, diverged: bool) -> Witness:
    lost = _by_acknowledgement(keys, lambda each: each.with_fate("lost"))
    if lost:
        return _lost(history, *lost[0], wording, {"lost": _as_data(lost, wording)})
    missing = _by_acknowledgement(keys, lambda each: each.missing)
    if missing and diverged:
        return _missing(*missing[0], wording, {"missing": _as_data(missing, wording)})
    kind, each, value, shown = next(
        (kind, each, value, shown)
        for kind in wording.impossible
        for each in keys.values()
        for value, shown in each.impossible[kind].items()
    )
    text, write = wording.impossible_read(each, kind, value)
    operations = [shown] if write is None else [shown, write]
    return Witness(text, _events(operations), {"kind": kind, "key": each.key, "value": plain(value)})


def _by_acknowledgement(
    keys: Mapping[Key, KeyWrites], some: Callable[[KeyWrites], Iterable[Value]]
) -> list[tuple[KeyWrites, Value]]:
    """Some acknowledged writes of every key, the one that was acknowledged first to begin with."""
    pairs = [(each, value) for each in keys.values() for value in some(each)]
    return sorted(pairs, key=lambda pair: pair[0].acknowledgement(pair[1]).index)


def _acknowledged(each: KeyWrites, value: Value, wording: Wording) -> str:
    write = each.writes[value]
    return f"process {write.process} was told at {at(completion_of(write))} that {wording.done(each, value)}"


def _lost(history: History, each: KeyWrites, value: Value, wording: Wording, data: Mapping[str, Any]) -> Witness:
    write, loss = each.writes[value], wording.loss(each, value)
    stood = meanwhile(faults(history), write.invocation.index, loss.missed.invocation.index)
    text = f"{_acknowledged(each, value, wording)}; it {loss.text}; {stood}"
    named = {"kind": "lost", "key": each.key, "value": plain(value)}
    return Witness(text, _events([write, loss.missed, *loss.operations]), {**named, **loss.data, **data})


def _missing(each: KeyWrites, value: Value, wording: Wording, data: Mapping[str, Any]) -> Witness:
    holding, shown = wording.missing(each, value)
    text = f"{_acknowledged(each, value, wording)}; {shown}"
    operations = [each.writes[value], holding, each.missing[value]]
    return Witness(text, _events(operations), {"kind": "missing", "key": each.key, "value": plain(value), **data})


def _as_data(some: Sequence[tuple[KeyWrites, Value]], wording: Wording) -> list[dict[str, Any]]:
    listed = []
    for each, value in some[:LISTED]:
        write, acknowledgement = each.writes[value], each.acknowledgement(value)
        listed.append(
            {
                "key": each.key,
                "value": plain(value),
                "time": acknowledgement.time,
                "node": acknowledgement.node or write.invocation.node,
                "process": write.process,
                "index": acknowledgement.index,
                **wording.figures(each, value),
            }
        )
    return listed


def _events(operations: Iterable[Operation]) -> tuple[int, ...]:
    return tuple(sorted({event.index for o in operations for event in (o.invocation, o.completion) if event}))
