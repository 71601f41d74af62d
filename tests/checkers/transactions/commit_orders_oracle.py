"""Brute force, from the axioms: every commit order of a handful of transactions.

Biswas and Enea, On the Complexity of Checking Transactional Consistency (OOPSLA 2019), section 2. A version of a list is
what its writers appended, in the commit order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from splitbrain.checkers.histories.history import History
from tests.checkers.transactions.registers_oracle import put_null_for_the_initial
from tests.checkers.transactions.txns import Txn, read_history

SEEN = {
    "read-committed": "nothing",
    "monotonic-atomic-view": "earlier reads",
    "read-atomic": "transactions",
    "causal-cerone": "past",
    "strong-session-read-committed": "nothing",
    "strong-session-monotonic-atomic-view": "earlier reads",
    "strong-session-read-atomic": "transactions",
    "causal": "past",
    "cursor-stability": "cursor",
    "prefix": "prefix",
    "strong-session-prefix": "prefix",
}
SESSIONS = {"causal"} | {model for model in SEEN if model.startswith("strong-session-")}
Reads = list[tuple[Txn, int, str, Txn | None]]
"""Of each read that did not return its own transaction's write: reader, place, key, writer (None for the initial)."""


def models(history: History) -> set[str]:
    """The models of `SEEN` that some order of the committed transactions has."""
    txns = read_history(history)
    if any(name == "w" for txn in txns for name, _, _ in txn.mops):
        put_null_for_the_initial(txns)
    sure = [txn for txn in txns if txn.outcome == "ok"]
    maybe = [txn for txn in txns if txn.outcome == "info"]
    found: set[str] = set()
    for size in range(len(maybe) + 1):
        for some in itertools.combinations(maybe, size):
            for order in itertools.permutations([*sure, *some]):
                found |= _had_by(order)
                if len(found) == len(SEEN):
                    return found
    return found


def _had_by(order: tuple[Txn, ...]) -> set[str]:
    found = _reads(order)
    if found is None:
        return set()
    reads, own_unseen = found
    place = {txn.number: at for at, txn in enumerate(order)}
    if any(writer is not None and place[writer.number] >= place[reader.number] for reader, _, _, writer in reads):
        return set()
    in_session = all(
        one.process != two.process or one.began < two.began for one, two in itertools.combinations(order, 2)
    )
    lists = any(name == "append" for txn in order for name, _, _ in txn.mops)
    steady = not lists or all(_steady(txn) for txn in order)
    return {
        model
        for model, seen in SEEN.items()
        if (in_session or model not in SESSIONS)
        and (seen == "nothing" or (not own_unseen and _newest(order, reads, seen, model in SESSIONS)))
        and (seen in ("nothing", "earlier reads", "cursor") or steady)
    }


def _steady(txn: Txn) -> bool:
    """Whether a list that it read is, when it reads it again, the same with what it appended since."""
    held: dict[str, Any] = {}
    for name, key, value in txn.mops:
        if name == "append" and key in held:
            held[key] = (*held[key], value)
        elif name == "r" and txn.outcome == "ok" and held.setdefault(key, value or ()) != (value or ()):
            return False
    return True


def _reads(order: tuple[Txn, ...]) -> tuple[Reads, bool] | None:
    """The foreign reads, and whether one is of what its transaction had overwritten; None if a read is of no version."""
    lists: dict[str, list[tuple[Any, Txn]]] = {}
    last: dict[tuple[str, Any], Txn] = {}
    for txn in order:
        for name, key, value in txn.mops:
            if name != "r":
                lists.setdefault(key, []).append((value, txn))
                last[key, value] = txn
    found: Reads = []
    own_unseen = False
    for txn in order:
        for at, (name, key, value) in enumerate(txn.mops):
            if name != "r" or txn.outcome != "ok":
                continue
            mine = [held for other, k, held in txn.mops[:at] if other != "r" and k == key]
            if isinstance(value, tuple):
                versions = lists.get(key, [])
                if value != tuple(held for held, _ in versions[: len(value)]):
                    return None
                shown = value[-1] if value else None
            else:
                shown = value
            if shown is None:
                writer = None
            elif (key, shown) not in last:
                return None
            else:
                writer = last[key, shown]
                if writer is txn:
                    if shown not in mine:
                        return None  # It wrote that only later.
                    own_unseen |= shown != mine[-1]
                    continue
                if writer.writes(key)[-1] != shown:
                    return None
            own_unseen |= bool(mine)
            found.append((txn, at, key, writer))
    return found, own_unseen


def _newest(order: tuple[Txn, ...], reads: Reads, seen: str, sessions: bool) -> bool:
    """Whether each read returned the newest version, in that order, of those that it is held to have seen."""
    place = {txn.number: at for at, txn in enumerate(order)}
    direct = {(writer.number, reader.number) for reader, _, _, writer in reads if writer is not None}
    if sessions:
        direct |= {
            (one.number, two.number)
            for one, two in _pairs(order)
            if one.process == two.process and one.began < two.began
        }
    past = set(direct)
    for middle, one, two in itertools.product(place, repeat=3):
        if (one, middle) in past and (middle, two) in past:
            past.add((one, two))
    if seen == "cursor":
        return not any(
            (-1 if writer is None else place[writer.number]) < place[other.number] < place[reader.number]
            for reader, _, key, writer in reads
            for other in order
            if reader.writes(key) and other.writes(key)
        )
    for reader, at, key, writer in reads:
        limit = -1 if writer is None else place[writer.number]
        for other in order:
            if other is writer or other is reader or not other.writes(key) or place[other.number] < limit:
                continue
            match seen:
                case "earlier reads":
                    saw = any(r is reader and before < at and w is other for r, before, _, w in reads)
                case "transactions":
                    saw = (other.number, reader.number) in direct
                case "past":
                    saw = (other.number, reader.number) in past
                case _:
                    saw = any(place[other.number] <= place[middle] and two == reader.number for middle, two in direct)
            if saw:
                return False
    return True


def _pairs(order: tuple[Txn, ...]) -> Iterator[tuple[Txn, Txn]]:
    return itertools.permutations(order, 2)
