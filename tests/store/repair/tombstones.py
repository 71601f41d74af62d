"""Deleted keys in a cluster in a box: whether they are gone, and whether a value turned up again."""

from __future__ import annotations

from splitbrain.store.config import Config
from splitbrain.store.repair.merkle import digest
from splitbrain.store.repair.tombstone_gc import PATIENCE_S, REST_S, UNDER_WAY_S
from splitbrain.store.versions.dotted import EMPTY
from splitbrain.store.wire.peer_messages import AskQuiet

GRACE_S = 20.0
QUIET_S = UNDER_WAY_S + 2.0
CYCLE_S = REST_S[0] + QUIET_S + 2 * PATIENCE_S
"""From the end of one pass to the next collection, if no node is away."""
CONFIG = Config(tombstone_grace_s=GRACE_S, anti_entropy_s=2.0, partitions=8)


def deleted(box, key, value=b"v"):
    """Put and delete a key, through its first primary replica. Returns the context of the delete."""
    client = box.client(box.ring.primaries(key)[0])
    context = client.put(key, value, w=3).context
    call = client.delete(key, context)
    assert call.ok
    return call.context


def gone(box, *keys):
    return all(box.state(name, key) == EMPTY for name in box.names for key in keys)


def alive(box, *keys):
    return [(name, key) for name in box.names for key in keys if box.values(name, key)]


def never_alive(box, seconds, *keys):
    """Let time pass; fails if a value turns up anywhere."""
    until = box.now + seconds
    while box.now < until:
        box.run_for(0.5)
        assert not alive(box, *keys)


def say(box, name, key, state):
    view = box.membership(name).view
    (answer,) = box.client(name).ask(AskQuiet(view, [(key, digest(key, state))])).reply.answers
    return answer
