"""The replica service: what a node answers for itself, and what as a fallback."""

from __future__ import annotations

import pytest

from splitbrain.store.config import KEY_BYTES_MAX
from splitbrain.store.versions.dotted import EMPTY, NOTHING, write
from splitbrain.store.wire.client_messages import Failed, Held, Local
from splitbrain.store.wire.peer_messages import Moved, Read, State, Write, Written
from tests.store.box import Box


def test_a_fallback_asked_for_a_key_answers_with_its_hints_and_no_primary_does():
    box = Box(4, seed=3)
    key = next(box.keys())
    (fallback,) = [name for name in box.names if name not in box.ring.primaries(key)]
    primary = box.ring.primaries(key)[0]
    state, _ = write(EMPTY, NOTHING, dot=(1, 1), value=b"v", request_id=1, coordinator="n", wall_ns=0)
    box.isolate(primary)
    assert box.client(fallback).ask(Read(key)).reply == Moved()
    assert box.client(fallback).ask(Write(key, state)).reply == Moved()
    assert box.client(fallback).ask(Read(key, primary)).reply == State(None)
    assert box.client(fallback).ask(Write(key, state, primary)).reply == Written()
    assert box.client(fallback).ask(Read(key, primary)).reply == State(state)
    assert box.client(fallback).ask(Local(key)).reply == Held(False, EMPTY, [primary])
    assert box.client(primary).ask(Read(key)).reply == State(EMPTY, 0)


@pytest.mark.parametrize("key", [b"", b"k" * (KEY_BYTES_MAX + 1)])
def test_an_empty_or_oversized_key_is_refused_from_nodes_too(key):
    box = Box(3)
    state, _ = write(EMPTY, NOTHING, dot=(1, 1), value=b"v", request_id=1, coordinator="n", wall_ns=0)
    for request in (Read(key), Write(key, state), Write(key, state, "n2"), Local(key)):
        reply = box.client("n1").ask(request).reply
        assert isinstance(reply, Failed)
        assert reply.code == "bad_key"
    assert not box.versions("n1", key)
    assert not box.hints()


def test_a_hint_for_an_unknown_owner_is_refused():
    box = Box(4)
    key = box.key(others="n1")
    reply = box.client("n1").ask(Write(key, EMPTY, "nobody")).reply
    assert isinstance(reply, Failed)
    assert reply.code == "bad_request"
