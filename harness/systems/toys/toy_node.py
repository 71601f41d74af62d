"""A node: the first one by name is the primary, which does everything; the others pass requests on to it.

1. The primary writes every operation to its journal, reads too, and answers once the entry is durable. After a crash it
   does all of the journal again, and so comes to the same state.
2. A client numbers its requests, and has one under way at a time. A request that is sent again is not done again: its
   answer is repeated.
3. A node that can't reach the primary does not answer. So the system may be unavailable, and is never wrong.
4. A datagram is a checksum and a JSON list: kind, client, number, operation, and its arguments or outcome. Any other
   is ignored, so one that was corrupted on its way is as good as lost.

A node touches nothing but its shell, and imports nothing but the standard library and its neighbours.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from splitbrain.harness.systems.toys.toy_objects import Objects, Refused

Address = tuple[str, int]
Entry = tuple[str, int, str, list[Any], float]
"""Of the journal: client and number of the request, or "" and 0; the operation, its arguments, and when it was done."""


class Shell(Protocol):
    """What a node runs on."""

    def now(self) -> float:
        """Monotonic seconds, which go on across restarts."""

    def send(self, datagram: bytes, to: Address) -> None: ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None: ...

    def append(self, entries: Sequence[bytes], done: Callable[[], None]) -> None:
        """Write to the journal; `done` once that is durable."""

    def journal(self) -> Iterable[bytes]:
        """The entries that are durable, in order. Asked for once, at the start."""

    def log(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks. source: who gets the answer."""

    client: str
    number: int
    op: str
    args: list[Any]
    source: Address

    def answer(self, outcome: Mapping[str, Any]) -> bytes:
        """The datagram with its outcome: `ok` with a value, or `refused` with code and message."""
        return encode("answer", self.client, self.number, self.op, outcome)


@dataclass(slots=True)
class Latest:
    """A client's latest request. outcome: None while it is being done."""

    number: int
    outcome: Mapping[str, Any] | None = None


class ToyNode:
    """A node on its shell. addresses: of all nodes by name, the primary first.

    latest: by client, at the primary. waiting: by client, the request that was passed on to the primary.
    """

    def __init__(self, shell: Shell, name: str, addresses: Mapping[str, Address]) -> None:
        self.shell = shell
        self.primary = next(iter(addresses.values()))
        self.is_primary = addresses[name] == self.primary
        self.others = [address for other, address in addresses.items() if other != name]
        self.objects = Objects()
        self.latest: dict[str, Latest] = {}
        self.waiting: dict[str, Request] = {}

    def start(self) -> None:
        """Come to the state of the journal."""
        for line in self.shell.journal():
            client, number, op, args, now = json.loads(line)
            outcome = self.outcome(op, args, now)
            if client:
                self.latest[client] = Latest(number, outcome)

    def received(self, datagram: bytes, source: Address) -> None:
        """A datagram has come."""
        message = decode(datagram)
        if message is None:
            return
        kind, client, number, op, args = message
        match kind:
            case "request" if op == "ready":
                self.shell.send(encode("answer", client, number, op, {"ok": True}), source)
            case "request":
                self.take(Request(client, number, op, args, source))
            case "forward":
                self.serve(Request(client, number, op, args, source))
            case "answer":
                self.pass_back(client, number, args)
            case _:
                self.told(kind, args)

    def take(self, request: Request) -> None:
        """A client's own request."""
        if self.is_primary:
            self.serve(request)
        else:
            self.waiting[request.client] = request
            message = encode("forward", request.client, request.number, request.op, request.args)
            self.shell.send(message, self.primary)

    def pass_back(self, client: str, number: int, outcome: Mapping[str, Any]) -> None:
        """The primary's answer to what was passed on."""
        request = self.waiting.get(client)
        if request is not None and request.number == number:
            self.shell.send(request.answer(outcome), request.source)

    def told(self, kind: str, content: Any) -> None:
        """Something that only nodes with a mistake say."""

    def serve(self, request: Request) -> None:
        """At the primary: do a request, unless it was done before."""
        latest = self.latest.get(request.client)
        if latest is None or latest.number < request.number:
            self.latest[request.client] = Latest(request.number)
            self.do(request)
        elif latest.number == request.number and latest.outcome is not None:
            self.shell.send(request.answer(latest.outcome), request.source)

    def do(self, request: Request) -> None:
        """At the primary: do a request, and answer once that is durable."""
        now = self.shell.now()
        outcome = self.outcome(request.op, request.args, now)
        entry = (request.client, request.number, request.op, request.args, now)
        self.append(entry, lambda: self.finish(request, outcome))

    def finish(self, request: Request, outcome: Mapping[str, Any]) -> None:
        """Answer."""
        # A client that gave up may have asked for something else meanwhile: that must not be forgotten, and done again.
        latest = self.latest.get(request.client)
        if latest is None or latest.number == request.number:
            self.latest[request.client] = Latest(request.number, outcome)
        self.shell.send(request.answer(outcome), request.source)

    def outcome(self, op: str, args: list[Any], now: float) -> Mapping[str, Any]:
        """Do an operation. Returns `ok` with its value, or `refused` with code and message."""
        try:
            return {"ok": self.objects.apply(op, args, now)}
        except Refused as refused:
            return {"refused": [refused.code, str(refused)]}

    def append(self, entry: Entry, done: Callable[[], None]) -> None:
        """Write to the journal."""
        self.shell.append([json.dumps(entry).encode()], done)


def encode(kind: str, client: str, number: int, op: str, content: Any) -> bytes:
    """A message as a datagram (rule 4)."""
    message = json.dumps([kind, client, number, op, content]).encode()
    return zlib.crc32(message).to_bytes(4, "big") + message


def decode(datagram: bytes) -> tuple[str, str, int, str, Any] | None:
    """The message in a datagram; None if it is none."""
    if len(datagram) <= 4 or zlib.crc32(datagram[4:]).to_bytes(4, "big") != datagram[:4]:
        return None
    kind, client, number, op, content = json.loads(datagram[4:])
    return kind, client, number, op, content
