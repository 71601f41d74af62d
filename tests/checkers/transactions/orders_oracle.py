"""Brute force, from the definitions: every order of a handful of transactions.

`orders` tries every serial order; `adya` every order of each key's versions; `snapshots` every order of beginnings and
ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import networkx as nx

from splitbrain.checkers.histories.history import History
from tests.checkers.transactions.cycles_oracle import reachable
from tests.checkers.transactions.registers_oracle import put_null_for_the_initial
from tests.checkers.transactions.txns import Pair, Txn, keys_of, read_history


def _serially(order: tuple[Txn, ...]) -> bool:
    state: dict[Any, Any] = {}
    for txn in order:
        for name, key, value in txn.mops:
            if name == "append":
                state[key] = (*state.get(key, ()), value)
            elif name == "w":
                state[key] = value
            elif txn.outcome == "ok" and (state.get(key) or None) != (value or None):
                return False
    return True


def _choices(txns: list[Txn]) -> Iterator[list[Txn]]:
    sure = [txn for txn in txns if txn.outcome == "ok"]
    maybe = [txn for txn in txns if txn.outcome == "info"]
    for size in range(len(maybe) + 1):
        for some in itertools.combinations(maybe, size):
            yield sorted([*sure, *some], key=lambda txn: txn.number)


def orders(history: History) -> set[str]:
    """Of "serializable", "strong-session-serializable" and "strict-serializable", those that some order has."""
    found: set[str] = set()
    for chosen in _choices(_read(history)):
        for order in itertools.permutations(chosen):
            pairs = list(itertools.combinations(order, 2))
            strict = all(two.ended > one.began for one, two in pairs)
            session = all(one.process != two.process or two.ended > one.began for one, two in pairs)
            shown = {"serializable"}
            shown |= {"strong-session-serializable"} if session else set()
            shown |= {"strict-serializable"} if strict else set()
            if not shown <= found and _serially(order):
                found |= shown
            if len(found) == 3:
                return found
    return found


def adya(history: History) -> set[str]:
    """Of four models, those that a history of registers has with some order of each key's versions, by their phenomena."""
    txns = read_history(history)
    put_null_for_the_initial(txns)
    ok = [txn for txn in txns if txn.outcome == "ok"]
    reads = [(txn, at, key, value) for txn in ok for at, (name, key, value) in enumerate(txn.mops) if name == "r"]
    by = {(key, value): txn for txn in txns for name, key, value in txn.mops if name == "w"}
    if any(value is not None and (key, value) not in by for _, _, key, value in reads):
        return set()
    seen = {by[key, value].number for _, _, key, value in reads if value is not None}
    committed = [txn for txn in txns if txn.outcome == "ok" or (txn.outcome == "info" and txn.number in seen)]
    writers = [(txn, by[key, value], at, key, value) for txn, at, key, value in reads if value is not None]
    clean = all(
        writer.outcome != "fail" and (writer is txn or writer.writes(key)[-1] == value)
        and ("w", key, value) not in txn.mops[at:]
        for txn, writer, at, key, value in writers
    )  # fmt: skip
    steady = all(
        not (before := [v for _, k, v in txn.mops[:at] if k == key]) or before[-1] == value
        for txn, at, key, value in reads
    )
    orders_of = []
    for key in keys_of(txns):
        own = [pair for txn in committed for pair in itertools.combinations(txn.writes(key), 2)]
        every = itertools.permutations(value for txn in committed for value in txn.writes(key))
        orders_of.append([order for order in every if all(order.index(one) < order.index(two) for one, two in own)])
    found: set[str] = set()
    for choice in itertools.islice(itertools.product(*orders_of), 3000):
        ww, rw = set[Pair](), set[Pair]()
        wr = {(writer.number, txn.number) for txn, writer, *_ in writers}
        for key, order in zip(keys_of(txns), choice, strict=True):
            for one, two in itertools.pairwise(order):
                ww.add((by[key, one].number, by[key, two].number))
            for txn, _, k, value in reads:
                after = 0 if value is None else order.index(value) + 1 if value in order else len(order)
                if k == key and after < len(order):
                    rw.add((txn.number, by[key, order[after]].number))
        ww, wr, rw = ({pair for pair in edges if pair[0] != pair[1]} for edges in (ww, wr, rw))
        if not nx.is_directed_acyclic_graph(nx.DiGraph(list(ww))):
            continue
        found.add("read-uncommitted")
        reached = reachable(ww | wr, [txn.number for txn in txns])
        if not clean or any(node in those for node, those in reached.items()):
            continue
        found.add("read-committed")
        if not any(one in reached[two] for one, two in rw):
            found.add("consistent-view")
        if steady and nx.is_directed_acyclic_graph(nx.DiGraph(list(ww | wr | rw))):
            found.add("serializable")
    return found


def snapshots(history: History, level: str = "") -> bool:
    """Whether snapshots can explain it: a transaction reads what was there when it began, with its own writes, and no
    two that overlap write the same key. level: the order in time in which one must see the other."""
    return any(_some_snapshots(chosen, [], {}, {}, level) for chosen in _choices(_read(history)))


def explained(history: History, consistency: str) -> bool:
    """Whether some order of all that happened explains it, as serializability or snapshot isolation have it."""
    match consistency:
        case "snapshot-isolation":
            return snapshots(history)
        case "strong-session-snapshot-isolation":
            return snapshots(history, "-process")
        case "strong-snapshot-isolation":
            return snapshots(history, "-realtime")
        case _:
            return consistency in orders(history)


def _read(history: History) -> list[Txn]:
    txns = read_history(history)
    if any(name == "w" for txn in txns for name, _, _ in txn.mops):
        put_null_for_the_initial(txns)
    return txns


def _must_precede(one: Txn, two: Txn, level: str) -> bool:
    return one.ended < two.began and (level == "-realtime" or (level == "-process" and one.process == two.process))


def _some_snapshots(
    left: list[Txn], open_: list[Txn], began: dict[int, dict[Any, Any]], state: dict[Any, Any], level: str
) -> bool:
    if not left and not open_:
        return True
    for txn in left:
        if _fits(txn, state) and not any(_must_precede(one, txn, level) for one in (*left, *open_)):
            rest = [each for each in left if each is not txn]
            if _some_snapshots(rest, [*open_, txn], {**began, txn.number: state}, state, level):
                return True
    for txn in open_:
        written = {key for name, key, _ in txn.mops if name != "r"}
        if any(began[txn.number].get(key) != state.get(key) for key in written):
            continue
        now = dict(state)
        for name, key, value in txn.mops:
            if name == "append":
                now[key] = (*now.get(key, ()), value)
            elif name == "w":
                now[key] = value
        if _some_snapshots(left, [each for each in open_ if each is not txn], began, now, level):
            return True
    return False


def _fits(txn: Txn, snapshot: dict[Any, Any]) -> bool:
    now = dict(snapshot)
    for name, key, value in txn.mops:
        if name == "append":
            now[key] = (*now.get(key, ()), value)
        elif name == "w":
            now[key] = value
        elif txn.outcome == "ok" and (now.get(key) or None) != (value or None):
            return False
    return True
