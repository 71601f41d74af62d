"""Peer messages: what nodes ask of each other, and what they answer.

1. A request is safe to repeat: a replica write is a merge, and every step of a transfer may be taken twice.
2. Each answer stands below the request that it belongs to.
3. Sections, in this order: forwarding, replica reads and writes, gossip, liveness, hand-over of tokens, anti-entropy,
   tombstone garbage collection.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from splitbrain.store.config import KEY_BYTES_MAX
from splitbrain.store.versions.dotted import VersionSet
from splitbrain.store.wire.changes import Change
from splitbrain.store.wire.client_messages import Get, Message, Put


class Forward(Message, frozen=True, tag="fwd"):
    """A client's request, forwarded to a primary replica of its key. It is answered as the client's request would be.

    request_id: the client's.
    """

    request_id: int
    request: Get | Put


class Read(Message, frozen=True, tag="read"):
    """Replica read: ask for the whole state of a key.

    owner: the primary replica that the receiver stands in for; None: the receiver is asked as a primary replica.
    """

    key: bytes
    owner: str | None = None


class State(Message, frozen=True, tag="state"):
    """Answer to Read. state: None if the node holds nothing of the key. slot: which token of the key it holds."""

    state: VersionSet | None
    slot: int | None = None


class Write(Message, frozen=True, tag="write"):
    """Replica write: merge this state. owner: keep it as a hint for that node; None: it is the receiver's own.

    durable: whether it must be on disk before the answer; if not, the write buffer will do (`write_buffer`). A hint is
    always durable.
    """

    key: bytes
    state: VersionSet
    owner: str | None = None
    durable: bool = True


class Written(Message, frozen=True, tag="written"):
    """Answer to Write: the node has merged it. slot: which token of the key it holds; None for a hint as well.

    durable: whether it is on disk; if not, only the write buffer holds it.
    """

    slot: int | None = None
    durable: bool = True


class Moved(Message, frozen=True, tag="moved"):
    """Answer to Read and Write: this node is no primary replica of the key, and holds no token of it.

    The sender's ring is probably out of date, or the receiver's.
    """


BEAT_MAX = 1 << 53
Beat = Annotated[int, msgspec.Meta(ge=0, le=BEAT_MAX)]


class Heartbeat(Message, frozen=True):
    """Says that a node was alive. keys, requests_per_s: its load.

    incarnation: when the node started, in seconds of its calendar clock. counter: rises by one a round from there.
    """

    node: str
    incarnation: Beat
    counter: Beat
    keys: Beat = 0
    requests_per_s: Beat = 0


class Tell(Message, frozen=True, tag="tell"):
    """Gossip. view: the digest of the sender's history. settings: of the sender's configuration, the keys in `COMMON`.

    changes: the changes that it learnt last. heartbeats: the freshest that it knows.
    """

    view: int
    settings: list[str]
    changes: list[Change]
    heartbeats: list[Heartbeat]


class Told(Message, frozen=True, tag="told"):
    """Answer to Tell, once what was told is durable. name: of the node that answers. The rest: as in Tell."""

    name: str
    view: int
    changes: list[Change]
    heartbeats: list[Heartbeat]


class Reconcile(Message, frozen=True, tag="reconcile"):
    """Ask to make the two histories equal. identities: of all changes that the sender knows, 8 bytes each."""

    settings: list[str]
    identities: bytes


class History(Message, frozen=True, tag="history"):
    """Answer to Reconcile: the changes that the asker lacks. lacks: the identities of those that this node lacks."""

    changes: list[Change]
    lacks: bytes


class Ping(Message, frozen=True, tag="ping"):
    """Ask whether the node is alive."""


class Pong(Message, frozen=True, tag="pong"):
    """Answer to Ping."""


Transfer = Annotated[int, msgspec.Meta(ge=0)]
Slot = Annotated[int, msgspec.Meta(ge=0, le=254)]
Span = tuple[bytes, bytes]
"""A token range, as `tokens.pack` writes it."""


class Offer(Message, frozen=True, tag="offer"):
    """Offer the receiver token `slot` of this range. transfer: the number of the transfer that this begins."""

    transfer: Transfer
    span: Span
    slot: Slot


class Accepted(Message, frozen=True, tag="accepted"):
    """Answer to Offer: this node takes that part of the range."""

    span: Span


class Declined(Message, frozen=True, tag="declined"):
    """Answer to Offer and Page: not now. holds: this node holds a token of the range already."""

    holds: bool


class Page(Message, frozen=True, tag="page"):
    """Merge these states, durably. transfer: the transfer that they are part of; 0: none."""

    transfer: Transfer
    states: list[tuple[bytes, VersionSet]]


class Kept(Message, frozen=True, tag="kept"):
    """Answer to Page: all of it is durable here."""


class Serve(Message, frozen=True, tag="serve"):
    """The sender has sent everything and has given the token up: hold it from now on, and serve the range."""

    transfer: Transfer


class Serving(Message, frozen=True, tag="serving"):
    """Answer to Serve: this node holds the token."""


class Tokens(Message, frozen=True, tag="tokens"):
    """Ask which tokens the node holds."""


class Holding(Message, frozen=True, tag="holding"):
    """Answer to Tokens. view: the digest of the membership's history. version, fresh: as in `tokens`.

    tokens: those it holds, and those it has given up whose receiver has not confirmed yet. transfers: the numbers of
    the transfers that it sends.
    """

    view: int
    version: int
    fresh: bool
    tokens: list[tuple[bytes, bytes, int]]
    transfers: list[int]


class Fetch(Message, frozen=True, tag="fetch"):
    """Ask for the states of the keys of this range that come after the key `after`."""

    span: Span
    after: bytes | None


class Fetched(Message, frozen=True, tag="fetched"):
    """Answer to Fetch, in ring order. more: whether there may be further keys."""

    states: list[tuple[bytes, VersionSet]]
    more: bool


Key = Annotated[bytes, msgspec.Meta(min_length=1, max_length=KEY_BYTES_MAX)]
Hash = Annotated[int, msgspec.Meta(ge=0)]
TreeNode = tuple[int, int]
"""A partition, and the number of a node in its Merkle tree (`merkle.Tree`)."""


class CompareRoots(Message, frozen=True, tag="roots"):
    """Ask which of these partitions' Merkle trees differ from the receiver's.

    view: the digest of the membership's history, under which partitions are numbered.
    """

    view: Hash
    roots: dict[int, Hash]


class Differing(Message, frozen=True, tag="differing"):
    """Answer to CompareRoots: the partitions whose trees differ, of those with a finished tree here."""

    partitions: list[int]


class CompareNodes(Message, frozen=True, tag="nodes"):
    """Ask for the hashes of the children of these tree nodes."""

    view: Hash
    nodes: list[TreeNode]


class Children(Message, frozen=True, tag="children"):
    """Answer to CompareNodes: the children's hashes of each node; an empty list where there is no finished tree."""

    hashes: list[list[Hash]]


class CompareLeaves(Message, frozen=True, tag="leaves"):
    """Ask which keys are in these leaves, and with which hashes."""

    view: Hash
    leaves: list[TreeNode]


class Listings(Message, frozen=True, tag="listings"):
    """Answer to CompareLeaves: the keys of the first leaves, as many as fit; None where there is no finished tree."""

    listings: list[dict[bytes, Hash] | None]


class Swap(Message, frozen=True, tag="swap"):
    """Merge these states, durably, and return what is then held of the keys in `wanted`."""

    view: Hash
    states: list[tuple[Key, VersionSet]]
    wanted: list[Key]


class Swapped(Message, frozen=True, tag="swapped"):
    """Answer to Swap: what is durable of the first of the wanted keys, as many as fit."""

    states: list[VersionSet]


class AskQuiet(Message, frozen=True, tag="quiet?"):
    """Ask, for each key and hash of its tombstone: does the node hold this or nothing, and was the key quiet lately?"""

    view: Hash
    keys: list[tuple[Key, Hash]]


class Quiet(Message, frozen=True, tag="quiet"):
    """Answer to AskQuiet, one byte a key: 0, it holds something else; 1, not yet; 2, yes."""

    answers: bytes


class Reap(Message, frozen=True, tag="reap"):
    """Delete these tombstones: every node said that their keys are quiet. Answered with `Written`."""

    view: Hash
    keys: list[tuple[Key, Hash]]


Handover = Offer | Page | Serve | Tokens | Fetch
Sync = CompareRoots | CompareNodes | CompareLeaves | Swap
