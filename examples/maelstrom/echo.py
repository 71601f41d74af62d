#!/usr/bin/env python3
"""A node that repeats what it is told: the smallest program for `--system maelstrom`.

    splitbrain run echo --system maelstrom --bin ./maelstrom/echo.py --nodes 3 --time-limit 10

It reads a line, writes a line, and needs Python alone.
"""

import json
import sys

node = ""
for line in sys.stdin:
    message = json.loads(line)
    request = message["body"]
    answer = {"type": f"{request['type']}_ok", "in_reply_to": request["msg_id"]}
    if request["type"] == "init":
        node = request["node_id"]
    elif request["type"] == "echo":
        answer["echo"] = request["echo"]
    else:
        answer = {"type": "error", "code": 10, "text": "only echo", "in_reply_to": request["msg_id"]}
    print(json.dumps({"src": node, "dest": message["src"], "body": answer}), flush=True)
