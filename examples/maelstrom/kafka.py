#!/usr/bin/env python3
"""Logs whose records are kept in the service `lin-kv`, one key each; positions are kept there too.

    splitbrain run kafka --system maelstrom --bin ./maelstrom/kafka.py --faults partition --time-limit 10

A record has its place once compare-and-set has put it there, so no two records have the same one.
"""

from node import Node, Refused

NO_KEY, CHANGED = 20, 22
node = Node()


def kept(key, otherwise):
    try:
        return node.ask("lin-kv", {"type": "read", "key": key})["value"]
    except Refused as refused:
        if refused.code != NO_KEY:
            raise
        return otherwise


def replaced(key, otherwise, change):
    """Change what is kept, until nobody else does so in between. Returns what it was."""
    while True:
        before = kept(key, otherwise)
        swap = {"type": "cas", "key": key, "from": before, "to": change(before), "create_if_not_exists": True}
        try:
            node.ask("lin-kv", swap)
            return before
        except Refused as refused:
            if refused.code != CHANGED:
                raise


@node.on("send")
def _(request):
    return {"offset": len(replaced(f"log {request['key']}", [], lambda records: [*records, request["msg"]]))}


@node.on("poll")
def _(request):
    found = {}
    for key, first in request["offsets"].items():
        records = kept(f"log {key}", [])
        found[key] = [[offset, records[offset]] for offset in range(first, len(records))]
    return {"msgs": found}


@node.on("commit_offsets")
def _(request):
    for key, offset in request["offsets"].items():
        replaced(f"position {key}", -1, lambda before, offset=offset: max(before, offset))


@node.on("list_committed_offsets")
def _(request):
    positions = {key: kept(f"position {key}", -1) for key in request["keys"]}
    return {"offsets": {key: position for key, position in positions.items() if position >= 0}}


node.run()
