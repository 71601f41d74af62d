#!/usr/bin/env python3
"""Transactions on one value: all rows are kept in the service `lin-kv` under one key, and replaced by compare-and-set.

    splitbrain run txn-list-append --system maelstrom --bin ./maelstrom/transactions.py --time-limit 10
    splitbrain run txn-rw-register --system maelstrom --bin ./maelstrom/transactions.py --time-limit 10

A transaction that finds the rows replaced meanwhile is refused with code 30 and was not done. With the argument
`blind` it writes without comparing, and so undoes what others did: the mistake of losing updates.

    splitbrain run txn-list-append --system maelstrom --bin ./maelstrom/transactions.py --time-limit 10 -- blind
"""

import sys

from node import Node, Refused

BLIND = sys.argv[1:] == ["blind"]
NO_KEY, CHANGED, CONFLICT = 20, 22, 30
node = Node()


@node.on("txn")
def _(request):
    try:
        before = node.ask("lin-kv", {"type": "read", "key": "rows"})["value"]
    except Refused as refused:
        if refused.code != NO_KEY:
            raise
        before = {}
    rows, done = dict(before), []
    for kind, key, value in request["txn"]:
        row = str(key)
        if kind == "append":
            rows[row] = [*rows.get(row, []), value]
        elif kind == "w":
            rows[row] = value
        done.append([kind, key, rows.get(row) if kind == "r" else value])
    if BLIND:
        node.ask("lin-kv", {"type": "write", "key": "rows", "value": rows})
    else:
        swap(before, rows)
    return {"txn": done}


def swap(before, after):
    try:
        node.ask("lin-kv", {"type": "cas", "key": "rows", "from": before, "to": after, "create_if_not_exists": True})
    except Refused as refused:
        if refused.code == CHANGED:
            raise Refused(CONFLICT, "the rows were replaced meanwhile") from None
        raise


node.run()
