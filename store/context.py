"""The context: what a get hands to the client, and the client hands back with its put.

1. It is opaque to clients: a format version, the dots of what was read, and a seal.
2. The seal is keyed with the cluster's key and covers the key it was read from: a forged or damaged context, or
   another key's, is refused.

Dynamo (SOSP 2007), section 4.1.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from store.errors import StoreError
from store.versions import NOTHING, Seen

FORMAT = b"\x01"
SEAL_BYTES = 16

_decoder = msgspec.msgpack.Decoder(Seen)


def issue(secret: bytes, key: bytes, seen: Seen) -> bytes:
    """A context for that key which covers those dots."""
    body = FORMAT + msgspec.msgpack.encode(seen)
    return body + _seal(secret, key, body)


def accept(secret: bytes, key: bytes, context: bytes | None) -> Seen:
    """The dots in the context; none for None, a blind write. Raises StoreError `bad_context`."""
    if context is None:
        return NOTHING
    body, seal = context[:-SEAL_BYTES], context[-SEAL_BYTES:]
    if not hmac.compare_digest(seal, _seal(secret, key, body)):
        raise StoreError("bad_context", "the context is not one this cluster gave for this key; get the key again")
    if body[:1] != FORMAT:
        raise StoreError("bad_context", "the context has a format this node does not know; get the key again")
    return _decoder.decode(body[1:])


def _seal(secret: bytes, key: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(len(key).to_bytes(4) + key + body, key=secret, digest_size=SEAL_BYTES).digest()
