"""What gets and puts have in common: which replicas make a quorum of either."""

from __future__ import annotations

import pytest

from splitbrain.store.config import Config
from tests.store.box import Box
from tests.store.coordination.replicas import key_and_primaries, strangers


@pytest.fixture
def box():
    return Box(5, seed=1)


def test_a_sloppy_cluster_serves_a_key_whose_primaries_are_all_gone(box):
    key, primaries = key_and_primaries(box)
    for primary in primaries:
        box.crash(primary)
    box.run_for(3.0)
    one, other = strangers(box, key)
    assert box.client(one).put(key, b"v").ok
    assert box.client(one).get(key).values == [b"v"]
    assert box.client(other).get(key).values == [b"v"]
    for primary in primaries:
        box.start(primary)
    box.run_until(lambda: box.agree(key), 6.0)
    assert box.values(primaries[2], key) == [b"v"]


def test_primaries_only_counts_do_not_take_fallbacks():
    box = Box(5, seed=1, config=Config(pw=2, pr=2))
    key, primaries = key_and_primaries(box)
    assert box.client(primaries[0]).put(key, b"v").ok
    assert box.client(primaries[0]).get(key).ok
    box.crash(primaries[1])
    box.crash(primaries[2])
    assert box.client(primaries[0]).put(key, b"w").error == "quorum_failed"
    assert box.client(primaries[0]).get(key).error == "quorum_failed"
