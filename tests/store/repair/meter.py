"""What anti-entropy sends, counted as it leaves."""

from __future__ import annotations

from splitbrain.store.wire.datagrams import REPLY, REQUEST, RETRY, Wire
from splitbrain.store.wire.long_messages import LongMessages
from splitbrain.store.wire.messages import decode_reply, decode_request


class Meter:
    """Counts the datagrams of anti-entropy, and keeps its messages."""

    KINDS = ("CompareRoots", "CompareNodes", "CompareLeaves", "Swap", "Differing", "Children", "Listings", "Swapped")

    def __init__(self, box, monkeypatch):
        self.datagrams, self.messages = 0, []
        whole, cut, fragment = Wire.datagram, LongMessages._outgoing, Wire.fragment
        long = set()

        def meters(kind, payload):
            message = decode_reply(payload) if kind == REPLY else decode_request(payload)
            counts = type(message).__name__ in self.KINDS
            if counts:
                self.messages.append(message)
            return counts

        def counted(wire, kind, request_id, meant_for, payload):
            if kind in (REQUEST, RETRY, REPLY):
                self.datagrams += meters(kind, payload)
            return whole(wire, kind, request_id, meant_for, payload)

        def begun(messages, to, kind, request_id, meant_for, payload, **more):
            made = cut(messages, to, kind, request_id, meant_for, payload, **more)
            if meters(kind, payload):
                long.add(made.checksum)
            return made

        def counted_part(wire, kind, request_id, meant_for, checksum, *more, **named):
            self.datagrams += checksum in long
            return fragment(wire, kind, request_id, meant_for, checksum, *more, **named)

        monkeypatch.setattr(Wire, "datagram", counted)
        monkeypatch.setattr(LongMessages, "_outgoing", begun)
        monkeypatch.setattr(Wire, "fragment", counted_part)

    def of(self, kind):
        return [message for message in self.messages if isinstance(message, kind)]
