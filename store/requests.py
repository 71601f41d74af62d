"""Client requests: each get and put is a state machine on the node that coordinates it.

1. A put makes its version on the coordinator, durably, before any other node hears of it. It is done once W of its N
   homes hold it durably, each itself or through its stand-in: a home and its own stand-in count once, or W and R
   would not overlap. It goes on until every home holds it or somebody keeps a hint for it.
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

from store.config import VALUE_BYTES_MAX
from store.context import Context, issue
from store.core import Core
from store.fanout import Fanout
from store.handoff import Handoff
from store.messages import Failed, Read, Reply, State, Stored, Values, Write, Written
from store.repair import ReadRepair
from store.replica import ABSENT, DATA, Entry
from store.versions import COUNTER_MAX, EMPTY, Dot, VersionSet, add, next_dot, siblings, write

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
        w: int,
        request_id: int,
        dot: Dot | None,
        finish: Finish,
    ) -> None:
        self._core = core
        self._handoff = handoff
        self._key = key
        self._value = value
        self._w = w
        self._request_id = request_id
        self._dot = dot
        self._finish = finish
        self._deadline = core.now + core.config.request_timeout_s
        self._homes = core.ring.homes(key)
        self._holders: set[str] = set()
        self._provided: set[str] = set()
        self._answered = False
        self._state = EMPTY
        self._context = context
        self._covered = context.seen
        self._fanout = Fanout(core, key, self._deadline, self._write_message, self._written)

    def start(self) -> None:
        """Make the version and store it here."""
        core = self._core
        if core.name in self._homes:
            owner, entry = None, core.replica.newest(DATA, self._key)
        else:
            owner = _stands_in_for(core, self._homes)
            entry = Entry(0, self._handoff.newest(owner, self._key))
        actor = self._make_version(entry)
        if sum(VERSION_BYTES + len(v.value or b"") for v in self._state.versions) > STATE_BYTES_MAX:
            self._answer(Failed("too_large", f"the siblings of this key exceed {STATE_BYTES_MAX} bytes; merge them"))
            return
        core.timers.at(self._deadline, self._time_up)
        note = self._handoff.spreading(self._key)
        if owner is None:
            entry = Entry(actor, self._state)
            core.replica.put(DATA, self._key, entry, lambda: self._held_here(core.name), beside=note)
        else:
            self._handoff.keep(owner, self._key, self._state, lambda: self._held_here(owner), beside=note)

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
            # Only a home makes dots of its own: a stand-in forgets its hints, and the dots in them, on handing off.
            actor = core.replica.actor(entry)
            dot = next_dot(state, self._covered, actor)
            if dot[1] > COUNTER_MAX:  # Some peer made up a dot of ours. What comes after it could not be read again.
                actor = core.replica.actor(ABSENT)
                dot = next_dot(state, self._covered, actor)
        changed, self._covered = write(
            state,
            self._covered,
            dot=dot,
            value=self._value,
            request_id=self._request_id,
            coordinator=core.name,
            wall_ns=max(core.present.now.wall_ns, self._context.newest_ns + 1),
        )
        self._state = core.replica.reconcile(changed)
        return actor

    def _held_here(self, home: str) -> None:
        self._holders.add(self._core.name)
        self._provide(home)
        # After a stall of the disk past the deadline the others have been given hints (`_time_up`).
        if self._core.now < self._deadline:
            self._fanout.start(besides=home)
        self._check()

    def _provide(self, home: str) -> None:
        """The home has the write, or somebody keeps a hint for it."""
        before = len(self._provided)
        self._provided.add(home)
        if before < len(self._provided) == len(self._homes):
            self._handoff.spread(self._key)

    def _write_message(self, owner: str | None) -> Write:
        return Write(self._key, self._state, owner)

    def _written(self, node: str, owner: str | None, reply: Reply) -> None:
        if isinstance(reply, Written):
            self._holders.add(node)
            self._provide(owner or node)
            self._check()

    def _check(self) -> None:
        primaries = sum(home in self._holders for home in self._homes)
        if len(self._provided) >= self._w and primaries >= self._core.config.pw:
            context = Context(self._covered, _newest_ns(self._state))
            self._answer(Stored(issue(self._core.secret, self._key, context)))

    def _time_up(self) -> None:
        missing = ", ".join(home for home in self._homes if home not in self._holders)
        text = f"{len(self._provided)} of {self._w} nodes hold it after {self._core.config.request_timeout_s:g} s"
        self._answer(Failed("quorum_failed", f"{text} ({missing} did not answer); get the key before you retry"))
        for home in self._homes:
            if home not in self._provided and home != self._core.name:
                # Nobody was left to stand in: the coordinator itself keeps the hint. It counts for nothing.
                self._handoff.keep(home, self._key, self._state, partial(self._provide, home))

    def _answer(self, reply: Reply) -> None:
        if not self._answered:
            self._answered = True
            self._finish(reply)


class GetRequest:
    """Coordinates one get."""

    def __init__(self, core: Core, handoff: Handoff, key: bytes, r: int, finish: Finish) -> None:
        self._core = core
        self._handoff = handoff
        self._key = key
        self._r = r
        self._finish = finish
        self._deadline = core.now + core.config.request_timeout_s
        self._homes = core.ring.homes(key)
        self._states: dict[str, VersionSet | None] = {}
        self._slots: dict[str, str] = {}
        """By node that answered: itself, or the home it stands in for."""
        self._quorum = False
        self._answered = False
        self._fanout = Fanout(core, key, self._deadline, lambda owner: Read(key), self._read, self._check)
        self._repair = ReadRepair(core, key)

    def start(self) -> None:
        """Read here, and ask the others."""
        core = self._core
        self._timer = core.timers.at(self._deadline, self._time_up)
        if core.name in self._homes:
            self._keep(core.name, None, core.replica.read(DATA, self._key).state)
            self._fanout.start(besides=core.name)
        else:
            owner = _stands_in_for(core, self._homes)
            self._keep(core.name, owner, self._handoff.held(self._key))
            self._fanout.start(besides=owner if core.suspects(owner) else None)
        self._check()

    def _keep(self, node: str, owner: str | None, state: VersionSet | None) -> None:
        self._slots[node] = owner or node
        self._states[node] = state

    def _read(self, node: str, owner: str | None, reply: Reply) -> None:
        if isinstance(reply, State):
            self._keep(node, owner, reply.state)
            self._check()
            if self._quorum and not self._fanout.silent:
                self._repair_stale()

    def _counted(self) -> int:
        stand_ins_count = not self._fanout.hopeful
        return len(
            {
                self._slots[node]
                for node, state in self._states.items()
                if node in self._homes or state is not None or stand_ins_count
            }
        )

    def _check(self) -> None:
        if self._quorum or self._answered:
            return
        primaries = sum(home in self._states for home in self._homes)
        if self._counted() < self._r or primaries < self._core.config.pr:
            return
        self._quorum = True
        state = self._core.replica.combine(self._states.values())
        if self._core.config.read_repair == "blocking":
            self._repair.push(self._homes, dict(self._states), lambda holders: self._answer_once_held(state, holders))
        else:
            self._answer(state)
            self._core.after(STRAGGLERS_S, self._repair_stale)

    def _repair_stale(self) -> None:
        if self._core.config.read_repair != "off":
            self._repair.push(self._homes, self._states, lambda holders: None)

    def _answer_once_held(self, state: VersionSet, holders: set[str]) -> None:
        if len({self._slots[node] for node in holders}) >= self._r:
            self._answer(state)

    def _answer(self, state: VersionSet) -> None:
        if self._answered:
            return
        self._answered = True
        self._timer.cancel()
        context = Context(state.seen, _newest_ns(state))
        self._finish(Values(siblings(state), issue(self._core.secret, self._key, context)))

    def _time_up(self) -> None:
        if self._answered:
            return
        self._answered = True
        silent = ", ".join(home for home in self._homes if home not in self._states) or "stale replicas"
        text = f"{self._counted()} of {self._r} replicas answered within {self._core.config.request_timeout_s:g} s"
        self._finish(Failed("quorum_failed", f"{text} (not {silent}); retry, or lower R"))


def _stands_in_for(core: Core, homes: tuple[str, ...]) -> str:
    """The home whose place this node takes, as it is none itself."""
    return next((home for home in homes if core.suspects(home)), homes[0])


def _newest_ns(state: VersionSet) -> int:
    return max((version.wall_ns for version in state.versions), default=0)
