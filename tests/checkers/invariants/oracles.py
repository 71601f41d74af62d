"""Oracles: what each checker of the shelf ought to say, by trying everything.

Written from the definitions, and as unlike the checkers as can be: subsets of adds, all ways to assign what came out of a
queue to what went in, pairs of ids, all orders of writes. Fit for a dozen operations.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, combinations, permutations
from typing import Any

from splitbrain.checkers.histories.history import History, Operation

END = 10**9
Figures = dict[str, Any]


def counter(history: History) -> Figures:
    """The sums that any subset of the adds that may count makes; a read is wrong if it is below or above all of them."""
    wrong = exact = reads = 0
    for read in history.operations:
        if read.f != "read" or read.outcome != "ok":
            continue
        reads += 1
        begun, over = _span(read)
        certain, possible = 0, []
        for add in history.operations:
            if add.f != "add" or add.key != read.key or add.outcome == "fail" or _span(add)[0] > over:
                continue
            if add.outcome == "ok" and _span(add)[1] < begun:
                certain += add.invocation.value
            else:
                possible.append(add.invocation.value)
        sums = {certain + sum(some) for some in _subsets(possible)}
        assert read.completion
        shown = read.completion.value
        wrong += not min(sums) <= shown <= max(sums)
        exact += len(sums) == 1
    return {"verdict": _said(bool(wrong), reads > 0), "misreads": wrong, "reads": reads, "exact_reads": exact}


def total_queue(history: History) -> Figures:
    """The best of all assignments, key by key."""
    figures = dict.fromkeys(("lost", "maybe_taken", "undelivered", "surplus"), 0)
    for key in dict.fromkeys(operation.key for operation in history.operations):
        of_key = [operation for operation in history.operations if operation.key == key]
        for name, number in zip(figures, _queue(of_key), strict=True):
            figures[name] += number
    acknowledged = any(o.f == "enqueue" and o.outcome == "ok" for o in history.operations)
    wrong = bool(figures["lost"] or figures["surplus"])
    return {"verdict": _said(wrong, acknowledged and not figures["undelivered"]), **figures}


def _queue(operations: Sequence[Operation]) -> tuple[int, int, int, int]:
    enqueues = [o for o in operations if o.f == "enqueue" and o.outcome != "fail"]
    acknowledged = [o for o in enqueues if o.outcome == "ok"]
    last = max((_span(o)[1] for o in acknowledged), default=-1)
    outs: list[tuple[int, str]] = []
    emptyings: list[tuple[int, int]] = []
    for o in operations:
        if o.f == "drain" and o.outcome == "ok" and o.completion:
            emptyings.append(_span(o))
            outs += [(_span(o)[1], json.dumps(value)) for value in o.completion.value]
        if o.f == "dequeue" and o.completion and o.outcome != "info":
            nothing = o.completion.value is None if o.outcome == "ok" else _says_empty(o.completion.error)
            if nothing and _span(o)[0] > last:
                emptyings.append(_span(o))
            if o.outcome == "ok" and o.completion.value is not None:
                outs.append((_span(o)[1], json.dumps(o.completion.value)))
    crashed = [o for o in operations if o.f != "enqueue" and o.outcome == "info"]
    emptied = {id(o): [end for begun, end in emptyings if begun > _span(o)[1]] for o in acknowledged}

    def assigned(number: int, free: frozenset[int], surplus: int) -> Iterator[tuple[int, frozenset[int]]]:
        """Every way to say where the outs from that number on are from: how many from nowhere, and what is left."""
        if number == len(outs):
            yield surplus, free
            return
        end, value = outs[number]
        yield from assigned(number + 1, free, surplus + 1)
        tried = set()
        for at in sorted(free):
            enqueue = enqueues[at]
            if json.dumps(enqueue.invocation.value) == value and _span(enqueue)[0] < end:
                alike = (enqueue.outcome, tuple(emptied.get(id(enqueue), ())), _span(enqueue)[0])
                if alike not in tried:
                    tried.add(alike)
                    yield from assigned(number + 1, free - {at}, surplus)

    def blamed(missing: Sequence[Operation], takers: frozenset[int]) -> int:
        """How many of the missing can't be with a crashed operation, at best."""
        if not missing:
            return 0
        first, rest = missing[0], missing[1:]
        best = 1 + blamed(rest, takers)
        for at in sorted(takers):
            taker = crashed[at]
            if _span(taker)[0] < min(emptied[id(first)]):
                left = takers if taker.f == "drain" else takers - {at}
                best = min(best, blamed(rest, left))
        return best

    best: tuple[int, int, int, int] | None = None
    judged: dict[tuple[int, ...], tuple[int, int, int]] = {}
    for surplus, free in assigned(0, frozenset(range(len(enqueues))), 0):
        if best is not None and surplus > best[0]:
            continue
        left = tuple(sorted(at for at in free if enqueues[at].outcome == "ok"))
        if left not in judged:
            missing = [enqueues[at] for at in left if emptied[id(enqueues[at])]]
            lost = blamed(missing, frozenset(range(len(crashed))))
            judged[left] = (lost, len(missing) - lost, len(left) - len(missing))
        # Fewest out of nowhere, then fewest lost; then as few as can be whose fate is open.
        found = (surplus, judged[left][0], judged[left][1], judged[left][2])
        if best is None or found < best:
            best = found
    assert best is not None
    surplus, lost, maybe, undelivered = best
    return lost, maybe, undelivered, surplus


def _says_empty(error: str | None) -> bool:
    return error is not None and error.split(":")[0].strip() in ("empty", "exhausted")


def unique_ids(history: History) -> Figures:
    given = [o for o in history.operations if o.f == "generate" and o.outcome == "ok"]

    def same(one: Operation, other: Operation) -> bool:
        assert one.completion and other.completion
        return one.key == other.key and json.dumps(one.completion.value) == json.dumps(other.completion.value)

    later = [other for at, other in enumerate(given) if any(same(one, other) for one in given[:at])]
    firsts = [one for one in given if one not in later and any(same(one, other) for other in later)]
    two = any(one is not other and one.key == other.key for one in given for other in given)
    return {
        "verdict": _said(bool(later), two),
        "acknowledged": len(given),
        "duplicated": len(firsts),
        "surplus": len(later),
    }


def bank(history: History, *, total: int | None = None, accounts: Sequence[Any] | None = None) -> Figures:
    bad: set[int] = set()
    kinds = dict.fromkeys(("unexpected-key", "nil-balance", "wrong-total", "negative-value"), 0)
    comparable = False
    for key in dict.fromkeys(operation.key for operation in history.operations):
        reads = [o for o in history.operations if o.key == key and o.f == "read" and o.outcome == "ok"]
        shown = {_span(o)[1]: _balances(o) for o in reads}
        if not shown:
            continue
        names = set(map(str, accounts)) if accounts else set(shown[min(shown)])
        whole = {
            at: some for at, some in shown.items() if set(some) == names and all(v is not None for v in some.values())
        }
        agreed = total if total is not None else sum(whole[min(whole)].values()) if whole else None
        transfers = [o for o in history.operations if o.key == key and o.f == "transfer" and o.outcome != "fail"]
        begun = any(_span(o)[0] < max(shown) for o in transfers)
        comparable |= begun and (total is not None or (bool(whole) and len(shown) > 1))
        for at, some in shown.items():
            found = {
                "unexpected-key": any(name not in names for name in some),
                "nil-balance": any(some.get(name) is None for name in names),
                "wrong-total": at in whole and sum(some.values()) != agreed,
                "negative-value": any(value is not None and value < 0 for value in some.values()),
            }
            for kind, is_so in found.items():
                kinds[kind] += is_so
            if any(found.values()):
                bad.add(at)
    return {
        "verdict": _said(bool(bad), comparable),
        "bad_reads": len(bad),
        "kinds": {kind: number for kind, number in kinds.items() if number},
    }


def _balances(read: Operation) -> dict[str, Any]:
    assert read.completion
    value = read.completion.value
    return {str(name): balance for name, balance in (value.items() if isinstance(value, dict) else value)}


def long_fork(history: History) -> Figures:
    """All orders of a group's writes: there must be one of which every read saw a prefix."""
    forked = strange = pairs = 0
    at_stake = False
    for key in dict.fromkeys(operation.key for operation in history.operations):
        of_key = [o for o in history.operations if o.key == key]
        reads = [o for o in of_key if o.outcome == "ok" and o.invocation.value[0][0] == "r"]
        writes = [o for o in of_key if o.invocation.value[0][0] == "w" and o.outcome != "fail"]
        groups: dict[tuple[Any, ...], list[Operation]] = {}
        for read in reads:
            groups.setdefault(tuple(sorted(each[1] for each in read.invocation.value)), []).append(read)
        for group, some in groups.items():
            states = [_seen(read) for read in some]
            # Two keys that reads of the group, one or several, saw written.
            seen = [(a, b) for one, other in combinations(states, 2) for a in one | other for b in one | other]
            at_stake = at_stake or any(a != b for a, b in seen)
            fits = any(
                all(state in [set(order[:length]) for length in range(len(order) + 1)] for state in states)
                for order in permutations(group)
            )
            forked += not fits
            apart = any(one - other and other - one for one, other in combinations(states, 2))
            assert apart is not fits, "no order if and only if two reads can't be ordered"
            pairs += apart
        for read in reads:
            assert read.completion
            for _, name, value in read.completion.value:
                made = [["w", name, value]]
                strange += value is not None and not any(
                    json.dumps(o.invocation.value) == json.dumps(made) and _span(o)[0] < _span(read)[1] for o in writes
                )
    return {"verdict": _said(bool(forked or strange), at_stake), "forked": forked, "strangers": strange}


def _seen(read: Operation) -> set[Any]:
    assert read.completion
    return {name for _, name, value in read.completion.value if value is not None}


def stats(history: History) -> Figures:
    by_f: dict[str, list[str]] = {}
    for event in history.events:
        if event.type == "invoke":
            by_f.setdefault(event.f, [])
    for f, outcomes in by_f.items():
        of_f = [event for event in history.events if event.f == f and event.process != "nemesis"]
        asked = sum(event.type == "invoke" for event in of_f)
        done = [event.type for event in of_f if event.type in ("ok", "fail")]
        outcomes += done + ["info"] * (asked - len(done))
    clients = {f: outcomes for f, outcomes in by_f.items() if f != "replica"}
    fine = bool(clients) and all("ok" in outcomes for outcomes in clients.values())
    return {
        "verdict": "valid" if fine else "unknown",
        "by_f": {f: (len(o), o.count("ok"), o.count("fail"), o.count("info")) for f, o in by_f.items()},
        "total": sum(len(outcomes) for outcomes in clients.values()),
    }


def unhandled_errors(history: History, *, forbidden: Sequence[str]) -> Figures:
    gone = [event for event in history.events if event.type in ("fail", "info") and event.error is not None]
    codes = [str(event.error).split(":")[0].strip() for event in gone]
    client = [e for e in history.events if e.process != "nemesis" and e.type != "invoke"]
    return {
        "verdict": _said(any(code in forbidden for code in codes), bool(client)),
        "counts": {code: codes.count(code) for code in set(codes)},
        "examples": {code: gone[codes.index(code)].index for code in set(codes)},
        "without_error": sum(e.type in ("fail", "info") and e.error is None for e in client),
    }


ORACLES: Mapping[str, Callable[..., Figures]] = {
    "counter": counter,
    "total-queue": total_queue,
    "unique-ids": unique_ids,
    "bank": bank,
    "long-fork": long_fork,
    "stats": stats,
    "unhandled-errors": unhandled_errors,
}


def _said(wrong: bool, judged: bool) -> str:
    return "invalid" if wrong else "valid" if judged else "unknown"


def _span(operation: Operation) -> tuple[int, int]:
    return operation.invocation.index, operation.completion.index if operation.completion else END


def _subsets(numbers: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return chain.from_iterable(combinations(numbers, size) for size in range(len(numbers) + 1))
