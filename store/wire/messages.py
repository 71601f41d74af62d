"""Messages: what clients and nodes say to each other.

1. A message is a tagged struct in msgpack; what does not decode to one of these types exactly is dropped.
2. Requests are safe to repeat: a retried put carries the same request id, and a replica write is a merge.
3. Clients may send only `ClientRequest`s; the rest is between nodes. (Both hold the cluster's key: the split is for
   clarity, not for security.)
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from splitbrain.store.actions import Address
from splitbrain.store.config import KEY_BYTES_MAX
from splitbrain.store.errors import StoreError
from splitbrain.store.membership.history import Change
from splitbrain.store.versions.dotted import Dot, VersionSet


class _Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Without garbage collection: what is frozen and made of plain values is never part of a cycle."""


class Get(_Message, frozen=True, tag="get"):
    """Read a key. r: how many replicas must answer; None is the cluster's own. pr, sloppy: as in `config.Config`."""

    key: bytes
    r: int | None = None
    pr: int | None = None
    sloppy: bool | None = None


class Put(_Message, frozen=True, tag="put"):
    """Write a key; value None deletes it. context: None is a blind write. w: how many must hold it.

    pw, dw, sloppy: as in `config.Config`.
    """

    key: bytes
    value: bytes | None
    context: bytes | None
    w: int | None = None
    pw: int | None = None
    dw: int | None = None
    sloppy: bool | None = None


class Local(_Message, frozen=True, tag="local"):
    """What this node itself holds of a key."""

    key: bytes


class Status(_Message, frozen=True, tag="status"):
    """How this node is."""


class Members(_Message, frozen=True, tag="members"):
    """Who is in the ring, for clients that go straight to a home. view: the digest of the history they know."""

    view: int = 0


class Join(_Message, frozen=True, tag="join"):
    """Have the node at that address, which runs already, join the ring. See `config.Member`."""

    name: str
    address: Address
    zone: str = ""
    capacity: int = 1


class Leave(_Message, frozen=True, tag="leave"):
    """Have the node leave the ring. gone: it is dead, and hands nothing over any more."""

    name: str
    gone: bool = False


class Forward(_Message, frozen=True, tag="fwd"):
    """A client's request, handed to a home of its key. request_id: the client's. dot: of a put, given by the sender."""

    request_id: int
    request: Get | Put
    dot: Dot | None = None


class Read(_Message, frozen=True, tag="read"):
    """Replica read: the whole state of a key. owner: whom the asked node stands in for; None: it is a home itself."""

    key: bytes
    owner: str | None = None


class Write(_Message, frozen=True, tag="write"):
    """Replica write: merge this state. owner: keep it as a hint for that node; None means it is yours.

    durable: or else the write buffer will do (`write_buffer`); a hint is always durable.
    """

    key: bytes
    state: VersionSet
    owner: str | None = None
    durable: bool = True


BEAT_MAX = 1 << 53
Beat = Annotated[int, msgspec.Meta(ge=0, le=BEAT_MAX)]


class Heartbeat(_Message, frozen=True):
    """That a node lives. incarnation: its start, in seconds of its calendar clock; counter: rises from there.

    keys, requests_per_s: its load.
    """

    node: str
    incarnation: Beat
    counter: Beat
    keys: Beat = 0
    requests_per_s: Beat = 0


class Tell(_Message, frozen=True, tag="tell"):
    """Gossip. view: the digest of the sender's history. settings: of its configuration, by `config.common`.

    changes: those it learnt last. heartbeats: the freshest it heard of.
    """

    view: int
    settings: list[str]
    changes: list[Change]
    heartbeats: list[Heartbeat]


class Reconcile(_Message, frozen=True, tag="reconcile"):
    """Make our histories one. identities: of all changes the sender knows, 8 bytes each."""

    settings: list[str]
    identities: bytes


class Ping(_Message, frozen=True, tag="ping"):
    """Are you there?"""


Transfer = Annotated[int, msgspec.Meta(ge=0)]
Slot = Annotated[int, msgspec.Meta(ge=0, le=254)]
Span = tuple[bytes, bytes]
"""A stretch of the ring, as `tokens.pack` writes it."""


class Offer(_Message, frozen=True, tag="offer"):
    """Take token `slot` of this stretch from me. transfer: what this handing over is called from now on."""

    transfer: Transfer
    span: Span
    slot: Slot


class Page(_Message, frozen=True, tag="page"):
    """Merge these states, durably. transfer: which they are part of; 0: none, they are yours anyhow."""

    transfer: Transfer
    states: list[tuple[bytes, VersionSet]]


class Serve(_Message, frozen=True, tag="serve"):
    """You have it all, and I have given the token up: hold it, and answer for the stretch."""

    transfer: Transfer


class Tokens(_Message, frozen=True, tag="tokens"):
    """Which tokens do you hold?"""


class Fetch(_Message, frozen=True, tag="fetch"):
    """What do you hold of the keys of this stretch, behind this one?"""

    span: Span
    after: bytes | None


Key = Annotated[bytes, msgspec.Meta(min_length=1, max_length=KEY_BYTES_MAX)]
Hash = Annotated[int, msgspec.Meta(ge=0)]
TreeNode = tuple[int, int]
"""Of the Merkle tree of a partition, a node, as `merkle.Tree` numbers them."""


class CompareRoots(_Message, frozen=True, tag="roots"):
    """Which of these partitions' Merkle trees differ from yours? view: of the membership, which names partitions."""

    view: Hash
    roots: dict[int, Hash]


class CompareNodes(_Message, frozen=True, tag="nodes"):
    """What are the hashes of these tree nodes' children?"""

    view: Hash
    nodes: list[TreeNode]


class CompareLeaves(_Message, frozen=True, tag="leaves"):
    """Which keys are in these leaves, with which hashes?"""

    view: Hash
    leaves: list[TreeNode]


class Swap(_Message, frozen=True, tag="swap"):
    """Merge these states, durably, and give me what you then hold of those keys."""

    view: Hash
    states: list[tuple[Key, VersionSet]]
    wanted: list[Key]


class AskQuiet(_Message, frozen=True, tag="quiet?"):
    """Do you hold this tombstone, or nothing, and was it quiet about the key lately? Given by key and state's hash."""

    view: Hash
    keys: list[tuple[Key, Hash]]


class Reap(_Message, frozen=True, tag="reap"):
    """All nodes said that it was quiet about these: forget them."""

    view: Hash
    keys: list[tuple[Key, Hash]]


class Values(_Message, frozen=True, tag="values"):
    """Answer to Get: the siblings, and a context that covers them all. view: of the membership, at the coordinator.
    stamps: of each sibling, what "newest" goes by."""

    values: list[bytes]
    context: bytes
    view: int = 0
    stamps: list[int] = []


class Stored(_Message, frozen=True, tag="stored"):
    """Answer to Put: a context that covers this write and what it replaced. view: as in Values.

    replicas: how many held it at that moment. durable: how many of them durably.
    """

    context: bytes
    view: int = 0
    replicas: int = 0
    durable: int = 0


class Held(_Message, frozen=True, tag="held"):
    """Answer to Local. home: this node is one of the key's primaries. hints_for: whose state is kept for them."""

    home: bool
    state: VersionSet
    hints_for: list[str]


class Report(_Message, frozen=True, tag="report"):
    """Answer to Status, as JSON."""

    json: bytes


class View(_Message, frozen=True, tag="view"):
    """Answer to Members: the history, if the asker's is another. settings: the cluster's configuration."""

    changes: list[Change]
    settings: dict[str, str]


class Changed(_Message, frozen=True, tag="changed"):
    """Answer to Join and Leave: the change is durable here, and will spread. view: the digest of the history then."""

    view: int


class Told(_Message, frozen=True, tag="told"):
    """Answer to Tell, once what was told is durable. name: of the node that answers. The rest: as in Tell."""

    name: str
    view: int
    changes: list[Change]
    heartbeats: list[Heartbeat]


class History(_Message, frozen=True, tag="history"):
    """Answer to Reconcile: the changes that the asker lacks. lacks: the identities of those that this node lacks."""

    changes: list[Change]
    lacks: bytes


class State(_Message, frozen=True, tag="state"):
    """Answer to Read: None if the node holds nothing of the key. slot: which token of the key it holds."""

    state: VersionSet | None
    slot: int | None = None


class Written(_Message, frozen=True, tag="written"):
    """Answer to Write: it is here. slot: which token of the key the node holds; None for a hint as well.

    durable: or else only the write buffer holds it.
    """

    slot: int | None = None
    durable: bool = True


class Moved(_Message, frozen=True, tag="moved"):
    """Answer to Read and Write: this node is no home of the key and holds no token of it; has the ring changed?"""


class Accepted(_Message, frozen=True, tag="accepted"):
    """Answer to Offer: I take this part of it."""

    span: Span


class Declined(_Message, frozen=True, tag="declined"):
    """Answer to Offer, Page: not now. holds: I hold a token there already."""

    holds: bool


class Kept(_Message, frozen=True, tag="kept"):
    """Answer to Page: all of it is durable here."""


class Serving(_Message, frozen=True, tag="serving"):
    """Answer to Serve: the token is mine."""


class Holding(_Message, frozen=True, tag="holding"):
    """Answer to Tokens. view: of the membership. version: of the holdings. fresh: see `tokens`.

    tokens: what it holds, and what it has given up without having heard that the taker holds it.
    transfers: the handings over that it gives in.
    """

    view: int
    version: int
    fresh: bool
    tokens: list[tuple[bytes, bytes, int]]
    transfers: list[int]


class Fetched(_Message, frozen=True, tag="fetched"):
    """Answer to Fetch, in ring order. more: there are more behind these."""

    states: list[tuple[bytes, VersionSet]]
    more: bool


class Differing(_Message, frozen=True, tag="differing"):
    """Answer to CompareRoots: the partitions whose trees differ; none that this node has no finished tree of."""

    partitions: list[int]


class Children(_Message, frozen=True, tag="children"):
    """Answer to CompareNodes: of each node its children's hashes; nothing where this node has no finished tree."""

    hashes: list[list[Hash]]


class Listings(_Message, frozen=True, tag="listings"):
    """Answer to CompareLeaves: of the first leaves, as many as fit, the keys; None where there is no finished tree."""

    listings: list[dict[bytes, Hash] | None]


class Swapped(_Message, frozen=True, tag="swapped"):
    """Answer to Swap: what is durable of the first of the wanted keys, as many as fit."""

    states: list[VersionSet]


class Quiet(_Message, frozen=True, tag="quiet"):
    """Answer to AskQuiet, a byte a key: 0, I hold something else; 1, not yet; 2, yes."""

    answers: bytes


class Pong(_Message, frozen=True, tag="pong"):
    """Answer to Ping."""


class Failed(_Message, frozen=True, tag="failed"):
    """Answer to any request: an error of `errors.REGISTRY`."""

    code: str
    message: str


ClientRequest = Get | Put | Local | Status | Members | Join | Leave
Handover = Offer | Page | Serve | Tokens | Fetch
Sync = CompareRoots | CompareNodes | CompareLeaves | Swap
Request = ClientRequest | Forward | Read | Write | Ping | Tell | Reconcile | Handover | Sync | AskQuiet | Reap
Reply = (
    Values
    | Stored
    | Held
    | Report
    | View
    | Changed
    | State
    | Written
    | Moved
    | Pong
    | Told
    | History
    | Accepted
    | Declined
    | Kept
    | Serving
    | Holding
    | Fetched
    | Differing
    | Children
    | Listings
    | Swapped
    | Quiet
    | Failed
)

_encoder = msgspec.msgpack.Encoder()
_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)

T = TypeVar("T")


class Malformed(ValueError):
    """Bytes that are no message of the expected kind."""


def after_others(reply: Reply) -> Reply:
    """An answer to a put that other nodes were asked before: a refusal of this one says nothing of what those did."""
    if isinstance(reply, Failed) and StoreError(reply.code, reply.message).kind.definite:
        return Failed("timeout", f"a node did not answer, and another refused ({reply.code}: {reply.message})")
    return reply


def encode(message: Request | Reply) -> bytes:
    return _encoder.encode(message)


def decode_request(payload: bytes) -> Request:
    """Raises Malformed."""
    return _decode(_requests, payload)


def decode_reply(payload: bytes) -> Reply:
    """Raises Malformed."""
    return _decode(_replies, payload)


def _decode(decoder: msgspec.msgpack.Decoder[T], payload: bytes) -> T:
    try:
        return decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        # msgspec lets UnicodeDecodeError out of strings that are not UTF-8.
        raise Malformed(str(problem)) from None
