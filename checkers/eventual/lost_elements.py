"""Lost writes in sets: clients add their own elements, and what was acknowledged must be read in the end.

Operations: `add` of one element, `read` of the whole set. Keys are judged apart. What each word means:

1. Acknowledged: its add was `ok`. Indeterminate: `info` or never completed. Failed: `fail`. If an element was
   added more than once, ok outranks indeterminate outranks failed.
2. Lost: acknowledged, and in none of the last words of its key (`final_reads`): whatever earlier final reads
   held, it is gone from every node. A survivor is in at least one last word, missing if it is not in all of them, for
   there a client would still look for it in vain, and unstable if it is not in all final reads.
3. Never read: acknowledged, and its key has no final read, so nobody can tell.
4. Stale: acknowledged before some read was invoked, absent from that read, present in a read invoked later.
5. Recovered: indeterminate, and in a last word. That is allowed, as is its absence. Vanished: indeterminate, in an ok
   read that was over before any of the last words began, and in none of these: somebody was shown it, and it is gone.
6. Phantom: its adds all failed, which promises that they did not happen, and yet it was read.
   Unexpected: read though nobody ever added it to that key. Duplicated: twice in one read.
7. Invalid if anything is lost, phantom, unexpected or duplicated, or missing in a history that reached the
   stage "convergence". Otherwise unknown if anything vanished, if nothing was acknowledged, or if something was never
   read or is missing. Otherwise valid. (What vanished was promised to nobody, and a store that takes a write back which
   had too few replicas breaks no word; but one that merges what its replicas hold has no way to.)
8. Stable latency: of an element in all final reads, from its acknowledgement to the invocation of the last
   read invoked after that which lacks it; 0 if none does. Lost latency: of a lost element, from its
   acknowledgement to the invocation of the last read that held it; 0 if none did by then.

Sources: jepsen.checker/set and set-full (Jepsen 0.3), whose words these are. Set-full counts latencies from
the first sight of an element if that came before the acknowledgement; here the promise is what counts. It
calls an element lost that was only ever seen; here that has vanished, and only an acknowledged one is lost. It judges
by one last read; here, by each node's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from splitbrain.checkers.algorithms.quantiles import quantiles_ms
from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.faults import faults, meanwhile
from splitbrain.checkers.histories.final_reads import FinalReads, Key, concluding_reads, disagreement
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, count, key_name, key_names, listing, seconds
from splitbrain.checkers.verdict import Verdict, Witness

Element = int | str
_ELEMENTS = frozenset({int, str})  # By type() and not isinstance(): true is an int to Python, and equal to 1.
_RANK = {"fail": 0, "info": 1, "ok": 2}
_LISTED = 100  # A report shows so many anomalies in full; the counts are always complete.
_SHOWN_READS = 20


@dataclass
class SetKey:
    """One key: what was asked of it, and what became of it.

    adds: by element, the add that ranks highest. reads: ok reads, in the order of their invocations.
    missing: by element, a last word without it. vanished: by element, the read that was first to be over of those that
    held it. last_held: of acknowledged elements, the last read
    that held them. last_lacked: the last read invoked after the acknowledgement that did not. phantom,
    unexpected, duplicated: by element, the last read that shows it.
    """

    key: Key
    adds: dict[Element, Operation] = field(default_factory=dict)
    reads: list[Operation] = field(default_factory=list)
    final: list[Operation] = field(default_factory=list)
    lost: list[Element] = field(default_factory=list)
    unstable: set[Element] = field(default_factory=set)
    missing: dict[Element, Operation] = field(default_factory=dict)
    never_read: set[Element] = field(default_factory=set)
    recovered: set[Element] = field(default_factory=set)
    vanished: dict[Element, Operation] = field(default_factory=dict)
    stale: set[Element] = field(default_factory=set)
    last_held: dict[Element, Operation] = field(default_factory=dict)
    last_lacked: dict[Element, Operation] = field(default_factory=dict)
    phantom: dict[Element, Operation] = field(default_factory=dict)
    unexpected: dict[Element, Operation] = field(default_factory=dict)
    duplicated: dict[Element, Operation] = field(default_factory=dict)

    def with_outcome(self, outcome: str) -> list[Element]:
        return [element for element, add in self.adds.items() if add.outcome == outcome]

    @property
    def acknowledged(self) -> list[Element]:
        return self.with_outcome("ok")

    def counts(self) -> dict[str, int]:
        acknowledged = len(self.acknowledged)
        return {
            "attempted": len(self.adds),
            "acknowledged": acknowledged,
            "failed": len(self.with_outcome("fail")),
            "indeterminate": len(self.with_outcome("info")),
            "lost": len(self.lost),
            "survivors": acknowledged - len(self.lost) - len(self.never_read),
            "unstable": len(self.unstable),
            "missing": len(self.missing),
            "never_read": len(self.never_read),
            "stale": len(self.stale),
            "recovered": len(self.recovered),
            "vanished": len(self.vanished),
            "phantom": len(self.phantom),
            "unexpected": len(self.unexpected),
            "duplicated": len(self.duplicated),
            "reads": len(self.reads),
            "final_reads": len(self.final),
        }


def check(history: History) -> Verdict:
    """Judge the sets of a history by the rules above.

    Evidence: the counts named in the rules, in total and by key (`keys`), `lost_fraction` of the
    acknowledged, `stable_latency_ms`, `lost_latency_ms` (quantiles). Raises HistoryError for a value that is
    no element or no list.
    O(elements read); where much is lost, also O(lost * reads).
    """
    final = FinalReads.of(history)
    keys = _gather(history, final)
    for each in keys.values():
        _judge(each)
    totals = Counter[str]()
    for each in keys.values():
        totals.update(each.counts())
    evidence: dict[str, Any] = {
        **totals,
        "lost_fraction": totals["lost"] / totals["acknowledged"] if totals["acknowledged"] else None,
        "stable_latency_ms": quantiles_ms([ns for each in keys.values() for ns in _stable_latencies(each)]),
        "lost_latency_ms": quantiles_ms([ns for each in keys.values() for ns in _lost_latencies(each)]),
        "keys": {name: keys[key].counts() for key, name in key_names(keys).items()},
    }
    diverged, disagree = disagreement(history, totals["missing"], "add")
    complaints = _complaints(totals)
    if totals["missing"] and diverged:
        complaints.insert(1 if totals["lost"] else 0, disagree)
    if complaints:
        return Verdict.invalid("; ".join(complaints), _witness(history, keys, diverged), **evidence)
    if totals["vanished"]:
        return Verdict.unknown(_vanished(keys, totals["vanished"]), **evidence)
    if not totals["acknowledged"]:
        return Verdict.unknown("no add was acknowledged, so none can be lost", **evidence)
    blind = [key_name(each.key) for each in keys.values() if each.never_read]
    if blind:
        reason = f"no final read of {listing(blind)}: {final.missing}"
        return Verdict.unknown(reason, **evidence)
    if totals["missing"]:
        return Verdict.unknown(disagree, **evidence)
    reason = f"{count(totals['acknowledged'], 'acknowledged add')} on {count(len(keys), 'key')}, none lost"
    if totals["unstable"]:
        reason += f"; {totals['unstable']:,} in some final reads only"
    return Verdict.valid(reason, **evidence)


def elements(read: Operation) -> list[Element]:
    """What an ok read returned. Raises HistoryError if that isn't a list of elements."""
    assert read.completion is not None
    value = read.completion.value
    if not isinstance(value, list):
        raise HistoryError(read.completion.index + 1, f"an ok read of a set needs a list, has {value!r:.60}")
    strange = set(map(type, value)) - _ELEMENTS
    if strange:
        first = next(element for element in value if type(element) in strange)
        problem = f"a read of a set returned something that is no element, an integer or a string: {first!r:.60}"
        raise HistoryError(read.completion.index + 1, problem)
    return value


def _gather(history: History, final: FinalReads) -> dict[Key, SetKey]:
    keys: dict[Key, SetKey] = {}
    for operation in history.operations:
        f, key = operation.f, operation.key
        if f == "add":
            element = operation.invocation.value
            if type(element) not in _ELEMENTS:
                problem = f"an add needs an element, an integer or a string; has {element!r:.60}"
                raise HistoryError(operation.invocation.index + 1, problem)
            if key not in keys:
                keys[key] = SetKey(key)
            before = keys[key].adds.get(element)
            if before is None or _RANK[operation.outcome] > _RANK[before.outcome]:
                keys[key].adds[element] = operation
        elif f == "read" and operation.outcome == "ok":
            if key not in keys:
                keys[key] = SetKey(key)
            keys[key].reads.append(operation)
    for key, reads in final.by_key.items():
        keys[key].final = reads
    return keys


def _judge(each: SetKey) -> None:
    """Fill in what became of the key's elements: one walk over its reads, from the last to the first."""
    acknowledged = sorted(each.acknowledged, key=lambda element: _ack_index(each, element))
    failed = set(each.with_outcome("fail"))
    held_by_finals: list[set[Element]] = []
    remains: set[Element] = set()
    indeterminate = set(each.with_outcome("info"))
    sighted: dict[Element, Operation] = {}
    finals = {read.invocation.index for read in each.final}
    last = {read.invocation.index for read in concluding_reads(each.final)}
    lacked: dict[Element, Operation] = {}
    promised = set(each.acknowledged)
    known = set(acknowledged)  # Acknowledged before the read at hand was invoked; shrinks as the walk goes back.
    unseen = set(acknowledged)
    for read in reversed(each.reads):
        listed = elements(read)
        held = set(listed)
        while acknowledged and _ack_index(each, acknowledged[-1]) > read.invocation.index:
            known.discard(acknowledged.pop())
        absent = known - held
        for element in absent.difference(each.last_lacked):
            each.last_lacked[element] = read
        turned_up_later = {element for element in absent if element in each.last_held}
        each.stale |= turned_up_later
        known -= turned_up_later  # Both things there were to learn of them are learnt.
        seen = unseen & held
        unseen -= seen
        each.last_held.update(dict.fromkeys(seen, read))
        # In the order of the read: that of a set of strings differs from run to run.
        for odd, told in ((held.difference(each.adds), each.unexpected), (held & failed, each.phantom)):
            for element in listed if odd else ():
                if element in odd:
                    told.setdefault(element, read)
        if len(held) < len(listed):
            for element, times in Counter(listed).items():
                if times > 1:
                    each.duplicated.setdefault(element, read)
        if read.invocation.index in finals:
            held_by_finals.append(held)
        if read.invocation.index in last:
            remains |= held
            lacked.update(dict.fromkeys(promised - held, read))
        for element in indeterminate & held:
            if element not in sighted or _over(read) < _over(sighted[element]):
                sighted[element] = read
    if not held_by_finals:
        each.never_read = promised
        return
    everywhere = held_by_finals[0].intersection(*held_by_finals)
    each.lost = sorted(promised - remains, key=lambda element: _ack_index(each, element))
    each.unstable = (promised & remains) - everywhere
    each.missing = {element: lacked[element] for element in each.acknowledged if element in remains & lacked.keys()}
    each.recovered = remains & indeterminate
    # A sight that overlaps a last word proves nothing: the add may have taken effect between the two.
    begun = min(last)
    for element in each.with_outcome("info"):
        if element in sighted and element not in remains and _over(sighted[element]) < begun:
            each.vanished[element] = sighted[element]


def _over(read: Operation) -> int:
    assert read.completion is not None
    return read.completion.index


def _ack_index(each: SetKey, element: Element) -> int:
    completion = each.adds[element].completion
    assert completion is not None
    return completion.index


def _since_ack(each: SetKey, element: Element, read: Operation | None) -> int:
    completion = each.adds[element].completion
    assert completion is not None
    return max(0, read.invocation.time - completion.time) if read else 0


def _stable_latencies(each: SetKey) -> list[int]:
    settled = set(each.acknowledged) - set(each.lost) - each.unstable - each.never_read
    return [_since_ack(each, element, each.last_lacked.get(element)) for element in settled]


def _lost_latencies(each: SetKey) -> list[int]:
    return [_since_ack(each, element, each.last_held.get(element)) for element in each.lost]


def _complaints(totals: Mapping[str, int]) -> list[str]:
    parts = []
    if totals["lost"]:
        parts.append(f"{totals['lost']:,} of {count(totals['acknowledged'], 'acknowledged add')} lost")
    if totals["phantom"]:
        parts.append(f"{count(totals['phantom'], 'element')} read whose adds had failed")
    if totals["unexpected"]:
        parts.append(f"{count(totals['unexpected'], 'element')} read that nobody added")
    if totals["duplicated"]:
        parts.append(f"{count(totals['duplicated'], 'element')} twice in one read")
    return parts


def _vanished(keys: Mapping[Key, SetKey], number: int) -> str:
    each = next(each for each in keys.values() if each.vanished)
    element, read = next(iter(each.vanished.items()))
    assert read.completion is not None
    return (
        f"{count(number, 'element')} of which nobody knows whether the add was done {_were(number)} read and "
        f"{_were(number)} gone in the end: process {read.process} read {element} from {key_name(each.key)} at "
        f"{at(read.completion)}"
    )


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _witness(history: History, keys: Mapping[Key, SetKey], diverged: bool) -> Witness:
    lost = [(each, element) for each in keys.values() for element in each.lost]
    if lost:
        lost.sort(key=lambda pair: _ack_index(*pair))
        return _lost_witness(history, *lost[0], data={"lost": [_as_data(*pair) for pair in lost[:_LISTED]]})
    missing = [(each, element) for each in keys.values() for element in each.missing]
    if missing and diverged:
        missing.sort(key=lambda pair: _ack_index(*pair))
        return _missing_witness(*missing[0], data={"missing": [_as_data(*pair) for pair in missing[:_LISTED]]})
    told = {"phantom": "though its add had failed", "unexpected": "which nobody added to it"}
    for kind in ("phantom", "unexpected", "duplicated"):
        for each in keys.values():
            for element, read in getattr(each, kind).items():
                assert read.completion is not None
                text = (
                    f"process {read.process} read {element} from {key_name(each.key)} "
                    f"at {at(read.completion)}, {told.get(kind, 'and that twice in the same read')}"
                )
                events = [read.invocation.index, read.completion.index]
                add = each.adds.get(element)
                if add is not None:
                    events += [event.index for event in (add.invocation, add.completion) if event]
                others = [key_name(other.key) for other in keys.values() if element in other.adds]
                if kind == "unexpected" and others:
                    text += f"; it was added to {listing(others)}"
                data = {"kind": kind, "key": each.key, "value": element}
                return Witness(text, tuple(sorted(events)), data)
    raise AssertionError("a witness was asked for where nothing is wrong")


def _lost_witness(history: History, each: SetKey, element: Element, data: dict[str, Any]) -> Witness:
    add = each.adds[element]
    assert add.completion is not None
    seen = each.last_held.get(element)
    # The first read to lack it: after the last that held it, and after its acknowledgement.
    since = max(add.completion.index, seen.invocation.index if seen else -1)
    missed = next(read for read in each.reads if read.invocation.index > since)
    if seen is not None and seen.completion is not None:
        gone = seconds(missed.invocation.time)
        sight = f"was last read at {at(seen.completion)} and is gone from the read at {gone}"
    else:
        sight = "was in no read at any time"
    words = concluding_reads(each.final)
    nodes = sorted({node for read in words if (node := read.invocation.node)})
    through = f" (through {listing(nodes)})" if nodes else ""
    last = "" if len(words) == len(each.final) else "last "
    finals = f"every one of the {len(words)} {last}final reads" if len(words) > 1 else f"the {last}final read"
    text = (
        f"process {add.process} was told at {at(add.completion)} that {element} was added "
        f"to {key_name(each.key)}; "
        f"it {sight}; {finals}{through} lacks it; "
        f"{meanwhile(faults(history), add.invocation.index, missed.invocation.index)}"
    )
    operations = [add, *([seen] if seen else []), missed, *words[:_SHOWN_READS]]
    events = {event.index for o in operations for event in (o.invocation, o.completion) if event}
    return Witness(text, tuple(sorted(events)), {"kind": "lost", "key": each.key, "value": element, **data})


def _missing_witness(each: SetKey, element: Element, data: dict[str, Any]) -> Witness:
    add, lacking = each.adds[element], each.missing[element]
    holding = next(read for read in reversed(concluding_reads(each.final)) if element in elements(read))
    assert add.completion and lacking.completion and holding.completion
    text = (
        f"process {add.process} was told at {at(add.completion)} that {element} was added to {key_name(each.key)}; "
        f"the final read at {at(holding.completion)} holds it and that at {at(lacking.completion)} lacks it"
    )
    events = {event.index for o in (add, holding, lacking) for event in (o.invocation, o.completion) if event}
    return Witness(text, tuple(sorted(events)), {"kind": "missing", "key": each.key, "value": element, **data})


def _as_data(each: SetKey, element: Element) -> dict[str, Any]:
    add = each.adds[element]
    assert add.completion is not None
    held = each.last_held.get(element)
    return {
        "key": each.key,
        "value": element,
        "time": add.completion.time,
        "node": add.completion.node or add.invocation.node,
        "process": add.process,
        "index": add.completion.index,
        "last_held": held.invocation.time if held else None,
    }
