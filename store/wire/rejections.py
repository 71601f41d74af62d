"""Rejections: tell the sender of a datagram that can't be opened why it gets no answer.

    magic 2 | protocol version 1 | reason 1 | of the datagram it is about: incarnation 8, sequence number 4

1. A rejection is not sealed, since the two sides have no key, no cluster or no protocol in common: anyone can forge
   one. So it changes no outcome, no retry and no route. It is only shown, as what an address *says*, beside a timeout.
2. It repeats incarnation and sequence number of the datagram that it is about, and is believed only if that datagram
   was sent. So an attacker who does not see our datagrams can't forge one.
3. It is smaller than the datagram it is about, is never sent about another rejection, and a node sends a few a second
   in all.
4. The node's own log says who sends such datagrams, and which peers reject its own: a line a minute for each kind.

Every protocol version keeps to this layout, and to the first 23 bytes of a datagram (`datagrams`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from splitbrain.store.actions import Address, host_port
from splitbrain.store.wire.datagrams import NONCE, PROTOCOL, Wire

REJECTIONS_A_SECOND = 5
NOTE_EVERY_S = 60.0

_MAGIC = b"sN"
_REJECTION = struct.Struct("!2sBB12s")
_REASONS = {"other_protocol": 1, "other_cluster": 2, "forged": 3}
_SAYS = {
    1: "it speaks version {theirs} of the protocol, this program speaks {ours}: use the same version of splitbrain",
    2: "it is of another cluster: give the cluster's name that it was started with",
    3: "it has another cluster key: use the key file that it was started with",
}
_SENDS = {
    "other_protocol": "of another version of the protocol: use the same version of splitbrain everywhere",
    "other_cluster": "of another cluster: correct its --cluster, or the addresses it is given",
    "forged": "that do not open under this cluster's key: give it this cluster's key file, if it belongs here",
    "malformed": "that are none of the store's: find out what sends them, and keep it away from this port",
}


def rejection(reason: str, datagram: bytes) -> bytes | None:
    """The rejection of a datagram that was refused for that reason (`datagrams.Refused`); None: there is none."""
    code = _REASONS.get(reason)
    # A datagram refused for one of these reasons is longer than any rejection: `Wire.open` checks its length first.
    return None if code is None else _REJECTION.pack(_MAGIC, PROTOCOL, code, datagram[NONCE])


def said(datagram: bytes, wire: Wire) -> str | None:
    """The text of a rejection of one of `wire`'s own datagrams; None if the datagram is no such rejection."""
    if len(datagram) != _REJECTION.size:
        return None
    magic, protocol, code, nonce = _REJECTION.unpack(datagram)
    if magic != _MAGIC or code not in _SAYS or not wire.sent(nonce):
        return None
    return _SAYS[code].format(theirs=protocol, ours=PROTOCOL)


class Rejections:
    """A node's rejections: sends them, and logs those that it gets.

    send: sends a datagram. note: writes a line to the log.
    """

    def __init__(self, send: Callable[[Address, bytes], None], note: Callable[[str], None]) -> None:
        self._send = send
        self._note = note
        self._second = -1
        self._sent = 0
        self._noted: dict[str, float] = {}
        self._unnoted: dict[str, int] = {}

    def refused(self, reason: str, datagram: bytes, source: Address, now: float) -> None:
        """A datagram from that address could not be opened."""
        answer = rejection(reason, datagram)
        if answer is not None and self._may_send(now):
            self._send(source, answer)
        if reason in _SENDS:
            self._count(reason, f"{host_port(source)} sends datagrams {_SENDS[reason]}", now)

    def heard(self, source: Address, text: str, now: float) -> None:
        """A rejection of one of this node's own datagrams has come."""
        self._count("says", f"{host_port(source)} says: {text}", now)

    def _may_send(self, now: float) -> bool:
        if int(now) != self._second:
            self._second, self._sent = int(now), 0
        self._sent += 1
        return self._sent <= REJECTIONS_A_SECOND

    def _count(self, kind: str, text: str, now: float) -> None:
        noted = self._noted.get(kind)
        if noted is not None and now - noted < NOTE_EVERY_S:
            self._unnoted[kind] = self._unnoted.get(kind, 0) + 1
            return
        more = self._unnoted.pop(kind, 0)
        self._noted[kind] = now
        self._note(f"{text} ({more} more since the last such line)" if more else text)
