"""Hybrid logical clocks, and what last write wins makes of them and of wall clocks."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitbrain.store.config import Config
from splitbrain.store.versions.clocks import Clocks
from splitbrain.store.versions.dotted import EMPTY, NOTHING, STAMP_MAX, WALL_NS_MAX, siblings
from splitbrain.store.versions.hlc import DRIFT_MAX_NS, HybridClock
from tests.store.box import Box

LWW = Config(conflicts="lww")
WALL = Config(conflicts="lww", lww_clock="wall")
YEAR_S = 365 * 86_400

steps = st.lists(
    st.tuples(
        st.integers(0, 2),  # which node writes
        st.sampled_from([0, 0, 1, 40]),  # how long after the step before
        st.none() | st.integers(0, 20),  # which of the writes so far it has seen
    ),
    max_size=40,
)
skews = st.lists(st.integers(0, 30), min_size=3, max_size=3)


@given(steps, skews)
def test_an_effect_is_stamped_after_its_cause_and_near_the_wall_clocks(steps, skews):
    clocks, now, stamps, last = [HybridClock() for _ in skews], 1000, [], {}
    for node, passed, cause in steps:
        now += passed
        seen = stamps[cause % len(stamps)] if stamps and cause is not None else 0
        stamp = clocks[node].stamp(now + skews[node], seen)
        assert stamp > seen
        assert stamp > last.get(node, 0)
        assert now + skews[node] <= stamp <= now + max(skews) + len(stamps)
        stamps.append(stamp)
        last[node] = stamp


@given(st.lists(st.tuples(st.integers(-5, WALL_NS_MAX), st.integers(0, STAMP_MAX)), max_size=20))
def test_no_clock_and_no_stamp_makes_one_that_cannot_be_stored(moments):
    clock = HybridClock()
    for wall_ns, seen in moments:
        assert max(wall_ns, min(seen + 1, STAMP_MAX)) <= clock.stamp(wall_ns, seen) <= STAMP_MAX


def test_a_clock_that_stands_still_or_steps_back_a_little_still_orders_writes():
    clock = HybridClock()
    assert [clock.stamp(wall_ns) for wall_ns in (1000, 1000, 400, 2000)] == [1000, 1001, 1002, 2000]


def test_a_stamp_absurdly_far_ahead_is_followed_by_the_write_that_saw_it_and_by_no_other():
    clock = HybridClock()
    far = 1000 + DRIFT_MAX_NS + 1
    assert clock.stamp(1000, far) == far + 1
    assert clock.stamp(2000) == 2000


def test_a_stamp_a_little_ahead_is_followed_by_all_later_writes():
    clock = HybridClock()
    ahead = 1000 + DRIFT_MAX_NS
    assert clock.stamp(1000, ahead) == ahead + 1
    assert clock.stamp(2000) == ahead + 2


def test_a_node_whose_own_clock_was_wrong_follows_it_back():
    clock = HybridClock()
    clock.stamp(10**18 + YEAR_S * 10**9)
    assert clock.stamp(10**18) == 10**18


def write(clocks, state, context, newest, wall_ns, counter=1):
    return clocks.write(
        state, context, newest, dot=(1, counter), value=b"v", request_id=counter, coordinator="n", wall_ns=wall_ns
    )[0]


def test_a_version_carries_the_wall_time_as_it_was_beside_its_stamp():
    (version,) = write(Clocks(LWW, Counter()), EMPTY, NOTHING, 1000, 400).versions
    assert (version.wall_ns, version.stamp) == (400, 1001)
    (version,) = write(Clocks(WALL, Counter()), EMPTY, NOTHING, 1000, 400).versions
    assert (version.wall_ns, version.stamp) == (400, 400)


@pytest.mark.parametrize("wall_ns", [-1, 0, WALL_NS_MAX, 1 << 70])
def test_what_the_most_wrong_clock_has_dated_can_still_be_replaced(wall_ns):
    clocks = Clocks(LWW, Counter())
    first = write(clocks, EMPTY, NOTHING, 0, wall_ns)
    later = write(clocks, first, first.seen, first.versions[0].stamp, 1000, counter=2)
    assert clocks.merge(first, later).versions == later.versions
    assert later.versions[0].stamp > first.versions[0].stamp


# Through the store


def overwrite(config, ahead_s):
    """A write through n1, whose clock is ahead, then one through n2 that has read it. Returns what is left of them."""
    box = Box(3, config=config)
    box.hosts["n1"].clock_ahead_s = ahead_s
    assert box.client("n1").put(b"k", b"first").ok
    box.run_for(1.0)
    client = box.client("n2")
    assert client.put(b"k", b"second", client.get(b"k").context).ok
    box.run_for(1.0)
    assert box.agree(b"k")
    return client.get(b"k", r=3).values


def test_under_skew_the_wall_clock_loses_an_acknowledged_write_that_had_seen_what_it_replaced_and_hybrid_does_not():
    assert overwrite(WALL, 60.0) == [b"first"]
    assert overwrite(LWW, 60.0) == [b"second"]
    assert overwrite(WALL, 0.0) == overwrite(LWW, 0.0) == [b"second"]


def test_a_blind_put_is_dated_after_what_its_coordinator_holds():
    box = Box(3, config=LWW)
    box.hosts["n1"].clock_ahead_s = 60.0
    box.client("n1").put(b"k", b"first")
    box.run_for(1.0)
    client = box.client("n2")
    assert client.put(b"k", b"second").ok
    assert client.get(b"k", r=3).values == [b"second"]


def test_a_put_on_a_node_that_lacks_what_its_context_covers_is_dated_after_it():
    box = Box(3, config=LWW)
    box.hosts["n1"].clock_ahead_s = 60.0
    box.isolate("n2")
    first = box.client("n1").put(b"k", b"first")
    assert box.client("n2").put(b"k", b"second", first.context, w=1).ok
    assert box.values("n3", b"k") != [b"second"]
    box.run_for(3.0)  # Until n2 no longer hands it to n1, which answered first: n1 would make the same write.
    box.heal()
    box.run_until(lambda: box.agree(b"k"))
    (version,) = box.versions("n1", b"k")
    assert (version.value, version.coordinator) == (b"second", "n2")
    assert version.ahead_ns > 0


def test_one_wrong_clock_spoils_only_the_keys_written_under_it_and_is_counted():
    box = Box(3, config=LWW)
    box.hosts["n3"].clock_ahead_s = YEAR_S
    box.client("n3").put(b"k", b"bad")
    box.run_for(1.0)
    client = box.client("n1")
    assert client.put(b"k", b"good", client.get(b"k").context).ok
    assert client.get(b"k", r=3).values == [b"good"]
    assert box.counter("n1", "stamps_far_ahead") == 1
    assert client.put(b"other", b"v").ok
    box.run_for(1.0)
    (version,) = box.versions("n1", b"other")
    assert version.ahead_ns == 0
    (spoilt,) = box.versions("n1", b"k")
    assert spoilt.ahead_ns > (YEAR_S - 60) * 10**9


def test_siblings_come_with_their_stamps():
    box = Box(3)
    box.client("n1").put(b"k", b"a")
    box.client("n2").put(b"k", b"b")
    box.run_for(1.0)
    reply = box.client("n3").get(b"k").reply
    assert dict(zip(reply.values, reply.stamps, strict=True)) == {v.value: v.stamp for v in box.versions("n3", b"k")}
    assert len(reply.values) == 2
    assert siblings(box.state("n3", b"k")) == reply.values
