"""Recording: clients work on a cluster in a box, and what they asked and were told becomes a history for the checkers.

1. An operation is invoked when its request is sent and completed when the answer is there: `ok`, `fail` if the refusal
   is definite, else `info`. A process whose operation nobody knows the end of does nothing more.
2. A register's put is done under the context of what its process last read or wrote of the key, and says in "seen"
   which writes that was. `rewrite` is a blind write of a value that need not be new; `erase` deletes: to registers of
   values (checker `linearizable`) that is a write of null, and a read that finds nothing is a read of null.
3. Faults and stages are recorded as the harness records its nemesis's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from splitbrain.checkers import History
from splitbrain.checkers.histories.event import Event
from splitbrain.store.config import Config
from splitbrain.store.errors import StoreError
from splitbrain.store.wire.client_messages import Failed, Get, Held, Local, Put, Stored, Values
from splitbrain.store.wire.messages import Reply
from tests.store.box import Box, Caller


class Recording:
    """One run. config: the cluster's. The rest is the box's."""

    def __init__(self, config: Config, nodes: int = 5, **box: Any) -> None:
        self.box = Box(nodes, config=config, **box)
        self._began = self.box.now
        self._events: list[Event] = []
        self._processes = 0
        self.stage("load")

    @property
    def history(self) -> History:
        return History(self._events)

    def process(self, *via: str) -> Process:
        """A client of those nodes, tried in that order."""
        process = Process(self, self._processes, via[0], self.box.client(*via))
        self._processes += 1
        return process

    def note(self, process: Any, type_: Any, f: str, key: bytes | None = None, value: Any = None, **more: Any) -> None:
        time = round((self.box.now - self._began) * 1e9)
        named = None if key is None else key.decode()
        self._events.append(Event(len(self._events), time, process, type_, f, named, value, **more))

    def key(self) -> tuple[bytes, list[str], list[str]]:
        """A key, its homes and the other nodes."""
        key = self.box.key()
        homes = list(self.box.ring.primaries(key))
        return key, homes, [name for name in self.box.names if name not in homes]

    # Faults

    def stage(self, *names: str) -> None:
        for name in names:
            self.note("nemesis", "info", "stage", value=name)

    def act(self, f: str, fault: str, phase: str, do: Callable[[], None], **value: Any) -> None:
        """The nemesis does something."""
        said = {"fault": fault, "phase": phase, **value}
        self.note("nemesis", "info", f, value=said)
        do()
        evidence = {"effective": True, "detail": "done in the box"}
        self.note("nemesis", "info", f, value={**said, "evidence": evidence})

    def kill(self, *nodes: str) -> None:
        """The power fails: what was not durable is gone."""
        self.act("kill", "kill", "start", lambda: [self.box.crash(node) for node in nodes], nodes=list(nodes))

    def restart(self, *nodes: str) -> None:
        self.act("restart", "kill", "stop", lambda: [self.box.start(node) for node in nodes], nodes=list(nodes))

    def replace_disk(self, node: str) -> None:
        """The node is killed, and comes back with an empty disk."""
        self.kill(node)
        self.act("restart", "kill", "stop", lambda: self.box.wipe(node), nodes=[node])

    def cut(self, *links: tuple[str, str]) -> None:
        """Nothing passes from the first of each link to the second."""

        def do() -> None:
            for source, target in links:
                self.box.cut(source, target, both=False)

        self.act("start-partition", "partition", "start", do, cut=[list(link) for link in links])

    def isolate(self, *group: str) -> None:
        """The group of nodes and the other nodes can't reach each other. Clients reach all."""
        links = [(one, other) for one in group for other in self.box.names if other not in group]
        self.cut(*links, *((other, one) for one, other in links))

    def heal(self) -> None:
        self.act("stop-partition", "partition", "stop", self.box.heal)

    def join(self, name: str) -> None:
        """An operator has a new node join; it has started before."""
        self.box.add(name)
        assert self.box.join(name).ok

    # The end

    def poll(self, *keys: bytes) -> None:
        """Ask every node that is up what it holds of the keys."""
        for key in keys:
            for name, host in self.box.hosts.items():
                if host.node is not None:
                    self.process(name).poll(key)

    def finish_polls(self, *keys: bytes, rest_s: float) -> History:
        """Rest, and poll every replica."""
        self.stage("recovery", "recovered")
        self.box.run_for(rest_s)
        self.stage("convergence")
        self.poll(*keys)
        return self.history

    def finish(self, *keys: bytes, rest_s: float = 5.0) -> History:
        """As every run of the harness ends: rest, poll every replica, read through every node."""
        self.finish_polls(*keys, rest_s=rest_s)
        self.stage("final-reads")
        for key in keys:
            for name in self.box.names:
                self.process(name).read(key)
        self.stage("end")
        return self.history


@dataclass
class Known:
    """What a process last learned of a key."""

    context: bytes | None = None
    writes: list[int] = field(default_factory=list)


@dataclass
class Process:
    """One client. Each operation comes in two: `begin...` returns at once, the other when it is answered."""

    recording: Recording
    number: int
    node: str
    caller: Caller
    known: dict[bytes, Known] = field(default_factory=dict)
    busy: bool = False

    def put(self, key: bytes, write: int, w: int | None = None) -> None:
        self.begin_put(key, write, w)
        self.wait()

    def begin_put(self, key: bytes, write: int, w: int | None = None) -> None:
        known = self.known.get(key, Known())
        wrote = {"write": write, "seen": known.writes}

        def done(reply: Reply) -> Any:
            assert isinstance(reply, Stored)
            self.known[key] = Known(reply.context, [write])
            return wrote

        self._begin("put", key, {"write": write}, Put(key, b"%d" % write, known.context, w), done, wrote)

    def delete(self, key: bytes, write: int) -> None:
        """Delete what this process knows of the key; `write` is the delete's own number."""
        known = self.known[key]
        wrote = {"write": write, "seen": known.writes}

        def done(reply: Reply) -> Any:
            assert isinstance(reply, Stored)
            self.known[key] = Known(reply.context, [write])
            return wrote

        self._begin("delete", key, {"write": write}, Put(key, None, known.context), done, wrote)
        self.wait()

    def read(self, key: bytes, r: int | None = None) -> list[int]:
        def done(reply: Reply) -> list[int]:
            assert isinstance(reply, Values)
            writes = sorted(int(value) for value in reply.values)
            self.known[key] = Known(reply.context, writes)
            return writes

        self._begin("read", key, None, Get(key, r), done)
        self.wait()
        return self.known[key].writes

    def poll(self, key: bytes) -> None:
        def done(reply: Reply) -> Any:
            assert isinstance(reply, Held)
            versions = reply.state.versions
            return {
                "home": reply.home,
                "versions": [f"{version.actor:x}:{version.counter}" for version in versions],
                "values": [None if version.value is None else version.value.decode() for version in versions],
                "hinted": len(reply.hints_for),
            }

        self._begin("replica", key, None, Local(key), done)
        self.wait()

    # Registers of values

    def write(self, key: bytes, value: str | None) -> None:
        """Write a value under the last context, or delete (None)."""
        known = self.known.get(key, Known())

        def done(reply: Reply) -> str | None:
            assert isinstance(reply, Stored)
            self.known[key] = Known(reply.context)
            return value

        request = Put(key, None if value is None else value.encode(), known.context)
        self._begin("write", key, value, request, done)
        self.wait()

    def look(self, key: bytes) -> None:
        """Read the one value of a register, null if there is none."""

        def done(reply: Reply) -> str | None:
            assert isinstance(reply, Values)
            self.known[key] = Known(reply.context)
            assert len(reply.values) < 2, "no story looks where siblings are to be expected"
            return reply.values[0].decode() if reply.values else None

        self._begin("read", key, None, Get(key), done)
        self.wait()

    def wait(self) -> None:
        self.recording.box.run_until(lambda: not self.busy)

    def _begin(
        self,
        f: str,
        key: bytes,
        value: Any,
        request: Get | Put | Local,
        done: Callable[[Reply], Any],
        otherwise: Any = None,
    ) -> None:
        """otherwise: the value of a completion that is not `ok`; None: the invocation's."""
        assert not self.busy, "a process has one operation open at a time"
        self.busy = True
        note, box = self.recording.note, self.recording.box
        note(self.number, "invoke", f, key, value, node=self.node)

        def answered(reply: Reply | None) -> None:
            self.busy = False
            if isinstance(reply, Stored | Values | Held):
                note(self.number, "ok", f, key, done(reply), node=self.node)
                return
            code, text = (reply.code, reply.message) if isinstance(reply, Failed) else ("timeout", "no answer")
            definite = isinstance(reply, Failed) and StoreError(code, text).kind.definite
            kind = "fail" if definite else "info"
            note(self.number, kind, f, key, otherwise or value, node=self.node, error=f"{code}: {text}")

        box.send_all(self.caller.address, self.caller.core.request(request, box.instant(), answered))
