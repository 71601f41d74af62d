"""Notices: why a node does not answer, told to whoever sends what it can't open.

    magic 2 | protocol version 1 | reason 1 | of the datagram it is about: boot 8, sequence number 4

1. A notice is not sealed, since the two sides have no key, no cluster or no protocol in common: anybody can make one.
   So it changes nothing, no outcome, no retry, no route: it is shown, as what an address *says*, beside a timeout.
2. It repeats boot id and sequence number of the datagram it is about, and is believed to be about one only then: who
   does not see our datagrams can't put words into a node's mouth.
3. It is smaller than what it is about, never about another notice, and a node sends a few a second in all.
4. The node's own log says who sends such datagrams, and which peers say so of its own: a line a minute of each kind.

Every protocol version keeps to this layout, and to the first 23 bytes of `wire`'s.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from splitbrain.store.actions import Address
from splitbrain.store.wire.datagrams import NONCE, PROTOCOL, Wire

NOTICES_A_SECOND = 5
NOTE_EVERY_S = 60.0

_MAGIC = b"sN"
_NOTICE = struct.Struct("!2sBB12s")
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


def notice(reason: str, datagram: bytes) -> bytes | None:
    """What to answer a datagram that was refused for that reason (`wire.Refused`); None: nothing."""
    code = _REASONS.get(reason)
    # A datagram that is refused for one of these reasons is longer than any notice, as `Wire.open` sees to it.
    return None if code is None else _NOTICE.pack(_MAGIC, PROTOCOL, code, datagram[NONCE])


def said(datagram: bytes, wire: Wire) -> str | None:
    """What a notice about one of `wire`'s own datagrams says; None if the datagram is no such notice."""
    if len(datagram) != _NOTICE.size:
        return None
    magic, protocol, code, nonce = _NOTICE.unpack(datagram)
    if magic != _MAGIC or code not in _SAYS or not wire.sent(nonce):
        return None
    return _SAYS[code].format(theirs=protocol, ours=PROTOCOL)


class Notices:
    """A node's side: answers strangers, and keeps its log informed.

    send: puts a datagram on the wire. note: writes a line to the log.
    """

    def __init__(self, send: Callable[[Address, bytes], None], note: Callable[[str], None]) -> None:
        self._send = send
        self._note = note
        self._second = -1
        self._sent = 0
        self._noted: dict[str, float] = {}
        self._unnoted: dict[str, int] = {}

    def refused(self, reason: str, datagram: bytes, source: Address, now: float) -> None:
        """A datagram could not be opened."""
        answer = notice(reason, datagram)
        if answer is not None and self._may_send(now):
            self._send(source, answer)
        if reason in _SENDS:
            self._count(reason, f"{source[0]}:{source[1]} sends datagrams {_SENDS[reason]}", now)

    def heard(self, source: Address, text: str, now: float) -> None:
        """A notice about one of this node's own datagrams has come."""
        self._count("says", f"{source[0]}:{source[1]} says: {text}", now)

    def _may_send(self, now: float) -> bool:
        if int(now) != self._second:
            self._second, self._sent = int(now), 0
        self._sent += 1
        return self._sent <= NOTICES_A_SECOND

    def _count(self, kind: str, text: str, now: float) -> None:
        noted = self._noted.get(kind)
        if noted is not None and now - noted < NOTE_EVERY_S:
            self._unnoted[kind] = self._unnoted.get(kind, 0) + 1
            return
        more = self._unnoted.pop(kind, 0)
        self._noted[kind] = now
        self._note(f"{text} ({more} more since the last such line)" if more else text)
