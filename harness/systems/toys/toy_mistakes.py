"""Nodes with a mistake: each does one thing otherwise than `ToyNode`, and so breaks one promise.

1. A cluster has at most one mistake, and every node of it has the same.
2. What a class overrides is the place at which the right thing is done.

`toy_defects` has their names, and where each mistake is known from.
"""

from __future__ import annotations

import json
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from splitbrain.harness.systems.toys.toy_node import Address, Entry, Request, Shell, ToyNode, encode
from splitbrain.harness.systems.toys.toy_objects import transact

FLUSH_S = 0.5
LATER_S = 0.02
"""How far apart the parts of a torn operation are, and for how long a snapshot is used."""
LAG_S = 0.05
BEHIND_MOST = 3


class StaleReads(ToyNode):
    """Answers reads with what it saw last. seen: a register's value by key."""

    def __init__(self, shell: Shell, name: str, addresses: Mapping[str, Address]) -> None:
        super().__init__(shell, name, addresses)
        self.seen: dict[str, Any] = {}

    def take(self, request: Request) -> None:
        if request.op == "read" and request.args[0] in self.seen:
            self.shell.send(request.answer({"ok": self.seen[request.args[0]]}), request.source)
        else:
            super().take(request)

    def pass_back(self, client: str, number: int, outcome: Mapping[str, Any]) -> None:
        request = self.waiting.get(client)
        if request is not None and request.number == number and "ok" in outcome:
            match request.op, request.args:
                case "read", [key]:
                    self.seen[key] = outcome["ok"]
                case "write", [key, value]:
                    self.seen[key] = value
        super().pass_back(client, number, outcome)


class PeriodicFlush(ToyNode):
    """Acknowledges at once, and syncs now and then. unsynced: entries that a crash will take back."""

    def __init__(self, shell: Shell, name: str, addresses: Mapping[str, Address]) -> None:
        super().__init__(shell, name, addresses)
        self.unsynced: list[bytes] = []

    def start(self) -> None:
        super().start()
        self.shell.call_later(FLUSH_S, self.flush)

    def append(self, entry: Entry, done: Callable[[], None]) -> None:
        self.unsynced.append(json.dumps(entry).encode())
        done()

    def flush(self) -> None:
        """Sync."""
        if self.unsynced:
            self.shell.append(self.unsynced, lambda: None)
            self.unsynced = []
        self.shell.call_later(FLUSH_S, self.flush)


class RetryRunsTwice(ToyNode):
    """Does not recognize a request that comes again."""

    def serve(self, request: Request) -> None:
        self.do(request)


class PartByPart(ToyNode):
    """Does an operation in parts, with others in between."""

    def parts(self, request: Request) -> Sequence[tuple[str, list[Any]]]:
        """The operations that a request is done as, in order."""
        return [(request.op, request.args)]

    def do(self, request: Request) -> None:
        parts = self.parts(request)
        if len(parts) > 1:
            self.do_parts(request, parts, [])
        else:
            super().do(request)

    def do_parts(self, request: Request, parts: Sequence[tuple[str, list[Any]]], done: list[Any]) -> None:
        """Do the first part now, and the rest later. done: what the parts before have answered."""
        (op, args), *rest = parts
        now = self.shell.now()
        outcome = self.outcome(op, args, now)
        done = [*done, *(outcome.get("ok") or [])]
        entry: Entry = ("", 0, op, args, now)
        if "refused" in outcome:
            self.append(entry, lambda: self.finish(request, outcome))
        elif not rest:
            self.append(entry, lambda: self.finish(request, {"ok": done or None}))
        else:
            self.append(entry, lambda: None)
            self.shell.call_later(LATER_S, lambda: self.do_parts(request, rest, done))


class FracturedTransactions(PartByPart):
    """Does each micro-operation by itself."""

    def parts(self, request: Request) -> Sequence[tuple[str, list[Any]]]:
        if request.op != "transact":
            return super().parts(request)
        return [("transact", [[each]]) for each in request.args[0]]


class TornTransfers(PartByPart):
    """Takes the money first, and gives it later."""

    def parts(self, request: Request) -> Sequence[tuple[str, list[Any]]]:
        if request.op != "transfer":
            return super().parts(request)
        source, target, amount = request.args
        return [("deposit", [source, -amount]), ("deposit", [target, amount])]


class WriteSkew(ToyNode):
    """Reads a snapshot; the first to write a row wins."""

    def do(self, request: Request) -> None:
        if request.op != "transact":
            super().do(request)
            return
        before = dict(self.objects.rows)
        after = dict(before)
        done = transact(after, request.args[0])
        written = {key: after[key] for key in _writes(request.args[0])}

        def commit() -> None:
            rows = self.objects.rows
            if any(rows.get(key) != before.get(key) for key in written):
                self.finish(request, {"refused": ["conflict", "a row was written meanwhile"]})
                return
            rows.update(written)
            entry: Entry = ("", 0, "install", [written], self.shell.now())
            self.append(entry, lambda: self.finish(request, {"ok": done}))

        self.shell.call_later(LATER_S if written else 0.0, commit)


class LocalOrder(ToyNode):
    """Shows its own clients' writes at once, and those of others later. shown: rows as its clients see them."""

    def __init__(self, shell: Shell, name: str, addresses: Mapping[str, Address]) -> None:
        super().__init__(shell, name, addresses)
        self.shown: dict[str, Any] = {}

    def take(self, request: Request) -> None:
        writes = _writes(request.args[0]) if request.op == "transact" else {}
        if request.op == "transact" and not writes:
            answer = request.answer({"ok": transact(self.shown, request.args[0])})
            self.shell.send(answer, request.source)
            return
        self.shown.update(writes)
        super().take(request)

    def do(self, request: Request) -> None:
        super().do(request)
        if request.op == "transact":
            self.shell.call_later(LAG_S, lambda: self.show(_writes(request.args[0])))

    def show(self, writes: Mapping[str, Any]) -> None:
        """Show writes to the clients of all nodes."""
        self.shown.update(writes)
        for other in self.others:
            self.shell.send(encode("shown", "", 0, "", writes), other)

    def told(self, kind: str, content: Any) -> None:
        if kind == "shown":
            self.shown.update(content)


class LaggingShard(ToyNode):
    """Reads half of the rows as of a moment ago. replaced: when which row had which value until then."""

    def __init__(self, shell: Shell, name: str, addresses: Mapping[str, Address]) -> None:
        super().__init__(shell, name, addresses)
        self.replaced: deque[tuple[float, str, Any]] = deque()

    def outcome(self, op: str, args: list[Any], now: float) -> Mapping[str, Any]:
        if op != "transact":
            return super().outcome(op, args, now)
        writes = _writes(args[0])
        if not writes:
            return {"ok": transact(self.lagging(now), args[0])}
        self.replaced.extend((now, key, self.objects.rows.get(key)) for key in writes)
        return super().outcome(op, args, now)

    def lagging(self, now: float) -> dict[str, Any]:
        """The rows as they are, but for those of one shard."""
        while self.replaced and self.replaced[0][0] <= now - LAG_S:
            self.replaced.popleft()
        rows = dict(self.objects.rows)
        for _, key, value in reversed(self.replaced):
            if zlib.crc32(key.encode()) % 2:
                rows[key] = value
        return rows


class SkipsRecords(ToyNode):
    """Gives a consumer that is far behind the newest records only."""

    def outcome(self, op: str, args: list[Any], now: float) -> Mapping[str, Any]:
        if op == "poll":
            ends = {key: len(self.objects.logs.get(key, [])) for key in args[0]}
            args = [{key: max(first, ends[key] - BEHIND_MOST) for key, first in args[0].items()}]
        return super().outcome(op, args, now)


class ForgetsDequeues(ToyNode):
    """Does not keep dequeues."""

    def append(self, entry: Entry, done: Callable[[], None]) -> None:
        if entry[2] == "dequeue":
            done()
        else:
            super().append(entry, done)


class ForgetsIds(ToyNode):
    """Counts ids from its start."""

    def start(self) -> None:
        super().start()
        self.objects.ids = 0


class ForgetsLocks(ToyNode):
    """Knows no lock that was given before its start."""

    def start(self) -> None:
        super().start()
        self.objects.held.clear()


class TokensStartOver(ToyNode):
    """Counts fencing tokens from its start."""

    def start(self) -> None:
        super().start()
        self.objects.tokens.clear()


class EarlyExpiry(ToyNode):
    """Ends leases at half of their time."""

    def outcome(self, op: str, args: list[Any], now: float) -> Mapping[str, Any]:
        return super().outcome(op, [args[0], args[1] / 2] if op == "acquire" else args, now)


class GossipOnce(ToyNode):
    """Keeps messages itself, and tells every other node once."""

    def take(self, request: Request) -> None:
        match request.op:
            case "messages":
                self.shell.send(request.answer(self.outcome("messages", request.args, 0.0)), request.source)
            case "broadcast":
                (message,) = request.args
                if message not in self.objects.heard:
                    for other in self.others:
                        self.shell.send(encode("gossip", "", 0, "", message), other)
                self.keep(message, lambda: self.shell.send(request.answer({"ok": None}), request.source))
            case _:
                super().take(request)

    def told(self, kind: str, content: Any) -> None:
        if kind == "gossip":
            self.keep(content, lambda: None)

    def keep(self, message: int, done: Callable[[], None]) -> None:
        """Make a message durable here."""
        self.objects.hear(message)
        self.append(("", 0, "broadcast", [message], 0.0), done)


class SwappedAnswers(ToyNode):
    """Gives an answer to whoever waits longest. line: those that wait."""

    def __init__(self, shell: Shell, name: str, addresses: Mapping[str, Address]) -> None:
        super().__init__(shell, name, addresses)
        self.line: deque[Request] = deque()

    def take(self, request: Request) -> None:
        if not self.is_primary:
            self.line.append(request)
        super().take(request)

    def pass_back(self, client: str, number: int, outcome: Mapping[str, Any]) -> None:
        if self.line:
            request = self.line.popleft()
            self.shell.send(request.answer(outcome), request.source)


def _writes(micro_operations: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The last value written to each row."""
    return {key: value for kind, key, value in micro_operations if kind != "r"}
