"""Anti-entropy: pairs of replicas compare their Merkle trees, and transfer only what differs.

1. Every `anti_entropy_s`, plus or minus a quarter, a node compares all partitions that it shares with one peer. The
   roots come first, in one message. Where they differ the comparison descends level by level, for all partitions
   together, down to the leaves. It then compares keys with their hashes, and of those that differ the states go both
   ways.
2. Peers take turns, so every two nodes that share a partition meet. After a comparison both have all that either had.
3. Hence a bound: once faults have ended and trees are filled, all primary replicas are equal after one comparison of
   every pair. That takes `1.25 * anti_entropy_s`, plus the time of the comparison, for each peer.
4. The answering side keeps no state: a request says under which view of the membership it numbers partitions. After a
   change of the ring a request under the old view is refused and the comparison ends; the next one begins anew.
5. What is merged is durable before the comparison continues. To repeat any step changes nothing.
6. A comparison that moved something compares the roots again, until they are equal. What still differs after
   `PASSES_MAX` passes is being written faster than compared, and is left to the next round.
7. Each step is a slice of background work, and bounded: in tree nodes, in keys and in bytes.

Dynamo (SOSP 2007), section 4.7.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

from splitbrain.store.actions import Bits
from splitbrain.store.parts import Core
from splitbrain.store.repair.hosted import Hosted
from splitbrain.store.repair.merkle import FANOUT
from splitbrain.store.storage.replica import DATA
from splitbrain.store.versions.dotted import VersionSet
from splitbrain.store.wire.client_messages import Failed
from splitbrain.store.wire.messages import Reply, Request
from splitbrain.store.wire.peer_messages import (
    Children,
    CompareLeaves,
    CompareNodes,
    CompareRoots,
    Differing,
    Listings,
    Swap,
    Swapped,
    Sync,
    TreeNode,
)
from splitbrain.store.wire.taken import Incoming

NODES_AT_ONCE = 64
"""Tree nodes in one message: their children's hashes fill eight datagrams."""
SWAP_KEYS, SWAP_BYTES = 128, 256 << 10
PATIENCE_S = 3.0
PASSES_MAX = 4

States = list[tuple[bytes, VersionSet]]
R = TypeVar("R", bound=Reply)


class AntiEntropy:
    """One node's rounds, and its answers in those of its peers."""

    def __init__(self, core: Core, bits: Bits) -> None:
        self._core = core
        self._bits = bits
        self._hosted = Hosted(core)
        self._last = core.name

    def start(self) -> None:
        """Begin to fill the trees, and wait for the first round; never with an `anti_entropy_s` of 0."""
        if self._core.config.anti_entropy_s:
            self._hosted.refresh()
            self._core.membership.on_change.append(lambda before: self._hosted.refresh())
            self._rest()

    def take(self, incoming: Incoming, request: Sync) -> None:
        """Answer a peer's request."""
        core, hosted = self._core, self._hosted
        if request.view != core.membership.view:
            text = f"{core.name} knows another membership than was asked about; compare again once they agree"
            core.rpc.answer(incoming, Failed("busy", text))
            return
        match request:
            case CompareRoots():
                mine = hosted.roots()
                differing = [p for p, root in request.roots.items() if p in mine and mine[p] != root]
                core.rpc.answer(incoming, Differing(differing))
            case CompareNodes():
                core.rpc.answer(incoming, Children(list(map(hosted.children, request.nodes[:NODES_AT_ONCE]))))
            case CompareLeaves():
                core.rpc.answer(incoming, Listings(hosted.listings(request.leaves)))
            case Swap():
                given = [(key, state) for key, state in request.states if key in hosted]
                wanted = request.wanted[:SWAP_KEYS]
                _merge(core, given, lambda: core.rpc.answer(incoming, Swapped(_durable(core, wanted))))

    def status(self) -> dict[str, object]:
        """For the status: the roots of the finished trees by partition, in hexadecimal, and how many are unfinished."""
        roots = {str(partition): f"{root:016x}" for partition, root in self._hosted.roots().items()}
        return {"roots": roots, "unfinished": self._hosted.unfinished}

    def _rest(self) -> None:
        share = 0.75 + self._bits(11) / 4096
        self._core.after(self._core.config.anti_entropy_s * share, self._round)

    def _round(self) -> None:
        self._hosted.refresh()
        peer = self._next_peer()
        if peer is None or self._core.replica.full:
            self._rest()
            return
        self._last = peer
        self._core.counters["anti_entropy_rounds"] += 1
        Comparison(self._core, self._hosted, peer, self._rest).start()

    def _next_peer(self) -> str | None:
        """The next peer in turn, of those that share a partition and are not suspected."""
        peers = sorted(peer for peer in self._hosted.shared() if not self._core.suspects(peer))
        behind = [peer for peer in peers if peer > self._last]
        return next(iter(behind or peers), None)


class Comparison:
    """One comparison with a peer. on_end: called once, when the two are equal or it can't continue."""

    def __init__(self, core: Core, hosted: Hosted, peer: str, on_end: Callable[[], None]) -> None:
        self._core = core
        self._hosted = hosted
        self._peer = peer
        self._on_end = on_end
        self._view = core.membership.view
        self._passes = 0
        self._moved = 0
        self._nodes: list[TreeNode] = []
        self._leaves: list[TreeNode] = []
        self._keys: deque[tuple[bytes, bool]] = deque()
        """Keys that differ, and whether this node holds something of each."""

    def start(self) -> None:
        """Compare the roots."""
        self._passes += 1
        self._moved = 0
        shared = self._hosted.shared().get(self._peer, ())
        roots = self._hosted.roots()
        compared = {partition: roots[partition] for partition in shared if partition in roots}

        def take(reply: Differing) -> None:
            self._differ((partition, 0) for partition in reply.partitions)

        self._ask(CompareRoots(self._view, compared), Differing, take)

    def _ask(self, request: Request, expected: type[R], take: Callable[[R], None], *, then_step: bool = True) -> None:
        """Send a request; continue once `take` had the answer."""

        def answered(reply: Reply | None) -> None:
            if not isinstance(reply, expected):
                self._on_end()
                return
            take(reply)
            if then_step:
                self._core.background.soon(self._step)

        # The answer to a swap waits for the peer's disk: that it takes long says nothing of the peer.
        send = self._core.hand if isinstance(request, Swap) else self._core.ask
        send(self._peer, request, self._core.now + PATIENCE_S, answered)

    def _step(self) -> None:
        """Ask the next question. The deepest level comes first, so that there is never much to remember."""
        if self._keys:
            self._swap()
        elif self._leaves and (len(self._leaves) >= NODES_AT_ONCE or not self._nodes):
            self._compare_leaves()
        elif self._nodes:
            self._compare_nodes()
        elif self._moved and self._passes < PASSES_MAX:
            self.start()
        else:
            self._on_end()

    def _differ(self, nodes: Iterable[TreeNode]) -> None:
        for partition, node in nodes:
            tree = self._hosted.tree(partition)
            if tree is not None:
                (self._nodes if tree.is_inner(node) else self._leaves).append((partition, node))

    def _compare_nodes(self) -> None:
        asked = self._nodes[-NODES_AT_ONCE:]
        del self._nodes[-NODES_AT_ONCE:]

        def take(reply: Children) -> None:
            for (partition, node), theirs in zip(asked, reply.hashes, strict=False):
                mine = self._hosted.children((partition, node))
                children = enumerate(zip(mine, theirs, strict=False), FANOUT * node + 1)
                self._differ([(partition, child) for child, (here, there) in children if here != there])

        self._ask(CompareNodes(self._view, asked), Children, take)

    def _compare_leaves(self) -> None:
        asked = self._leaves[-NODES_AT_ONCE:]
        del self._leaves[-NODES_AT_ONCE:]

        def take(reply: Listings) -> None:
            mine = self._hosted.listings(asked[: len(reply.listings)])
            pairs = list(zip(mine, reply.listings, strict=False))
            for here, there in pairs:
                if here is not None and there is not None:
                    differing = sorted(key for key in {**here, **there} if here.get(key) != there.get(key))
                    self._keys.extend((key, key in here) for key in differing)
            if pairs:
                self._leaves += asked[len(pairs) :]

        self._ask(CompareLeaves(self._view, asked), Listings, take)

    def _swap(self) -> None:
        core = self._core
        given: States = []
        wanted: list[bytes] = []
        weight = 0
        while self._keys and len(wanted) < SWAP_KEYS and weight <= SWAP_BYTES:
            key, here = self._keys.popleft()
            wanted.append(key)
            if here:
                given.append((key, core.replica.read(DATA, key).state))
                weight += _weight(*given[-1])

        def take(reply: Swapped) -> None:
            got = list(zip(wanted, reply.states, strict=False))
            if got:
                self._keys.extendleft((key, False) for key in reversed(wanted[len(got) :]))
            self._moved += len(got)
            core.counters["keys_moved"] += len(got)
            _merge(core, got, lambda: core.background.soon(self._step))

        self._ask(Swap(self._view, given, wanted), Swapped, take, then_step=False)


def _durable(core: Core, keys: Iterable[bytes]) -> list[VersionSet]:
    """What is durable of the first keys: of one at least, and about `SWAP_BYTES`."""
    states: list[VersionSet] = []
    weight = 0
    for key in keys:
        # Not the newest: a dot that a crash makes this node forget must not be known elsewhere.
        states.append(core.replica.read(DATA, key).state)
        weight += _weight(key, states[-1])
        if weight > SWAP_BYTES:
            break
    return states


def _merge(core: Core, states: States, done: Callable[[], None]) -> None:
    """Merge the states. done: called once all of them are durable."""
    left = 1

    def merged() -> None:
        nonlocal left
        left -= 1
        if not left:
            done()

    for key, state in states:
        left += 1
        core.replica.merge(DATA, key, state, merged)
    merged()


def _weight(key: bytes, state: VersionSet) -> int:
    """About how many bytes a key and its state take in a message."""
    dots = len(state.seen.clock) + len(state.seen.cloud)
    return len(key) + 20 * dots + sum(80 + len(version.value or b"") for version in state.versions)
