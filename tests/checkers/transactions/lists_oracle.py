"""Brute force, from the definitions: what follows from the values of lists."""

from __future__ import annotations

import itertools
from typing import Any

from tests.checkers.transactions.txns import Graph, Txn, keys_of, lost_updates


def lists(txns: list[Txn]) -> Graph:
    ok = [txn for txn in txns if txn.outcome == "ok"]
    writer = {(key, value): txn for txn in txns for name, key, value in txn.mops if name == "append"}
    reads = [(txn, key, value or ()) for txn in ok for name, key, value in txn.mops if name == "r"]
    seen = {writer[key, each].number for _, key, value in reads for each in value if (key, each) in writer}
    graph = Graph({txn.number for txn in txns if txn.outcome == "ok" or (txn.outcome == "info" and txn.number in seen)})
    counts = graph.counts

    def writes_of(key: Any) -> list[tuple[Txn, Any]]:
        return [
            (txn, value)
            for txn in txns
            if txn.number in graph.committed
            for name, k, value in txn.mops
            if name == "append" and k == key
        ]

    for key in keys_of(txns):
        of_key = [(txn, value) for txn, k, value in reads if k == key]
        longest: tuple[Any, ...] = ()
        for _, value in of_key:
            if len(value) > len(longest):
                longest = value
        for txn, value in of_key:
            counts["duplicate-elements"] += len(set(value)) < len(value)
            counts["garbage-read"] += any((key, each) not in writer for each in value)
            counts["incompatible-order"] += longest[: len(value)] != value
            counts["G1a"] += any((key, each) in writer and writer[key, each].outcome == "fail" for each in value)
            if value and (key, value[-1]) in writer:
                last = writer[key, value[-1]]
                counts["G1b"] += last is not txn and last.writes(key)[-1] != value[-1]
        order = list(dict.fromkeys(longest))
        for place, each in enumerate(order):
            if (key, each) in writer and writer[key, each].outcome == "fail":
                later = [writer[key, e] for e in order[place + 1 :] if (key, e) in writer]
                counts["dirty-update"] += any(txn.outcome == "ok" for txn in later)
        chain = [e for e in order if (key, e) in writer and writer[key, e].number in graph.committed]
        shown = {each for _, value in of_key for each in value}
        unseen = [txn.number for txn, value in writes_of(key) if value not in shown]
        place = {
            each: chain.index(each) if each in chain else len(chain) for each in chain + [v for _, v in writes_of(key)]
        }
        shown_elsewhere = shown - set(order)
        counts["cyclic-versions"] += any(
            place[later] < place[earlier]
            for txn in txns
            if txn.number in graph.committed
            for earlier, later in itertools.combinations([v for v in txn.writes(key) if v not in shown_elsewhere], 2)
        )
        for one, two in itertools.pairwise(chain):
            graph.ww.add((writer[key, one].number, writer[key, two].number))
        if chain:
            graph.ww |= {(writer[key, chain[-1]].number, each) for each in unseen}
        for txn, value in of_key:
            prefix = longest[: len(value)] == value
            if prefix:
                known = [each for each in value if each in chain]
                after = len(set(known))
            elif value[-1] in order:
                upto = order[: order.index(value[-1]) + 1]
                # In the longest as it was read, where repeated elements count.
                upto = list(dict.fromkeys(longest[: longest.index(value[-1]) + 1]))
                after = len([each for each in upto if each in chain])
            else:
                if (key, value[-1]) in writer and writer[key, value[-1]].number in graph.committed:
                    graph.wr.add((writer[key, value[-1]].number, txn.number))
                continue
            if after:
                graph.wr.add((writer[key, chain[after - 1]].number, txn.number))
            following = {writer[key, chain[after]].number} if after < len(chain) else set(unseen)
            graph.rw[txn.number, (key, after)] |= following - {txn.number}
    for txn in ok:
        counts["internal"] += _list_contradicts(txn)
        counts["future-read"] += any(
            name == "r" and any(n == "append" and k == key and v in (value or ()) for n, k, v in txn.mops[place:])
            for place, (name, key, value) in enumerate(txn.mops)
        )
    counts["lost-update"] = lost_updates(ok, lambda value: value or ())
    return graph


def _list_contradicts(txn: Txn) -> bool:
    for place, (name, key, value) in enumerate(txn.mops):
        before = [(n, v) for n, k, v in txn.mops[:place] if k == key]
        if name != "r" or not before:
            continue
        last_read = max((at for at, (n, _) in enumerate(before) if n == "r"), default=None)
        mine = tuple(v for n, v in before[(-1 if last_read is None else last_read) + 1 :])
        value = value or ()
        if last_read is not None:
            if value != (before[last_read][1] or ()) + mine:
                return True
        elif value[len(value) - len(mine) :] != mine if len(mine) <= len(value) else True:
            return True
    return False
