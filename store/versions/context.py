"""The context: what a get returns to the client, and the client passes to its put.

1. It is opaque to clients. It holds a format version, the dots and identities of what was read, the stamp of the
   newest, which replica answered first, and a seal.
2. The seal is keyed with the cluster's key and covers the key that was read. A forged or damaged context is refused,
   and so is another key's.
3. A write is stamped after all that its context covers, even if its coordinator lacks those versions and its clock
   lags. Otherwise "last write wins" would prefer what the write replaced (`hlc`; not so with the paper's wall clock).

Dynamo (SOSP 2007), section 4.1.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from splitbrain.store.errors import StoreError
from splitbrain.store.versions.dotted import NOTHING, Seen, Stamp

FORMAT = b"\x01"
SEAL_BYTES = 16


class Context(msgspec.Struct, frozen=True, array_like=True):
    """What a client knows of a key.

    seen, writes: the dots and the identities that it covers. newest_ns: the stamp of the newest version among them; 0
    if there is none. fastest: the primary replica that answered that get first, or that coordinated that put; "" if it
    was none (section 5).
    """

    seen: Seen = NOTHING
    newest_ns: Stamp = 0
    fastest: str = ""
    writes: Seen = NOTHING


BLIND = Context()
_decoder = msgspec.msgpack.Decoder(Context)
_encode = msgspec.msgpack.Encoder().encode


def issue(secret: bytes, key: bytes, context: Context) -> bytes:
    """Seal a context of that key, as bytes for a client."""
    body = FORMAT + _encode(context)
    return body + _seal(secret, key, body)


def accept(secret: bytes, key: bytes, context: bytes | None) -> Context:
    """Open a sealed context; `BLIND` for None. Raises StoreError `bad_context`."""
    if context is None:
        return BLIND
    body, seal = context[:-SEAL_BYTES], context[-SEAL_BYTES:]
    if not hmac.compare_digest(seal, _seal(secret, key, body)):
        raise StoreError("bad_context", "the context is not one this cluster gave for this key; get the key again")
    try:
        if body[:1] == FORMAT:
            return _decoder.decode(body[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    raise StoreError("bad_context", "the context has a format this node does not know; get the key again")


def _seal(secret: bytes, key: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(len(key).to_bytes(4) + key + body, key=secret, digest_size=SEAL_BYTES).digest()
