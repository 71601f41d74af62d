"""Lost writes in sets: clients add their own elements, and what was acknowledged must be read in the end.

Operations: `add` of one element, `read` of the whole set. Any other is refused: whether a `remove` explains an absence
is for the set model of `linearizable` to say. An element is any value (`element`). Keys are judged separately. What
each word means:

1. Acknowledged, indeterminate, failed: as `acknowledged` says. If an element was added more than once, its best outcome
   counts: ok before indeterminate before failed.
2. Lost: acknowledged, and in none of the concluding reads of its key (`final_reads`). Whatever earlier final reads
   held, it is gone from every node.
3. A survivor is in at least one concluding read. It is missing if it is not in all of them: there a client would still
   look for it in vain. It is unstable if it is not in all final reads.
4. Never read: acknowledged, and its key has no final read to judge by.
5. Stale: acknowledged before some read was invoked, absent from that read, present in a read invoked later.
6. Recovered: indeterminate, and in a concluding read. That is allowed, as is its absence. Vanished: see `acknowledged`.
7. Phantom: read, though all its adds failed, which promises that they did not happen. Unexpected: read, though no
   client ever added it to that key. Duplicated: twice in one read. None of these is possible.
8. Stable latency, for an element in all final reads: from its acknowledgement to the invocation of the last read after
   that which lacks it; 0 if none does. Lost latency, for a lost element: from its acknowledgement to the invocation of
   the last read that held it; 0 if none did by then.
9. The verdict follows from these as `acknowledged` says.

Sources: jepsen.checker/set and set-full (Jepsen 0.3), whose words these are. Set-full counts latencies from the first
read of an element if that came before the acknowledgement; here the promise is what counts. It calls an element lost
that was only ever read; here that has vanished, and only an acknowledged one is lost. It judges by one last read; here,
by each node's. So of two last reads that overlap, one with an element and one without, set-full calls the element lost
if the one without began later: the order in which overlapping reads began says nothing, and some node still has it.
Here it is missing, and invalid once convergence was promised. Where every read must show what was acknowledged before,
ask `linearizable` with the model `set`: that has no place for the read without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from splitbrain.checkers.algorithms.quantiles import quantiles_ms
from splitbrain.checkers.eventual import acknowledged
from splitbrain.checkers.eventual.acknowledged import SHOWN_READS, KeyWrites, Loss, Value, completion_of
from splitbrain.checkers.eventual.element import element_of
from splitbrain.checkers.eventual.element_reads import ElementReads, SetConclusion, elements
from splitbrain.checkers.histories.final_reads import FinalReads, Key, concluding_reads
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, key_name, listing, seconds
from splitbrain.checkers.histories.values import operations_of
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict

_RANK = {"fail": 0, "info": 1, "ok": 2}
_FIGURES = (
    *("attempted", "acknowledged", "failed", "indeterminate"),
    *("lost", "survivors", "unstable", "missing", "never_read", "stale", "recovered", "vanished"),
    *("phantom", "unexpected", "duplicated", "reads", "final_reads"),
)


@dataclass
class SetKey:
    """One key: what was added, and what the reads show of it.

    unstable, recovered, stale: elements. last_held: the last read that held an acknowledged element. last_lacked:
    the last read invoked after the acknowledgement that did not.
    """

    writes: KeyWrites
    unstable: set[Value] = field(default_factory=set)
    recovered: set[Value] = field(default_factory=set)
    stale: set[Value] = field(default_factory=set)
    last_held: dict[Value, Operation] = field(default_factory=dict)
    last_lacked: dict[Value, Operation] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        numbers = self.writes.counts()
        numbers.update(unstable=len(self.unstable), stale=len(self.stale), recovered=len(self.recovered))
        return {figure: numbers[figure] for figure in _FIGURES}

    def stable_latencies_ns(self) -> list[int]:
        survivors, since = self.writes.with_fate("survivors"), self.writes.since_acknowledgement_ns
        return [since(each, self.last_lacked.get(each)) for each in survivors if each not in self.unstable]

    def lost_latencies_ns(self) -> list[int]:
        since = self.writes.since_acknowledgement_ns
        return [since(each, self.last_held.get(each)) for each in self.writes.with_fate("lost")]


@needs_real_time
def check(history: History) -> Verdict:
    """Judge the sets of a history by the rules above.

    Evidence: the counts named in the rules, in total and by key (`keys`), `lost_fraction` of the
    acknowledged, `stable_latency_ms`, `lost_latency_ms` (quantiles). Raises HistoryError for a read that is
    no list, and for an operation that a set does not have.
    O(elements read); where much is lost, also O(lost * reads).
    """
    final = FinalReads.of(history)
    keys = {key: _judged(writes) for key, writes in _gather(history, final).items()}
    latencies = {
        "stable_latency_ms": quantiles_ms([ns for each in keys.values() for ns in each.stable_latencies_ns()]),
        "lost_latency_ms": quantiles_ms([ns for each in keys.values() for ns in each.lost_latencies_ns()]),
    }
    return acknowledged.verdict(
        history,
        {key: each.writes for key, each in keys.items()},
        SetWording(keys),
        counts={key: each.counts() for key, each in keys.items()},
        latencies=latencies,
        final=final,
    )


def _gather(history: History, final: FinalReads) -> dict[Key, KeyWrites]:
    keys: dict[Key, KeyWrites] = {}
    for operation in operations_of(history, "a set", ("add", "read"), "add"):
        if operation.f == "read" and operation.outcome != "ok":
            continue
        if operation.key not in keys:
            keys[operation.key] = KeyWrites(operation.key, impossible={kind: {} for kind in SetWording.impossible})
        if operation.f == "read":
            keys[operation.key].reads.append(operation)
        else:
            _note_add(keys[operation.key].writes, operation)
    for key, reads in final.by_key.items():
        keys[key].final = reads
    return keys


def _note_add(adds: dict[Value, Operation], operation: Operation) -> None:
    element = element_of(operation.invocation.value)
    before = adds.get(element)
    if before is None or _RANK[operation.outcome] > _RANK[before.outcome]:
        adds[element] = operation


def _judged(writes: KeyWrites) -> SetKey:
    """What became of the elements of a key."""
    reads = ElementReads(writes)
    found = reads.presence
    judged = SetKey(writes, stale=found.stale, last_held=found.last_held, last_lacked=found.last_lacked)
    if writes.final:
        _conclude(judged, reads.conclusion)
        writes.note_vanished(
            reads.first, reads.conclusion.concluding, lambda element: element not in reads.conclusion.remains
        )
    else:
        writes.fate = dict.fromkeys(writes.with_outcome("ok"), "never_read")
    return judged


def _conclude(each: SetKey, conclusion: SetConclusion) -> None:
    """Fill in what the final reads show of a key that has some."""
    writes, remains, lacked = each.writes, conclusion.remains, conclusion.lacked
    promised = writes.with_outcome("ok")
    writes.fate = {element: "survivors" if element in remains else "lost" for element in promised}
    writes.missing = {element: lacked[element] for element in promised if element in remains and element in lacked}
    each.unstable = (set(promised) & remains) - conclusion.everywhere
    each.recovered = remains.intersection(writes.with_outcome("info"))


class SetWording:
    """How anomalies of sets are worded (see `Wording`)."""

    f = "add"
    thing = "element"
    impossible: Mapping[str, str] = {
        "phantom": "read whose adds had failed",
        "unexpected": "read that nobody added",
        "duplicated": "twice in one read",
    }

    def __init__(self, keys: Mapping[Key, SetKey]) -> None:
        self._keys = keys

    def valid(self, totals: Mapping[str, int]) -> str:
        return f"; {totals['unstable']:,} in some final reads only" if totals["unstable"] else ""

    def done(self, each: KeyWrites, value: Value) -> str:
        return f"{value} was added to {key_name(each.key)}"

    def loss(self, each: KeyWrites, value: Value) -> Loss:
        held = self._keys[each.key].last_held.get(value)
        # The first read to lack it: after the last that held it, and after its acknowledgement.
        since = max(each.acknowledgement(value).index, held.invocation.index if held else -1)
        missed = next(read for read in each.reads if read.invocation.index > since)
        history = "was in no read at any time"
        if held is not None:
            gone = seconds(missed.invocation.time)
            history = f"was last read at {at(completion_of(held))} and is gone from the read at {gone}"
        concluding = concluding_reads(each.final)
        text = f"{history}; {_finals(each.final, concluding)} lacks it"
        return Loss(text, missed, [*([held] if held else []), *concluding[:SHOWN_READS]])

    def missing(self, each: KeyWrites, value: Value) -> tuple[Operation, str]:
        holding = next(read for read in reversed(concluding_reads(each.final)) if value in elements(read))
        lacking = at(completion_of(each.missing[value]))
        return holding, f"the final read at {at(completion_of(holding))} holds it and that at {lacking} lacks it"

    def impossible_read(self, each: KeyWrites, kind: str, value: Value) -> tuple[str, Operation | None]:
        read, add = each.impossible[kind][value], each.writes.get(value)
        text = f"process {read.process} read {value} from {key_name(each.key)} at {at(completion_of(read))}"
        match kind:
            case "phantom":
                text += ", though its add had failed"
            case "duplicated":
                text += ", and that twice in the same read"
            case _:
                text += ", which nobody added to it"
                others = [key_name(key) for key, other in self._keys.items() if value in other.writes.writes]
                text += f"; it was added to {listing(others)}" if others else ""
        return text, add

    def figures(self, each: KeyWrites, value: Value) -> Mapping[str, Any]:
        held = self._keys[each.key].last_held.get(value)
        return {"last_held": held.invocation.time if held else None}


def _finals(final: list[Operation], concluding: list[Operation]) -> str:
    """The concluding reads of a key, as the subject of a sentence."""
    nodes = sorted({node for read in concluding if (node := read.invocation.node)})
    through = f" (through {listing(nodes)})" if nodes else ""
    last = "" if len(concluding) == len(final) else "last "
    if len(concluding) > 1:
        return f"every one of the {len(concluding)} {last}final reads{through}"
    return f"the {last}final read{through}"
