"""Envelopes: what a message is between nodes, on a line and on the network.

1. A line is one JSON object with `src`, `dest` and `body`; whatever else it has is dropped. A body is any object.
2. On the network a message has a number and a checksum. One whose checksum is wrong was damaged on its way, and is
   dropped like a damaged packet: a node never sees half a message.

Source: the protocol document of Maelstrom (doc/protocol.md).
"""

from __future__ import annotations

import json
import struct
from zlib import crc32

import msgspec

_NUMBER, _CHECKSUM = struct.Struct(">Q"), struct.Struct(">I")
_SHOWN = 60


_TO_STANDARD_ERROR = "standard output is for messages alone, so log to standard error"
_UNDER_A_LOCK = "a line is one message, so threads that print need a lock around text and line's end"


class Malformed(ValueError):
    """A line that is no message. The message says what it is instead, and the remedy."""


class Envelope(msgspec.Struct):
    """A message. body: JSON, as its sender wrote it. id: the number that the harness gave it."""

    src: str
    dest: str
    body: msgspec.Raw
    id: int = 0


_decoder = msgspec.json.Decoder(Envelope)
_encode = msgspec.json.Encoder().encode


def read(line: bytes) -> Envelope:
    """The message in a line. Raises Malformed."""
    try:
        found = _decoder.decode(line)
        # The body is passed on as it is, so whoever reads it must find nothing wrong with it.
        body = msgspec.json.decode(found.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        remedy = _UNDER_A_LOCK if _begins_with_a_message(line) else _TO_STANDARD_ERROR
        raise Malformed(f"wrote {shown(line)}, which is no message ({problem}); {remedy}") from None
    if not isinstance(body, dict):
        raise Malformed(f"wrote {shown(line)}, whose body is no object; {_TO_STANDARD_ERROR}")
    return found


def _begins_with_a_message(line: bytes) -> bool:
    """Whether a whole object stands at the head of the line, as when two threads print at once."""
    try:
        found, end = json.JSONDecoder().raw_decode(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and bool(line[end:].strip())


def line_of(message: Envelope) -> bytes:
    """The message as a line."""
    return _encode(message) + b"\n"


def packed(number: int, body: bytes) -> bytes:
    """A numbered body as the network carries it."""
    numbered = _NUMBER.pack(number) + body
    return _CHECKSUM.pack(crc32(numbered)) + numbered


def unpacked(datagram: bytes) -> tuple[int, bytes] | None:
    """Number and body; None if it was damaged (rule 2)."""
    numbered = datagram[_CHECKSUM.size :]
    if _CHECKSUM.unpack_from(datagram)[0] != crc32(numbered):
        return None
    return _NUMBER.unpack_from(numbered)[0], numbered[_NUMBER.size :]


def shown(line: bytes) -> str:
    """The beginning of a line, for people."""
    text = ascii(line[:_SHOWN].decode("utf-8", "replace"))
    return f"{text}..." if len(line) > _SHOWN else text
