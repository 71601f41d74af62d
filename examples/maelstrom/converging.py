#!/usr/bin/env python3
"""A set and a counter without coordination (CRDTs): each node gossips all it has, and merges what it hears.

    splitbrain run g-set --system maelstrom --bin ./maelstrom/converging.py --faults partition --time-limit 9 -- set
    splitbrain run pn-counter --system maelstrom --bin ./maelstrom/converging.py --time-limit 9 -- counter
    splitbrain run g-counter --system maelstrom --bin ./maelstrom/converging.py --time-limit 9 -- counter

A counter is one sum for each node, in two halves: what was added there and what was taken away. Both only grow.
"""

import sys
import threading

from node import Node

node = Node()
lock = threading.Lock()
elements = set()
sums = {}  # By node: what was added through it, and what was taken away.


def add_element(request):
    elements.add(request["element"])


def add_amount(request):
    with lock:
        added, taken = sums.get(node.name, (0, 0))
        amount = request["delta"]
        sums[node.name] = (added + max(amount, 0), taken + max(-amount, 0))


if sys.argv[1:] == ["set"]:
    node.on("add")(add_element)
    node.on("read")(lambda request: {"value": list(elements)})
else:
    node.on("add")(add_amount)
    node.on("read")(lambda request: {"value": sum(added - taken for added, taken in list(sums.values()))})


@node.every(0.2)
def _():
    for other in node.others():
        node.send(other, {"type": "merge", "elements": list(elements), "sums": dict(sums)})


@node.on("merge")
def _(request):
    elements.update(request["elements"])
    with lock:
        for name, (added, taken) in request["sums"].items():
            mine = sums.get(name, (0, 0))
            sums[name] = (max(mine[0], added), max(mine[1], taken))


node.run()
