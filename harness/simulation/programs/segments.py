"""TCP segments as bytes: what a connection puts on the simulated network.

1. A segment that was changed on its way fails its checksum, and is dropped: TCP never hands over damaged bytes.
2. Sequence numbers have 64 bits, so they never wrap. Apart from that they are RFC 9293's.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

SYN, ACK, FIN, RST = 1, 2, 4, 8
_HEADER = struct.Struct(">HHBQQI")
_CHECKSUM_BYTES = 4


class Segment(NamedTuple):
    """source_port, target_port: of the two ends. seq: of its first byte. ack: the byte that is expected next.

    window: how many bytes from `ack` on its sender can take.
    """

    source_port: int
    target_port: int
    flags: int
    seq: int
    ack: int
    window: int
    payload: bytes

    @property
    def end(self) -> int:
        """The sequence number after it; SYN and FIN take one each."""
        return self.seq + len(self.payload) + bool(self.flags & SYN) + bool(self.flags & FIN)

    def encode(self) -> bytes:
        body = _HEADER.pack(*self[:-1]) + self.payload
        return zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "big") + body


def decode(datagram: bytes) -> Segment | None:
    """The segment, or None if it was damaged."""
    body = datagram[_CHECKSUM_BYTES:]
    if len(body) < _HEADER.size or zlib.crc32(body) != int.from_bytes(datagram[:_CHECKSUM_BYTES], "big"):
        return None
    source_port, target_port, flags, seq, ack, window = _HEADER.unpack_from(body)
    return Segment(source_port, target_port, flags, seq, ack, window, body[_HEADER.size :])
