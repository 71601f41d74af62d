#!/usr/bin/env python3
"""Broadcast by gossip: a node tells its neighbours what they have not said they know, until they say so.

    splitbrain run broadcast --system maelstrom --bin ./maelstrom/broadcast.py --faults partition --time-limit 9

With the argument `once` it makes the usual mistake: it tells each neighbour once, and never asks whether it heard.

    splitbrain run broadcast --system maelstrom --bin ./maelstrom/broadcast.py --faults partition --time-limit 9 -- once
"""

import sys

from node import Node

ONCE = sys.argv[1:] == ["once"]
node = Node()
known = set()
told = {}  # By neighbour: what it is known to know, or was told at least.


@node.on("topology")
def _(request):
    for neighbour in request["topology"][node.name]:
        told[neighbour] = set()


@node.on("broadcast")
def _(request):
    known.add(request["message"])


@node.on("read")
def _(request):
    return {"messages": list(known)}


@node.on("gossip")
def _(request):
    known.update(request["messages"])
    told[request["from"]].update(request["messages"])
    node.send(request["from"], {"type": "heard", "from": node.name, "messages": request["messages"]})


@node.on("heard")
def _(request):
    told[request["from"]].update(request["messages"])


@node.every(0.1)
def _():
    for neighbour, knows in list(told.items()):
        if missing := known - knows:
            node.send(neighbour, {"type": "gossip", "from": node.name, "messages": list(missing)})
            if ONCE:
                knows.update(missing)


node.run()
