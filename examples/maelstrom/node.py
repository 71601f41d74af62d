"""What the nodes of this folder share: reading requests, answering them, asking others. It needs Python alone.

    splitbrain run broadcast --system maelstrom --bin ./maelstrom/broadcast.py --nodes 5 --time-limit 10

Each request has a thread of its own, so a handler may wait for other nodes' answers.
"""

import json
import sys
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer


class Refused(Exception):
    """A request was refused, or is to be. code: as Maelstrom's protocol has it."""

    def __init__(self, code, text=""):
        super().__init__(text)
        self.code = code


class Node:
    """One node. handlers: by type of request, a function of its body that returns the answer's fields."""

    def __init__(self):
        self.name = ""
        self.nodes = []
        self.handlers = {"init": self._init}
        self._started = []
        self._lock = threading.Lock()
        self._asked = 0
        self._awaited = {}

    def on(self, kind):
        """Decorates the handler of one type of request."""

        def keep(handler):
            self.handlers[kind] = handler
            return handler

        return keep

    def every(self, seconds):
        """Decorates what is to be done again and again, from the moment the node knows who it is."""

        def keep(action):
            def repeat():
                while True:
                    time.sleep(seconds)
                    action()

            self._started.append(repeat)
            return action

        return keep

    def others(self):
        return [node for node in self.nodes if node != self.name]

    def send(self, dest, body):
        line = json.dumps({"src": self.name, "dest": dest, "body": body})
        with self._lock:
            print(line, flush=True)

    def ask(self, dest, body, patience_s=1.0):
        """Returns the answer's body. Raises Refused, with code 0 if there is none in time."""
        with self._lock:
            self._asked += 1
            number = self._asked
        answer = self._awaited[number] = Future()
        self.send(dest, {**body, "msg_id": number})
        try:
            said = answer.result(patience_s)
        except NoAnswer:
            raise Refused(0, f"no answer from {dest}") from None
        finally:
            del self._awaited[number]
        if said["type"] == "error":
            raise Refused(said["code"], said.get("text", ""))
        return said

    def run(self):
        """Serve until standard input ends."""
        for line in sys.stdin:
            message = json.loads(line)
            awaited = self._awaited.get(message["body"].get("in_reply_to"))
            if awaited is not None:
                awaited.set_result(message["body"])
            elif message["body"]["type"] in self.handlers:
                threading.Thread(target=self._serve, args=(message,), daemon=True).start()

    def _serve(self, message):
        body = message["body"]
        try:
            answer = {"type": f"{body['type']}_ok", **(self.handlers[body["type"]](body) or {})}
        except Refused as refused:
            answer = {"type": "error", "code": refused.code, "text": str(refused)}
        if "msg_id" in body:
            self.send(message["src"], {**answer, "in_reply_to": body["msg_id"]})

    def _init(self, body):
        self.name, self.nodes = body["node_id"], body["node_ids"]
        for action in self._started:
            threading.Thread(target=action, daemon=True).start()
