#!/usr/bin/env python3
"""Registers that are kept by one of the services on the network, named by the argument.

    splitbrain run lin-kv --system maelstrom --bin ./maelstrom/kv_proxy.py --faults partition --time-limit 10 -- lin-kv

What a service promises, registers on it have, and no more: `seq-kv` may answer with what was replaced long ago.

    splitbrain run lin-kv --system maelstrom --bin ./maelstrom/kv_proxy.py --rate 30 --time-limit 9 -- seq-kv
"""

import sys

from node import Node

(service,) = sys.argv[1:]
node = Node()


def passed_on(request):
    answer = node.ask(service, {name: value for name, value in request.items() if name != "msg_id"})
    return {name: answer[name] for name in ("value",) if name in answer}


for kind in ("read", "write", "cas"):
    node.on(kind)(passed_on)
node.run()
