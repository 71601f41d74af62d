"""The server: the shell that gives a node its socket, its clock and its disk.

1. One loop thread runs the node. One writer thread commits: all that queued while it was syncing goes into the next
   commit together (group commit), in order. Only then does the node hear that it is durable. An engine that waits for
   no disk commits at once.
2. A commit for which there is no room is refused, and all that was asked for before the node hears of it (`actions`).
   If a commit fails for any other reason the server stops: a node that can't store must not answer as if it could.
3. If the node raises an exception the server stops as well: the node's state may be inconsistent. What was acknowledged
   is on the disk, and a restart begins from there.
4. A damaged record is named in the log once, and counted.
"""

from __future__ import annotations

import asyncio
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import assert_never

from splitbrain.store.actions import Action, Address, Halt, Instant, Note, Persist, Record, Send
from splitbrain.store.config import Config, Member
from splitbrain.store.membership.history import Standing
from splitbrain.store.node import Node
from splitbrain.store.scheduling.alarm import Alarm
from splitbrain.store.storage.engine import DamagedRecord, Engine, NoRoom
from splitbrain.store.storage.replica import DATA, KEY_POSITION_BYTES
from splitbrain.store.wire.udp import UdpSocket

COMMIT_MAX = 1000
"""The most `Persist` actions in one commit: it bounds how long the first of them waits."""
DAMAGE_NOTED_MAX = 1000


def present() -> Instant:
    """This machine's clocks."""
    return Instant(time.monotonic(), time.time_ns())


class Halted(Exception):
    """The node found that it must not run: names the cause and the remedy."""


class Server:
    """Runs one node until stopped.

    name, members, config, secret, cluster, seeds, fresh: the node's. listen: where to bind. engine: closed by whoever
    made it. note: writes a line to the log.
    Raises what `node.Node` raises, and EngineError if the records can't be read.
    """

    def __init__(
        self,
        name: str,
        members: Iterable[Member],
        config: Config,
        *,
        secret: bytes,
        cluster: str,
        engine: Engine,
        listen: Address,
        note: Callable[[str], None],
        seeds: Iterable[Address] = (),
        fresh: bool = False,
    ) -> None:
        self._note = note
        self._damaged: set[tuple[str, bytes]] = set()
        engine.on_damage = self._note_damage
        self._node = Node(
            name,
            members,
            config,
            secret=secret,
            cluster=cluster,
            reader=engine,
            bits=secrets.randbits,
            seeds=seeds,
            fresh=fresh,
        )
        self._engine = engine
        self._listen = listen
        self._persists: queue.SimpleQueue[tuple[int, Persist] | None] = queue.SimpleQueue()
        self._refusals = 0
        """How often the node heard that there is no room; each `Persist` goes with the number at that time."""
        self._alarm = Alarm(self._wake, time.monotonic, asyncio.get_running_loop)
        self._serving = False
        self._failed: asyncio.Future[None]

    async def serve(self, started: asyncio.Event | None = None) -> None:
        """Run until cancelled. Raises OSError if the address is taken, EngineError if the disk can't be used.

        Raises Halted if the node must not run.
        """
        loop = asyncio.get_running_loop()
        failed = self._failed = loop.create_future()
        self._socket = UdpSocket(self._listen, self._received)
        self._node.buffer(self._socket.buffer_datagrams)
        self._node.environment = lambda: {
            "kernel_drops": self._socket.kernel_drops(),
            "damaged_records": len(self._damaged),
        }
        writer = threading.Thread(target=self._write, args=(loop, failed), name="writer")
        writer.start()
        self._serving = True
        try:
            self._do(self._node.start(present()))
            if started is not None:
                started.set()
            await failed
        finally:
            self._serving = False
            self._socket.close()
            self._alarm.cancel()
            self._persists.put(None)
            writer.join()

    @property
    def standing(self) -> Standing | None:
        """The node's standing in the cluster (`node.Node.standing`)."""
        return self._node.standing

    def _received(self, datagram: bytes, source: Address) -> None:
        self._enter(self._node.receive, datagram, source)

    def _wake(self) -> None:
        self._enter(self._node.wake)

    def _persisted(self, tickets: list[int]) -> None:
        for ticket in tickets:
            self._enter(self._node.persisted, ticket)

    def _persist_refused(self, tickets: list[int], refusals: int) -> None:
        self._refusals = refusals
        for ticket in tickets:
            self._enter(self._node.persist_refused, ticket)

    def _enter(self, step: Callable[..., list[Action]], *arguments: object) -> None:
        if not self._serving:
            return
        try:
            self._do(step(*arguments, present()))
        except Exception as problem:
            self._serving = False
            _fail(self._failed, problem)

    def _note_damage(self, damage: DamagedRecord) -> None:
        met = (damage.space, damage.key)
        if met in self._damaged or len(self._damaged) == DAMAGE_NOTED_MAX:
            return
        self._damaged.add(met)
        key, source = damage.key, "the node makes it anew, with what the others tell"
        if damage.space == DATA:
            key, source = key[KEY_POSITION_BYTES:], "its replicas bring it back"
        self._note(
            f"the record of {key!r} in {damage.space!r} is damaged (its checksum does not match): it counts as not"
            f" there, and {source}; if there are more, replace the disk"
        )

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Send():
                    self._socket.send(action.datagram, action.to)
                case Persist():
                    if self._engine.waits:
                        self._persists.put((self._refusals, action))
                    else:
                        asyncio.get_running_loop().call_soon(self._commit, action)
                case Note():
                    self._note(action.text)
                case Halt():
                    self._serving = False
                    _fail(self._failed, Halted(action.text))
                case _:
                    assert_never(action)
        self._alarm.set(self._node.next_wake)

    def _commit(self, persist: Persist) -> None:
        try:
            self._engine.commit(persist.records)
        except Exception as problem:
            _fail(self._failed, problem)
        else:
            self._persisted([persist.ticket])

    def _write(self, loop: asyncio.AbstractEventLoop, failed: asyncio.Future[None]) -> None:
        refusals = 0
        while (batch := self._batch()) is not None:
            # Those asked for before the node heard of the last refusal must not overtake what was refused.
            late = [persist.ticket for known, persist in batch if known < refusals]
            if late:
                loop.call_soon_threadsafe(self._persist_refused, late, refusals)
            due = [persist for known, persist in batch if known == refusals]
            tickets = [persist.ticket for persist in due]
            records: list[Record] = []
            for persist in due:
                records += persist.records
            try:
                if due:
                    self._engine.commit(records)
            except NoRoom:
                refusals += 1
                loop.call_soon_threadsafe(self._persist_refused, tickets, refusals)
            except Exception as problem:  # Any exception: without this thread nothing would be stored any more.
                loop.call_soon_threadsafe(_fail, failed, problem)
                return
            else:
                loop.call_soon_threadsafe(self._persisted, tickets)

    def _batch(self) -> list[tuple[int, Persist]] | None:
        first = self._persists.get()
        if first is None:
            return None
        batch = [first]
        while len(batch) < COMMIT_MAX and not self._persists.empty():
            following = self._persists.get()
            if following is None:
                self._persists.put(None)
                break
            batch.append(following)
        return batch


def _fail(failed: asyncio.Future[None], problem: Exception) -> None:
    if not failed.done():
        failed.set_exception(problem)
