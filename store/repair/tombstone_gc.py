"""Tombstone garbage collection: tombstones are deleted once no older version is left anywhere.

1. A key is dead when all its versions are tombstones, the youngest older than `tombstone_grace_s` by the clock of the
   key's first primary replica, which looks for dead keys.
2. A dead key is deleted only after *every* node of the cluster agreed, all in one view of the membership. Each primary
   replica has said that it holds exactly this state durably; each other node that it holds this or nothing.
3. Each node has also said that the key was quiet there for longer than any message can be under way. Quiet means: no
   hint of it was kept or being deleted, no write of it spread, no other state of it came.
4. While a node is away nothing is deleted, until it is back or an operator removes it. Nodes accept nothing from a
   removed node (`cleanup`).
5. Why that suffices: an older version can come back only from a node's data, from a hint, or from a message under way.
   Rules 2 and 3 exclude all three. Wrong clocks can make a grace period too short; they bring nothing back.
6. A node that was stalled or restarted counts its quiet time from then on: what was under way in it may continue.
7. A primary replica that holds another state is sent the tombstone, and asked again at the next pass.
8. A node that is told to delete a key does so if it still agrees. If only some nodes do (a node crashes, a datagram is
   lost), the others bring the tombstone back, and nothing else; it is deleted later.
9. A later put behaves as before. A context from before still covers what was deleted; a put without a context is a
   blind write to an empty key. Dots are not reused, since a node that holds nothing of a key makes dots under a fresh
   actor (`replica`).

This does not cover a disk restored from a backup that is older than the tombstone: remove such a node and let it join
anew. Nor does it cover a node that is removed, and joined again, before it has heard of either: it may push a hint
first.

Dynamo keeps tombstones. Riak and Cassandra delete them after a time alone, and see deleted keys return.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from itertools import islice

from splitbrain.store.defects import EARLY_REAP
from splitbrain.store.parts import Core
from splitbrain.store.repair.hinted_handoff import Handoff
from splitbrain.store.repair.merkle import digest
from splitbrain.store.storage.replica import DATA, Entry
from splitbrain.store.versions.dotted import VersionSet
from splitbrain.store.wire.client_messages import Failed
from splitbrain.store.wire.messages import Reply
from splitbrain.store.wire.peer_messages import AskQuiet, Quiet, Reap, Write, Written
from splitbrain.store.wire.taken import Incoming

OTHER, WAIT, READY = 0, 1, 2
"""What a node answers for a key: it holds something else; not yet; it may be deleted."""
UNDER_WAY_S = 30.0
"""Longer than a datagram or its answer can be under way, including the time-outs of pushes, swaps and transfers."""
PATIENCE_S = 3.0
BATCH_KEYS = 500
SLICE_KEYS = 64
REST_S = (10.0, 3600.0)
"""The time between two passes over the data: a quarter of the grace period, within these bounds."""
WATCHED_MAX = 50_000

Keys = list[tuple[bytes, int]]
"""Dead keys, with the hashes of their states."""


class TombstoneGc:
    """One node's part: passes over the keys of which it is the first primary replica, and answers to other nodes."""

    def __init__(self, core: Core, handoff: Handoff) -> None:
        self._core = core
        self._handoff = handoff
        self._quiet_s = UNDER_WAY_S + 2 * core.config.request_timeout_s
        self._watched: OrderedDict[bytes, tuple[int, float, int]] = OrderedDict()
        """By key: the hash of its state, since when it is quiet, and the last change begun before that."""
        self._partition = 0
        self._after: bytes | None = None
        self._batch: dict[bytes, VersionSet] = {}

    def start(self) -> None:
        """Begin the passes; none with a `tombstone_grace_s` of 0."""
        if self._core.config.tombstone_grace_s:
            self._core.replica.on_durable.append(self._changed)
            self._handoff.on_kept.append(self._disturbed)
            self._rest()

    def stalled(self) -> None:
        """This node did not run for a while: what was under way in it may continue."""
        self._watched.clear()

    def take(self, incoming: Incoming, request: AskQuiet | Reap) -> None:
        """Answer another node's question, or delete what it tells this node to."""
        core = self._core
        if request.view != core.membership.view:
            core.rpc.answer(incoming, Failed("busy", f"{core.name} knows another membership; ask again later"))
        elif isinstance(request, AskQuiet):
            core.rpc.answer(incoming, Quiet(self._answer_for_all(request.keys)))
        else:
            self._delete(request.keys)
            core.rpc.answer(incoming, Written())

    # The node that is asked

    def _answer_for_all(self, keys: Keys) -> bytes:
        return bytes(self._answer_for(key, value) for key, value in keys)

    def _answer_for(self, key: bytes, value: int) -> int:
        core = self._core
        held = digest(key, core.replica.read(DATA, key).state)
        if held != value and (held or core.name in core.ring.primaries(key) or core.ownership.slot(key) is not None):
            self._disturbed(key)
            return OTHER
        asked, durable = core.replica.progress
        if not core.replica.settled(DATA, key) or self._handoff.concerns(key):
            self._disturbed(key)
            return WAIT
        known, since, before = self._watched.get(key, (0, 0.0, 0))
        if known != value:
            self._watched[key] = (value, core.now, asked)
            if len(self._watched) > WATCHED_MAX:
                self._watched.popitem(last=False)
            return WAIT
        # A crash could undo the deletion of a hint that is not durable yet.
        return READY if core.now - since >= self._quiet_s and durable >= before else WAIT

    def _delete(self, keys: Keys) -> None:
        for key, value in keys:
            if self._answer_for(key, value) == READY:
                self._disturbed(key)
                if self._core.replica.read(DATA, key).state.versions:
                    self._core.counters["tombstones_reaped"] += 1
                    self._core.replica.delete(DATA, key, lambda: None)

    def _changed(self, key: bytes, before: Entry, after: Entry) -> None:
        if key in self._watched and self._watched[key][0] != digest(key, after.state):
            self._disturbed(key)

    def _disturbed(self, key: bytes) -> None:
        self._watched.pop(key, None)

    # The first primary replica

    def _rest(self) -> None:
        self._partition, self._after = 0, None
        self._batch.clear()
        shortest_s, longest_s = REST_S
        quarter_s = self._core.config.tombstone_grace_s / 4
        self._core.after(min(longest_s, max(shortest_s, quarter_s)), self._scan)

    def _scan(self) -> None:
        """Look for dead keys in one slice of the data."""
        core, ring = self._core, self._core.ring
        partitions = ring.partitions if ring.members else 0
        while self._partition < partitions and ring.primaries_of(self._partition)[0] != core.name:
            self._partition, self._after = self._partition + 1, None
        if self._partition < partitions:
            slice_ = list(islice(core.replica.scan(ring.range(self._partition), self._after), SLICE_KEYS))
            self._batch.update((key, entry.state) for key, entry in slice_ if self._dead(entry.state))
            if len(slice_) == SLICE_KEYS:
                self._after = slice_[-1][0]
            else:
                self._partition, self._after = self._partition + 1, None
        if len(self._batch) >= BATCH_KEYS or (self._batch and self._partition >= partitions):
            self._ask(last=False)
        elif self._partition >= partitions:
            self._rest()
        else:
            core.background.soon(self._scan)

    def _dead(self, state: VersionSet) -> bool:
        youngest_ns = max((version.wall_ns for version in state.versions), default=None)
        if youngest_ns is None or any(version.value is not None for version in state.versions):
            return False
        return self._core.present.now.wall_ns - youngest_ns > self._core.config.tombstone_grace_s * 1e9

    def _ask(self, *, last: bool) -> None:
        """Ask every node of each dead key of the batch."""
        core = self._core
        view = core.membership.view
        keys = [(key, digest(key, state)) for key, state in self._batch.items()]
        others = core.membership.others()
        answers: dict[str, bytes | None] = {core.name: self._answer_for_all(keys)}

        def answered(node: str, reply: Reply | None) -> None:
            known = isinstance(reply, Quiet) and len(reply.answers) == len(keys)
            answers[node] = reply.answers if isinstance(reply, Quiet) and known else None
            if len(answers) > len(others):
                self._answered(view, keys, answers, last=last)

        for node in others:
            core.ask(node, AskQuiet(view, keys), core.now + PATIENCE_S, partial(answered, node))
        if not others:
            self._answered(view, keys, answers, last=last)

    def _answered(self, view: int, keys: Keys, answers: dict[str, bytes | None], *, last: bool) -> None:
        core = self._core
        if None in answers.values() and core.config.defect != EARLY_REAP:
            core.counters["reaping_put_off"] += 1
            self._rest()
            return
        said = {node: answer for node, answer in answers.items() if answer is not None}
        if not last:
            core.after(self._quiet_s + PATIENCE_S, partial(self._ask, last=True))
            return
        ready = [each for number, each in enumerate(keys) if all(answer[number] == READY for answer in said.values())]
        for number, (key, _) in enumerate(keys):
            for primary in core.ring.primaries(key):
                if primary != core.name and primary in said and said[primary][number] == OTHER:
                    core.ask(primary, Write(key, self._batch[key]), core.now + PATIENCE_S, lambda reply: None)
        if ready:
            for node in core.membership.others():
                core.ask(node, Reap(view, ready), core.now + PATIENCE_S, lambda reply: None)
            self._delete(ready)
        self._batch.clear()
        core.background.soon(self._scan)
