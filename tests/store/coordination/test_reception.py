"""Reception: clients' requests that a node refuses before it does anything for them."""

from __future__ import annotations

import pytest

from splitbrain.store.config import KEY_BYTES_MAX, VALUE_BYTES_MAX
from tests.store.box import Box
from tests.store.coordination.replicas import nothing_stored


@pytest.fixture
def box():
    return Box(5, seed=1)


# Refusals


@pytest.mark.parametrize("key", [b"", b"k" * (KEY_BYTES_MAX + 1)])
@pytest.mark.parametrize("via", ["n1", "n2", "n3", "n4", "n5"])
def test_an_empty_or_oversized_key_is_refused(box, key, via):
    client = box.client(via)
    for call in (client.get(key), client.put(key, b"v")):
        assert call.error == "bad_key"
    assert nothing_stored(box, key)


def test_a_delete_without_a_context_is_refused(box):
    client = box.client()
    client.put(b"k", b"v")
    assert client.put(b"k", None).error == "bad_request"
    assert client.get(b"k").values == [b"v"]


def test_a_forged_or_another_keys_context_is_refused_and_nothing_is_stored(box):
    client = box.client()
    others = client.put(b"other", b"v").context
    for context in (b"", b"junk", others, others[:-1], others[:-1] + b"x", bytes(100_000)):
        assert client.put(b"k", b"v", context).error == "bad_context"
        assert client.delete(b"k", context).error == "bad_context"
    box.run_for(2.0)
    assert nothing_stored(box, b"k")


@pytest.mark.parametrize("quorum", [0, -1, 4, 2**63])
def test_a_quorum_the_cluster_cannot_have_is_refused(box, quorum):
    client = box.client()
    assert client.get(b"k", r=quorum).error == "bad_request"
    assert client.put(b"k", b"v", w=quorum).error == "bad_request"
    assert nothing_stored(box, b"k")


def test_a_value_over_the_limit_is_refused_by_the_node_too(box):
    assert box.client().put(b"k", bytes(VALUE_BYTES_MAX + 1)).error == "too_large"
    assert nothing_stored(box, b"k")
