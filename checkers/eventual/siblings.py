"""Siblings: how many versions of a key there were at once, and whether they were truly concurrent.

1. In a history of versioned registers (`put`, `delete`, `read`; see `writes`) the siblings are what each `ok` read
   returned. An empty read has none, and counts as 0. Other operations are refused.
2. In any other history they are the versions that each home replica held when polled (`replica_polls`): there only
   numbers can be judged, since no value says what its writer had seen. Other operations play no part.
3. Two siblings of one read are false if the writer of one had (transitively) seen the other, through deletes too: the
   store keeps what a client had replaced. A write counts as one version; a put that a client tries again under the same
   id makes two. What a put without "seen" had seen is unknown and never held against the store.
4. With `max_siblings`, more than that in one read (or poll) is an explosion.
5. Invalid if there is a false sibling or an explosion. Unknown if nothing was read or polled. Otherwise valid: a number
   of siblings is no fault in itself.

Sources: Dynamo (SOSP 2007), sections 4.4 and 6.3 (99.94% of reads see one version).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from splitbrain.checkers.histories.final_reads import Key
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, count, key_name, key_names, listing
from splitbrain.checkers.histories.replica_polls import polls
from splitbrain.checkers.histories.values import operations_of
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict, Witness
from splitbrain.checkers.versions.writes import PUTTING, Versions

_BUCKETS = 100


@dataclass(frozen=True, slots=True)
class SiblingCount:
    """One read or poll, and how many versions it showed."""

    operation: Operation
    number: int


@dataclass(frozen=True, slots=True)
class FalseSiblings:
    """A read, and two of the writes it returned: the writer of `later` had seen `earlier`."""

    versions: Versions
    read: Operation
    earlier: int
    later: int


@needs_real_time
def check(history: History, *, max_siblings: Annotated[int, Meta(ge=1)] | None = None) -> Verdict:
    """Count the siblings, and look for false ones.

    max_siblings: as many in one read or poll are allowed; None allows any number.
    Evidence: `counted` ("reads" or "polls"), `observations`, `max`, `mean`, `histogram` {number:
    observations}, `keys` {key: {observations, max, mean}}, `over_time` [[bucket's start in ms, max, mean]],
    and for registers `false_sibling_reads`.
    O(observations), and for each distinct set of siblings the writes since the earliest of them.
    """
    registers = any(operation.f == "put" for operation in history.operations)
    counted, counts, false = _in_reads(history) if registers else _in_polls(history)
    if not counts:
        return Verdict.unknown(f"there are no {'ok reads' if registers else 'ok polls of home replicas'} to count in")
    evidence: dict[str, Any] = {"counted": counted, **_figures(counts), "over_time": _over_time(counts)}
    evidence["histogram"] = {str(number): n for number, n in sorted(Counter(each.number for each in counts).items())}
    evidence["keys"] = _by_key(counts)
    if registers:
        evidence["false_sibling_reads"] = len(false)
    largest = max(counts, key=lambda each: each.number)
    if false:
        reason = f"{len(false):,} of {count(len(counts), 'read')} returned false siblings"
        return Verdict.invalid(reason, _false_witness(false[0]), **evidence)
    if max_siblings is not None and largest.number > max_siblings:
        reason = f"{count(largest.number, 'sibling')} at once, more than the {max_siblings:,} allowed"
        return Verdict.invalid(reason, _explosion(largest, counted), **evidence)
    reason = (
        f"at most {count(largest.number, 'sibling')} in {count(len(counts), counted[:-1])}, "
        f"{evidence['mean']} on average" + ("; none false" if registers else "; false ones can't be told from polls")
    )
    return Verdict.valid(reason, **evidence)


def _in_reads(history: History) -> tuple[str, list[SiblingCount], list[FalseSiblings]]:
    """What the reads of versioned registers returned."""
    operations_of(history, "a versioned register", (*PUTTING, "read"))
    versions = Versions.of(history)
    return "reads", [SiblingCount(read, len(siblings)) for read, siblings in versions.reads], _false(versions)


def _in_polls(history: History) -> tuple[str, list[SiblingCount], list[FalseSiblings]]:
    """What home replicas answered; their versions do not say which of them had seen which."""
    answers = [poll for poll in polls(history) if poll.versions is not None]
    return "polls", [SiblingCount(poll.operation, len(poll.versions or ())) for poll in answers], []


def _false(versions: Versions) -> list[FalseSiblings]:
    """Reads with false siblings, each with a pair of them."""
    judged: dict[tuple[Key, frozenset[int]], tuple[int, int] | None] = {}
    found: list[FalseSiblings] = []
    for read, siblings in versions.reads:
        if len(siblings) < 2:
            continue
        case = (read.key, frozenset(siblings))
        if case not in judged:
            judged[case] = versions.superseded(siblings, read.key)
        pair = judged[case]
        if pair is not None:
            found.append(FalseSiblings(versions, read, *pair))
    return found


def _figures(counts: Sequence[SiblingCount]) -> dict[str, Any]:
    numbers = [each.number for each in counts]
    return {"observations": len(numbers), "max": max(numbers), "mean": round(sum(numbers) / len(numbers), 4)}


def _by_key(counts: Sequence[SiblingCount]) -> dict[str, Any]:
    by_key: dict[Key, list[SiblingCount]] = {}
    for each in counts:
        by_key.setdefault(each.operation.key, []).append(each)
    names = key_names(by_key)
    return {names[key]: _figures(some) for key, some in by_key.items()}


def _over_time(counts: Sequence[SiblingCount]) -> list[list[float]]:
    """Max and mean in equal intervals of the run, those with an observation: [start in ms, max, mean]."""
    times = [each.operation.completion.time for each in counts if each.operation.completion is not None]
    width = max(times) // _BUCKETS + 1
    buckets: dict[int, list[int]] = {}
    for time, each in zip(times, counts, strict=True):
        buckets.setdefault(time // width, []).append(each.number)
    return [
        [round(bucket * width / 1e6, 3), max(numbers), round(sum(numbers) / len(numbers), 4)]
        for bucket, numbers in sorted(buckets.items())
    ]


def _false_witness(false: FalseSiblings) -> Witness:
    read, earlier, later = false.read, false.earlier, false.later
    assert read.completion is not None
    puts = [false.versions.writes[id_].operation for id_ in (earlier, later)]
    path = _path(false.versions, later, earlier)
    how = "directly" if len(path) == 2 else f"through {listing(path[1:-1])}"
    text = (
        f"process {read.process} read {listing(read.completion.value, limit=10)} from {key_name(read.key)} "
        f"at {at(read.completion)} as if they were concurrent; but the writer of {later} "
        f"(process {puts[1].process}, invoked at {at(puts[1].invocation)}) had seen {earlier} {how}"
    )
    events = {event.index for o in [*puts, read] for event in (o.invocation, o.completion) if event}
    data = {"kind": "false siblings", "key": read.key, "earlier": earlier, "later": later, "path": path}
    return Witness(text, tuple(sorted(events)), data)


def _path(versions: Versions, later: int, earlier: int) -> list[int]:
    """The shortest path of "seen" from one write to another that it is known to have seen, both included."""
    came_from = {later: later}
    ahead = [later]
    for id_ in ahead:
        write = versions.writes[id_]
        for seen in write.seen or ():
            if seen not in came_from and versions.known(seen, write.key):
                came_from[seen] = id_
                ahead.append(seen)
    path = [earlier]
    while path[-1] != later:
        path.append(came_from[path[-1]])
    return path[::-1]


def _explosion(largest: SiblingCount, counted: str) -> Witness:
    operation = largest.operation
    assert operation.completion is not None
    what = "read" if counted == "reads" else "was shown"
    text = (
        f"process {operation.process} {what} {count(largest.number, 'sibling')} of {key_name(operation.key)} "
        f"at {at(operation.completion)}"
    )
    data = {"kind": "explosion", "key": operation.key, "siblings": largest.number}
    return Witness(text, (operation.invocation.index, operation.completion.index), data)
