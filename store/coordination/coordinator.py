"""Client requests: each get and put is a state machine on the node that coordinates it.

1. A put makes its version on the coordinator, durably, before any other node hears of it. It is done once W of its N
   replicas hold it durably, each itself or through its stand-in (`quorum_count`). It goes on
   until every home holds it or
   somebody keeps a hint for it.
2. A get asks all N, and is done once R have answered, counted alike. What they know is merged, and handed out with
   one context.
3. A stand-in that holds nothing counts toward R only once no home may still answer: else an empty node's quick
   "not found" would win over the homes that have the key.
4. A request that misses its quorum fails as `quorum_failed`: what was stored stays stored and will spread.
5. A coordinator that has a version by the same request id makes no second one, and spends the dot it was given.

Dynamo (SOSP 2007), sections 4.5 and 5.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from splitbrain.store.config import VALUE_BYTES_MAX
from splitbrain.store.coordination.fanout import Fanout
from splitbrain.store.coordination.quorum import Quorum
from splitbrain.store.coordination.quorum_count import Tally
from splitbrain.store.defects import CONTEXT_OF_ONE_SIBLING, FALLBACK_NOT_FOUND
from splitbrain.store.parts import Core
from splitbrain.store.repair.hinted_handoff import Handoff
from splitbrain.store.repair.read_repair import ReadRepair
from splitbrain.store.scheduling.timers import Timer
from splitbrain.store.storage.replica import ABSENT, DATA, Entry
from splitbrain.store.versions.context import Context, issue
from splitbrain.store.versions.dotted import (
    COUNTER_MAX,
    EMPTY,
    NOTHING,
    Dot,
    VersionSet,
    add,
    live,
    newest_stamp,
    next_dot,
)
from splitbrain.store.wire.client_messages import Failed, Stored, Values
from splitbrain.store.wire.messages import Reply
from splitbrain.store.wire.peer_messages import Read, State, Write, Written

STATE_BYTES_MAX = 16 * VALUE_BYTES_MAX
"""All siblings of a key together: half of what reassembly takes."""
VERSION_BYTES = 128
"""What a version costs beside its value, at most: a million empty siblings are no small state."""

STRAGGLERS_S = 0.25
"""How long a get waits, after its answer, for the homes that have not answered yet, before it repairs."""

Finish = Callable[[Reply], None]


class PutRequest:
    """Coordinates one put (or delete: value None). dot: from the node that forwarded it; None if this one took it."""

    def __init__(
        self,
        core: Core,
        handoff: Handoff,
        key: bytes,
        value: bytes | None,
        context: Context,
        quorum: Quorum,
        request_id: int,
        dot: Dot | None,
        finish: Finish,
    ) -> None:
        self._core = core
        self._handoff = handoff
        self._key = key
        self._value = value
        self._quorum = quorum
        self._request_id = request_id
        self._dot = dot
        self._finish = finish
        self._deadline = core.now + core.config.request_timeout_s
        self._tally = Tally(quorum.sloppy)
        self._durable = Tally(quorum.sloppy)
        self._provided: set[str] = set()
        self._spread = False
        self._answered = False
        self._state = EMPTY
        self._context = context
        self._covered = context.seen
        self._version = -1
        self._fanout = Fanout(
            core, key, self._deadline, quorum.sloppy, self._write_message, self._written, self._check
        )

    def start(self) -> None:
        """Make the version and store it here."""
        core = self._core
        if core.name in self._fanout.primaries or core.ownership.writable(self._key):
            owner, entry = None, core.replica.newest(DATA, self._key)
        else:
            owner = _stands_in_for(core, self._fanout.primaries)
            entry = Entry(0, self._handoff.newest(owner, self._key))
        actor = self._make_version(entry)
        if sum(VERSION_BYTES + len(v.value or b"") for v in self._state.versions) > STATE_BYTES_MAX:
            self._answer(Failed("too_large", f"the siblings of this key exceed {STATE_BYTES_MAX} bytes; merge them"))
            return
        self._timer = core.timers.at(self._deadline, self._time_up)
        entry = Entry(actor, self._state)
        if owner is None and not self._quorum.durable and core.buffer.put(self._key, entry):
            self._spread = True  # A crash forgets the write: then there is nothing left to spread.
            self._held_here(durable=False)
            return
        note = self._handoff.spreading(self._key)
        if owner is None:
            core.replica.put(DATA, self._key, entry, self._held_here, beside=note)
        else:
            self._handoff.keep(owner, self._key, self._state, partial(self._hinted_here, owner), beside=note)

    def _make_version(self, entry: Entry) -> int:
        """Returns the actor to store with it."""
        core, state, dot, actor = self._core, entry.state, self._dot, entry.actor
        for version in state.versions:
            if version.request_id == self._request_id:
                # Left unused, the dot would be a gap in its actor's dots, and no later dot could be summed up.
                self._state = state if dot is None else VersionSet(add(state.seen, dot), state.versions)
                self._covered = add(self._covered, version.dot)
                return actor
        if dot is None:
            # A stand-in takes a fresh actor each time: it forgets its hints, and the dots in them, on handing off.
            actor = core.replica.actor(entry)
            dot = next_dot(state, self._covered, actor)
            if dot[1] > COUNTER_MAX:  # Some peer made up a dot of ours. What comes after it could not be read again.
                actor = core.replica.actor(ABSENT)
                dot = next_dot(state, self._covered, actor)
        self._state, self._covered = core.replica.clocks.write(
            state,
            self._covered,
            self._context.newest_ns,
            dot=dot,
            value=self._value,
            request_id=self._request_id,
            coordinator=core.name,
            wall_ns=core.present.now.wall_ns,
        )
        return actor

    def _held_here(self, durable: bool = True) -> None:
        core = self._core
        slot, self._version = core.ownership.slot(self._key), core.ownership.version
        self._count(core.name, None, slot, durable)
        is_home = core.name in self._fanout.primaries
        self._tell_others(besides=core.name if is_home else None)
        if slot is None:
            self._fanout.seek()

    def _hinted_here(self, home: str) -> None:
        self._count(self._core.name, home, None, True)
        self._tell_others(besides=home if self._core.suspects(home) else None)

    def _tell_others(self, besides: str | None) -> None:
        # After a stall of the disk past the deadline the others have been given hints (`_time_up`).
        if self._core.now < self._deadline:
            self._fanout.start(besides)
        self._check()

    def _count(self, node: str, owner: str | None, slot: int | None, durable: bool) -> None:
        """The node has the write; as a hint for the owner, if that is given and it holds no token."""
        for tally in (self._tally, self._durable) if durable else (self._tally,):
            if slot is not None:
                tally.holder(node, slot)
            elif owner is not None:
                tally.stand_in(owner)
            else:
                tally.home_without(node)
        self._provide(owner or node)

    def _provide(self, home: str) -> None:
        """The home has the write, or somebody keeps a hint for it."""
        self._provided.add(home)
        if not self._spread and self._provided.issuperset(self._fanout.primaries):
            self._spread = True
            self._handoff.spread(self._key)
            self._rest()

    def _write_message(self, owner: str | None) -> Write:
        return Write(self._key, self._state, owner, self._quorum.durable > 1)

    def _written(self, node: str, owner: str | None, reply: Reply) -> None:
        if isinstance(reply, Written):
            self._count(node, owner, reply.slot, reply.durable)
            self._check()

    def _counts(self) -> tuple[int, int, int]:
        """Replicas, primaries among them, and those that hold it durably."""
        without = self._fanout.troubled
        replicas, durable = (tally.replicas(homes_without=without) for tally in (self._tally, self._durable))
        return replicas, self._tally.primaries, durable

    def _check(self) -> None:
        if self._answered:
            return
        ownership = self._core.ownership
        if ownership.version != self._version and self._core.name in self._provided:
            self._version, slot = ownership.version, ownership.slot(self._key)
            if slot is not None:
                # It has come to this node since the write did.
                self._tally.holder(self._core.name, slot)
        replicas, primaries, durable = self._counts()
        if self._quorum.met(replicas, primaries, durable):
            self._fanout.enough()
            coordinator = self._core.name if self._core.name in self._fanout.primaries else ""
            context = issue(
                self._core.secret, self._key, Context(self._covered, newest_stamp(self._state), coordinator)
            )
            self._answer(Stored(context, self._core.membership.view, replicas, durable))
            self._rest()

    def _rest(self) -> None:
        if self._answered and self._spread:
            self._timer.cancel()

    def _time_up(self) -> None:
        missing = ", ".join(home for home in self._fanout.primaries if home not in self._provided)
        text = f"{self._quorum.missed(*self._counts())} hold it after {self._core.config.request_timeout_s:g} s"
        if missing:
            text += f" ({missing} did not answer)"
        self._answer(Failed("quorum_failed", f"{text}; get the key before you retry"))
        for home in self._fanout.primaries:
            if home in self._provided:
                continue
            if home == self._core.name:
                # It was none when it took the put.
                self._core.replica.merge(DATA, self._key, self._state, partial(self._provide, home))
            else:
                # Nobody was left to stand in: the coordinator itself keeps the hint. It counts for nothing.
                self._handoff.keep(home, self._key, self._state, partial(self._provide, home))

    def _answer(self, reply: Reply) -> None:
        if not self._answered:
            self._answered = True
            self._finish(reply)


class GetRequest:
    """Coordinates one get."""

    def __init__(self, core: Core, handoff: Handoff, key: bytes, quorum: Quorum, finish: Finish) -> None:
        self._core = core
        self._handoff = handoff
        self._key = key
        self._quorum = quorum
        self._fastest = ""
        self._finish = finish
        self._deadline = core.now + core.config.request_timeout_s
        self._states: dict[str, VersionSet | None] = {}
        self._tally = Tally(quorum.sloppy)
        self._empty_stand_ins: set[str] = set()
        self._met = False
        self._answered = False
        self._stragglers: Timer | None = None
        self._fanout = Fanout(core, key, self._deadline, quorum.sloppy, partial(Read, key), self._read, self._check)
        self._repair = ReadRepair(core, key)

    def start(self) -> None:
        """Read here, and ask the others."""
        core = self._core
        homes = self._fanout.primaries
        self._timer = core.timers.at(self._deadline, self._time_up)
        slot, self._version = core.ownership.slot(self._key), core.ownership.version
        if core.name in homes or slot is not None:
            self._count(core.name, None, slot, core.replica.visible(self._key))
            self._fanout.start(besides=core.name if core.name in homes else None)
            if slot is None:
                self._fanout.seek()
        else:
            owner = _stands_in_for(core, homes)
            self._count(core.name, owner, None, self._handoff.held(self._key))
            self._fanout.start(besides=owner if core.suspects(owner) else None)
        self._check()

    def _count(self, node: str, owner: str | None, slot: int | None, state: VersionSet | None) -> None:
        self._states[node] = state
        if not self._fastest and node in self._fanout.primaries:
            self._fastest = node
        if slot is not None:
            self._tally.holder(node, slot)
        elif owner is None:
            self._tally.home_without(node)
        elif state is not None:
            self._tally.stand_in(owner)
        else:
            self._empty_stand_ins.add(owner)

    def _read(self, node: str, owner: str | None, reply: Reply) -> None:
        if isinstance(reply, State):
            self._count(node, owner, reply.slot, reply.state)
            if self._met and not self._fanout.silent:
                self._repair_stale()
            self._check()

    def _counted(self) -> int:
        patient = bool(self._fanout.hopeful) and self._core.config.defect != FALLBACK_NOT_FOUND
        if not patient:
            for owner in self._empty_stand_ins:
                self._tally.stand_in(owner)
        without = not patient and self._fanout.troubled
        return self._tally.replicas(homes_without=without)

    def _check(self) -> None:
        if self._met or self._answered:
            return
        ownership = self._core.ownership
        if ownership.version != self._version and self._core.name in self._states:
            self._version, slot = ownership.version, ownership.slot(self._key)
            if slot is not None:
                # It has come to this node since it was asked, and with it what the others had acknowledged.
                self._count(self._core.name, None, slot, self._core.replica.visible(self._key))
        if not self._quorum.met(self._counted(), self._tally.primaries):
            return
        self._met = True
        self._fanout.enough()
        state = self._core.replica.combine(self._states.values())
        if self._core.config.read_repair == "blocking":
            self._repair.push(
                self._fanout.primaries, dict(self._states), lambda holders: self._answer_once_held(state, holders)
            )
        else:
            self._answer(state)
            self._stragglers = self._core.after(STRAGGLERS_S if self._fanout.silent else 0.0, self._repair_stale)

    def _repair_stale(self) -> None:
        if self._stragglers is not None:
            self._stragglers.cancel()
        if self._core.config.read_repair != "off":
            self._repair.push(self._fanout.primaries, self._states, lambda holders: None)

    def _answer_once_held(self, state: VersionSet, holders: set[str]) -> None:
        if len(holders) >= self._quorum.replicas:
            self._answer(state)

    def _answer(self, state: VersionSet) -> None:
        if self._answered:
            return
        self._answered = True
        self._timer.cancel()
        context = Context(state.seen, newest_stamp(state), self._fastest)
        if self._core.config.defect == CONTEXT_OF_ONE_SIBLING and len(state.versions) > 1:
            context = Context(add(NOTHING, state.versions[0].dot), newest_stamp(state))
        found = live(state)
        values, stamps = [v.value or b"" for v in found], [v.stamp for v in found]
        sealed = issue(self._core.secret, self._key, context)
        self._finish(Values(values, sealed, self._core.membership.view, stamps))

    def _time_up(self) -> None:
        if self._answered:
            return
        self._answered = True
        silent = ", ".join(home for home in self._fanout.primaries if home not in self._states) or "stale replicas"
        missed = self._quorum.missed(self._counted(), self._tally.primaries)
        text = f"{missed} answered within {self._core.config.request_timeout_s:g} s"
        self._finish(Failed("quorum_failed", f"{text} (not {silent}); retry, or lower R"))


def _stands_in_for(core: Core, homes: tuple[str, ...]) -> str:
    """The home whose place this node takes, as it is none itself."""
    return next((home for home in homes if core.suspects(home)), homes[0])
