"""Datagrams: a message cut into fragments, each sealed under the cluster's key.

    In bytes: magic 2 | protocol version 1 | cluster 8 | incarnation 8 | sequence 4 | AES-GCM( fragment ) 16 more

    fragment: flags, kind 1 | request id 8 | receiver's incarnation 8 | checksum 4 | index 2 | count 2 | name length 1
        | name | chunk

1. No datagram is longer than 1,200 bytes, which common networks carry without fragmenting them again.
2. The nonce is the sender's incarnation and its sequence number. It is never used twice: an incarnation is random and
   new at every start. A sender that runs out of sequence numbers (at 50,000 datagrams a second: once a day) begins a
   new incarnation.
3. Datagrams that fail authentication are dropped; `rejections` tells their senders why. A sender's own datagrams are
   dropped, too, if they are sent back to it.
4. A replayed datagram is refused: for each sender incarnation, a window remembers the last 4,096 sequence numbers that
   were accepted. Opening a datagram is remembered nowhere: otherwise a stray copy could push known senders out of the
   table, or shut out its original.
5. Another node, or the same after a restart, has no such window. So a datagram names the incarnation that it is meant
   for, and is valid for that one only. A node that remembers too many senders begins a new incarnation, and forgets
   them.
6. Fragments belong together if sender incarnation, kind, request id and the whole message's checksum agree. A retry
   supplies what the first try lost. Which have come, the receiver says (`progress`); `flow` sends the others.
"""

from __future__ import annotations

import hashlib
import struct
import zlib

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from splitbrain.store.actions import Bits

DATAGRAM_BYTES_MAX = 1200
KEY_BYTES = 32
REQUEST, REPLY, RETRY, HELLO, PROGRESS = range(5)
"""RETRY: a request that went to an earlier incarnation before, under the same id. HELLO: the answer to a request for
another incarnation. PROGRESS: which fragments of a long message have come (`progress`)."""

PROTOCOL = 4
NONCE = slice(11, 23)
"""Where incarnation and sequence number are in a datagram, in every version of the protocol."""

_MAGIC = b"sB"
_OUTER = struct.Struct("!2sB8sQI")
_NONCE = struct.Struct("!QI")
_INNER = struct.Struct("!BQQIHHB")
_SEQUENCE_BYTES = 4
_SEQUENCE_MAX = (1 << 8 * _SEQUENCE_BYTES) - 1
_OUTER_BYTES, _INNER_BYTES, _TAG_BYTES = _OUTER.size, _INNER.size, 16
_NAME_BYTES_MAX = 255
_ASKS, _DEFERS = 0x80, 0x40
_KIND_MASK = 0x3F
_WINDOW = 4096
_WINDOW_MASK = (1 << _WINDOW) - 1
_INCARNATIONS_REMEMBERED = 16_384


class Refused(Exception):
    """A datagram that is dropped. `reason` is the counter to increment."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Fragment(msgspec.Struct, frozen=True, gc=False):
    """An opened datagram.

    incarnation: the sender's, a random 64-bit number that is new at every start. kind: REQUEST, REPLY, HELLO or
    PROGRESS. request_id: 64 bits, chosen by the requester. meant_for: the receiver's incarnation; 0 if the sender does
    not know it. checksum: the whole message's; in a HELLO, that of the sender's name; in a PROGRESS, that of the
    message it is about. part, parts: the fragment's index, and how many there are. retried: whether a request was sent
    to an earlier incarnation. sequence: the datagram's number within that incarnation. asks: whether the sender waits
    to hear which fragments have come. defers: whether it takes `busy` for an answer, before the message is there.
    """

    incarnation: int
    name: str
    kind: int
    request_id: int
    meant_for: int
    checksum: int
    part: int
    parts: int
    chunk: bytes
    retried: bool = False
    sequence: int = 0
    asks: bool = False
    defers: bool = False


class Wire:
    """Seals and opens datagrams for one sender, from its start to its end.

    secret: the cluster's key, 32 bytes. cluster: its name. name: the sender's, at most 255 bytes. Raises ValueError for
    a key or a name of another length.
    """

    def __init__(self, secret: bytes, cluster: str, name: str, bits: Bits) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"the cluster key has {len(secret)} bytes; it must have {KEY_BYTES}")
        self._bits = bits
        self.incarnation = bits(64)
        self._name = name.encode()
        if len(self._name) > _NAME_BYTES_MAX:
            raise ValueError(f"the name {name[:20]}... has {len(self._name)} bytes; give at most {_NAME_BYTES_MAX}")
        self._name_checksum = name_checksum(name)
        self._cluster = hashlib.blake2b(cluster.encode(errors="surrogateescape"), digest_size=8).digest()
        self._head = self._heading()
        self._seal = AESGCM(hashlib.blake2b(b"datagram", key=secret).digest()[:32])
        self._sequence = 0
        self._windows: dict[int, _Window] = {}
        self.chunk_bytes = DATAGRAM_BYTES_MAX - _OUTER_BYTES - _TAG_BYTES - _INNER_BYTES - len(self._name)

    def fragment(
        self,
        kind: int,
        request_id: int,
        meant_for: int,
        checksum: int,
        index: int,
        count: int,
        chunk: bytes,
        *,
        asks: bool = False,
        defers: bool = False,
    ) -> bytes:
        """Seal one fragment of a message, freshly numbered. Arguments: as in `Fragment`."""
        flagged = kind | (_ASKS if asks else 0) | (_DEFERS if defers else 0)
        inner = _INNER.pack(flagged, request_id, meant_for, checksum, index, count, len(self._name))
        return self._sealed(inner + self._name + chunk)

    def datagram(self, kind: int, request_id: int, meant_for: int, payload: bytes) -> bytes:
        """Seal a message of at most one chunk, as nearly all are."""
        inner = _INNER.pack(kind, request_id, meant_for, zlib.crc32(payload), 0, 1, len(self._name))
        return self._sealed(inner + self._name + payload)

    def hello(self, request_id: int, meant_for: int) -> bytes:
        """Tell the sender of that request this incarnation, and its name as a checksum: smaller than any request."""
        return self._sealed(_INNER.pack(HELLO, request_id, meant_for, self._name_checksum, 0, 1, 0))

    def open(self, datagram: bytes) -> Fragment:
        """Open a datagram. Raises Refused; costs at most one decryption, and changes nothing: see `accept`."""
        if not _OUTER_BYTES + _TAG_BYTES + _INNER_BYTES <= len(datagram) <= DATAGRAM_BYTES_MAX:
            raise Refused("malformed")
        magic, protocol, cluster, incarnation, sequence = _OUTER.unpack_from(datagram)
        if magic != _MAGIC:
            raise Refused("malformed")
        if protocol != PROTOCOL:
            raise Refused("other_protocol")
        if cluster != self._cluster:
            raise Refused("other_cluster")
        if incarnation == self.incarnation:
            raise Refused("reflected")
        window = self._windows.get(incarnation)
        if window is not None and window.has(sequence):
            raise Refused("replayed")
        try:
            inner = self._seal.decrypt(datagram[NONCE], datagram[_OUTER_BYTES:], datagram[:_OUTER_BYTES])
        except InvalidTag:
            raise Refused("forged") from None
        return _parse(incarnation, sequence, inner)

    def accept(self, fragment: Fragment) -> None:
        """Refuse that datagram from now on. Only what is meant for this incarnation may be accepted, and only once."""
        window = self._windows.get(fragment.incarnation)
        if window is None:
            if len(self._windows) >= _INCARNATIONS_REMEMBERED:
                # To forget some of them would admit their datagrams again.
                self._windows.clear()
                self._renew()
            window = self._windows[fragment.incarnation] = _Window()
        window.add(fragment.sequence)

    def sent(self, nonce: bytes) -> bool:
        """Whether a datagram of this incarnation and sequence number was sent from here."""
        incarnation, sequence = _NONCE.unpack(nonce)
        return bool(incarnation == self.incarnation and 0 < sequence <= self._sequence)

    def _renew(self) -> None:
        # Answers under way are for the old incarnation, and are dropped; the retries go out under the new one.
        self.incarnation, self._sequence = self._bits(64), 0
        self._head = self._heading()

    def _heading(self) -> bytes:
        """The bytes with which all datagrams of this incarnation begin."""
        return _OUTER.pack(_MAGIC, PROTOCOL, self._cluster, self.incarnation, 0)[:-_SEQUENCE_BYTES]

    def _sealed(self, inner: bytes) -> bytes:
        if self._sequence >= _SEQUENCE_MAX:
            self._renew()
        self._sequence += 1
        outer = self._head + self._sequence.to_bytes(_SEQUENCE_BYTES)
        return outer + self._seal.encrypt(outer[NONCE], inner, outer)


class _Window:
    """Which of a sender's last sequence numbers have come; older ones count as having come."""

    __slots__ = ("_highest", "_seen")

    def __init__(self) -> None:
        self._highest = 0
        self._seen = 0  # bit i: highest - i

    def has(self, sequence: int) -> bool:
        age = self._highest - sequence
        return age >= _WINDOW or (age >= 0 and bool(self._seen >> age & 1))

    def add(self, sequence: int) -> None:
        ahead = sequence - self._highest
        if ahead > 0:
            self._seen = (self._seen << ahead) & _WINDOW_MASK if ahead < _WINDOW else 0
            self._highest = sequence
            ahead = 0
        self._seen |= 1 << -ahead


def name_checksum(name: str) -> int:
    """What a HELLO has in the place of its sender's name."""
    return zlib.crc32(name.encode())


def _parse(incarnation: int, sequence: int, inner: bytes) -> Fragment:
    flagged, request_id, meant_for, checksum, index, count, name_length = _INNER.unpack_from(inner)
    kind = flagged & _KIND_MASK
    body = _INNER_BYTES + name_length
    if kind > PROGRESS or index >= count or body > len(inner):
        raise Refused("malformed")
    try:
        name = inner[_INNER_BYTES:body].decode()
    except UnicodeDecodeError:
        raise Refused("malformed") from None
    retried = kind == RETRY
    return Fragment(
        incarnation,
        name,
        REQUEST if retried else kind,
        request_id,
        meant_for,
        checksum,
        index,
        count,
        inner[body:],
        retried,
        sequence,
        flagged >= _ASKS,
        bool(flagged & _DEFERS),
    )
