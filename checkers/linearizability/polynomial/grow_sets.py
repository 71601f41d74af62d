"""Grow-only sets that are read whole (`add`, `read`): linearizability in time linear in the length of all reads.

1. Reads that are linearizable form a chain: of any two, one holds all that the other does. They take effect the shorter
   first, and an element is added after the last read that lacks it and before the first that holds it. So each call has
   a *stage*: adds of what the shortest read holds; that read, with those that answer the same; adds of what the next
   one holds besides; and so on; last, adds of elements that were never read.
2. Calls of one stage can trade places. So the calls are linearizable if and only if three things hold: the reads form a
   chain; they hold elements once, and only such as may have been added; no call returned before one of an earlier
   stage was invoked. The stages one after the other, each in the order of its invocations, are then a legal order.
3. Adds of the same element count as one, from the first invocation to the first return among them. At some moment of
   this time one takes effect, and the others, after it, change nothing.
4. A crashed add happened if its element was read; else it is left out. So are crashed reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from splitbrain.checkers.histories.prose import literal
from splitbrain.checkers.linearizability.model import Call, Finding
from splitbrain.checkers.linearizability.polynomial.initial_elements import insertions, recorded


@dataclass(slots=True)
class _Adding:
    """The adds of one element, as one (rule 3).

    first: the one invoked first. done: the one that returned first, None if all crashed. stage: in which they take
    effect, None if no read holds the element.
    """

    first: Call
    done: Call | None = None
    stage: int | None = None


def judge(calls: Sequence[Call], initial: Iterable[Hashable] = ()) -> Finding | None:
    """Calls of one set, in the order of their invocations. O(n log n + r), r the elements of all reads together.

    initial: the elements inside at first. Returns None if there are other operations.
    """
    if not {call.f for call in calls} <= {"add", "read"}:
        return None
    adds: dict[Hashable, _Adding] = {}
    reads = []
    for call in (*insertions("add", sorted(initial, key=repr)), *calls):
        if call.f == "add":
            each = adds.setdefault(call.argument, _Adding(call))
            if call.known and (each.done is None or call.returned < each.done.returned):
                each.done = call
        elif call.known:
            reads.append(call)
    reads.sort(key=lambda read: len(read.result))  # Stable: of reads of one length the first invoked comes first.
    chain = _chain(reads, adds)
    return chain if isinstance(chain, Finding) else _overtaken(reads, chain, adds) or Finding(True)


def _chain(reads: Sequence[Call], adds: dict[Hashable, _Adding]) -> list[Call] | Finding:
    """The reads that answered what none before them did, the shortest first; or a Finding, if they are no chain.

    Elements are given their stages: what the n-th of these reads is the first to hold is added at stage 2n.
    """
    chain: list[Call] = []
    held: frozenset[Hashable] = frozenset()
    for read in reads:
        if chain and read.result == chain[-1].result:
            continue
        now = frozenset(read.result)
        if len(now) < len(read.result):
            twice = next(each for each, times in Counter(read.result).items() if times > 1)
            return _finding(f"a read {_when(read)} holds {literal(twice)} twice", [read])
        if not now <= adds.keys():
            unexpected = next(each for each in read.result if each not in adds)
            return _finding(f"a read {_when(read)} holds {literal(unexpected)}, which no add can have put in", [read])
        if not held <= now:
            lacking = next(each for each in chain[-1].result if each not in now)
            besides = next(each for each in read.result if each not in held)
            one, other = literal(lacking), literal(besides)
            text = (
                f"of two reads one {_when(chain[-1])} holds {one} and not {other}, the other {_when(read)} {other} and "
                f"not {one}"
            )
            return _finding(text, [chain[-1], read, *_adds(adds, [lacking, besides])])
        if not chain or len(now) > len(held):
            for each in now - held:
                adds[each].stage = 2 * len(chain)
            chain.append(read)
            held = now
    return chain


def _overtaken(reads: Sequence[Call], chain: Sequence[Call], adds: dict[Hashable, _Adding]) -> Finding | None:
    """The finding against the first call that was invoked after one of a later stage had returned."""
    lengths = {len(read.result): 2 * number + 1 for number, read in enumerate(chain)}
    # (event, whether it is an invocation, stage, call)
    events: list[tuple[int, bool, int, Call]] = []
    for read in reads:
        stage = lengths[len(read.result)]
        events += (read.invoked, True, stage, read), (read.returned, False, stage, read)
    for each in adds.values():
        stage = 2 * len(chain) if each.stage is None else each.stage
        events.append((each.first.invoked, True, stage, each.first))
        if each.done is not None:
            events.append((each.done.returned, False, stage, each.done))
    events.sort(key=lambda event: event[0])
    latest, behind = -1, None
    for _, invocation, stage, call in events:
        if not invocation and stage > latest:
            latest, behind = stage, call
        elif invocation and stage < latest:
            assert behind is not None
            return _against(behind, call, chain[stage // 2], adds)
    return None


def _against(before: Call, after: Call, shown: Call, adds: dict[Hashable, _Adding]) -> Finding:
    """The finding against two calls in the wrong order.

    before: it returned before `after` was invoked, though its stage is later. shown: a read of the stage of `after`, or
    of the one that follows.
    """
    added = before.argument
    if before.f == "add" and after.f == "add":
        one, other = literal(added), literal(after.argument)
        text = f"{one} was added before the add of {other}, and yet a read {_when(shown)} holds {other} and not {one}"
        return _finding(text, [before, after, shown])
    if before.f == "add":
        text = f"{literal(added)} was added before a read {_when(after)} was invoked, and the read lacks it"
        return _finding(text, [before, after])
    if after.f == "add":
        text = f"a read {_when(before)} holds {literal(after.argument)}, whose add was invoked after it"
        return _finding(text, [before, after])
    lacking = next(each for each in before.result if each not in after.result)
    text = f"a read {_when(before)} holds {literal(lacking)}, and a later one {_when(after)} lacks it"
    return _finding(text, [before, after, *_adds(adds, [lacking])])


def _when(read: Call) -> str:
    return f"(events {read.invoked} to {read.returned})"


def _adds(adds: dict[Hashable, _Adding], elements: Sequence[Hashable]) -> list[Call]:
    return [adds[each].first for each in elements]


def _finding(text: str, calls: Sequence[Call]) -> Finding:
    return Finding(False, text, recorded(calls))
