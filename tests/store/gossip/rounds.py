"""Rounds of gossip in a box: what was said in them, and when nobody has learnt anything new."""

from __future__ import annotations

from splitbrain.store.config import Config, Member
from splitbrain.store.wire.changes import Change, Kind
from splitbrain.store.wire.datagrams import HELLO, REQUEST, Wire
from splitbrain.store.wire.messages import decode_reply, decode_request
from tests.store.box import CLUSTER, SECRET

QUIET = Config(partitions=4, anti_entropy_s=0)
ROUND_S = 0.2
RAPID = Config(partitions=4, anti_entropy_s=0, gossip_s=ROUND_S)


def member(number):
    return Member(f"x{number}", ("10.0.1.1", 7000 + number))


def joins(count, first=1):
    """Changes of a long history: nodes that joined and are gone again."""
    changes = []
    for number in range(first, first + count):
        for kind in (Kind.JOIN, Kind.GONE):
            changes.append(Change(len(changes) + 1, "n1", kind, f"x{number}", member(number).address))
    return changes


def overhear(box, *kinds):
    """Messages between nodes from now on: (time, source, target, message). Those of several fragments are left out."""
    heard, sent, opener = [], set(), Wire(SECRET, CLUSTER, "spy", lambda k: 1)

    def tap(source, target, datagram):
        fragment = opener.open(datagram)
        asked = (fragment.incarnation, fragment.request_id)
        # To a peer whose incarnation is unknown a request goes out twice.
        again = fragment.kind == REQUEST and not fragment.retried and asked in sent
        sent.add(asked)
        if fragment.parts == 1 and fragment.kind != HELLO and not again:
            decode = decode_request if fragment.kind == REQUEST else decode_reply
            message = decode(fragment.chunk)
            if not kinds or isinstance(message, kinds):
                heard.append((box.now, source, target, message))
        return True

    box.wiretap = tap
    return heard


def settle(box, *names, rounds=10):
    """Run until nobody has learnt anything new for that many rounds. Returns the views then."""
    known, since = set(), box.now
    until = box.now + 60.0
    while box.now - since < rounds * box.config.gossip_s:
        box.run_for(box.config.gossip_s / 2)
        now_known = {name for node in box.running for name in box.membership(node).identities}
        if now_known - known:
            known, since = known | now_known, box.now
        assert box.now < until, "the history never comes to rest"
    return box.views(*names)
