"""Puts that are sent again: one version, one dot, and a clock that does not grow."""

from __future__ import annotations

import pytest

from splitbrain.store.config import Config
from splitbrain.store.coordination.new_version import STATE_BYTES_MAX
from splitbrain.store.wire.client_messages import Put
from tests.store.box import Box
from tests.store.coordination.replicas import key_and_primaries, strangers


@pytest.fixture
def box():
    return Box(5, seed=1)


def test_a_put_retried_through_two_coordinators_reads_as_one_value(box):
    key, primaries = key_and_primaries(box)
    put, number = Put(key, b"v", None), 12345
    client = box.client(primaries[0])
    for primary in primaries[:2]:
        client.core._rpc.ask(box.hosts[primary].address, put, box.now + 3.0, lambda reply: None, number)
        box.send_all(client.address, client.core._actions())
        box.run_until(lambda primary=primary: box.values(primary, key) == [b"v"])
        box.run_for(0.5)
    found = client.get(key)
    assert found.values == [b"v"]
    assert [len(box.versions(primary, key)) for primary in primaries] == [1, 1, 1]
    client.put(key, b"w", found.context)
    assert client.get(key).values == [b"w"]


def test_a_client_that_goes_to_another_node_while_both_do_its_put_reads_one_value(box):
    """The first coordinator's answer is lost, and it is cut off from the second, so two dots are made."""
    key, primaries = key_and_primaries(box)
    box.cut(primaries[0], "client", both=False)
    box.cut(primaries[0], primaries[1])
    client = box.client(primaries[0], primaries[1])
    assert client.put(key, b"v").ok
    box.heal()
    box.run_for(3.0)
    found = box.client(primaries[2]).get(key)
    assert found.values == [b"v"]
    assert box.client(primaries[2]).put(key, b"w", found.context).ok
    box.run_until(lambda: box.agree(key), 5.0)
    assert box.values(primaries[1], key) == [b"w"]
    assert len(box.versions(primaries[0], key)) == 1


def replaced_before_they_met(config):
    """Two homes do one put, apart from each other, and somebody replaces it at the first. What a client reads in the end."""
    box = Box(5, seed=1, config=config)
    key, (first, second, third) = key_and_primaries(box)
    client = box.client(first, second)
    assert client.get(key).ok  # They know each other: the put is taken at once.
    box.cut(first, "client", both=False)
    box.isolate(first, third)
    assert client.put(key, b"v").ok
    box.run_for(1.0)
    assert {box.versions(name, key)[0].coordinator for name in (first, second)} == {first, second}
    other = box.client(third)
    assert other.put(key, b"w", other.get(key).context).ok
    box.heal()
    box.run_until(lambda: box.agree(key), 20.0)
    return box.client(second).get(key, 3).values


def test_what_replaced_a_put_at_one_coordinator_replaces_it_at_the_other_when_they_meet():
    """It came back, as a sibling of its own successor."""
    assert replaced_before_they_met(Config(anti_entropy_s=0)) == [b"w"]


def test_without_an_identity_it_comes_back():
    """Else the test above could not fail."""
    defect = Config(anti_entropy_s=0, defect="retry-without-deduplication", unsafe=True)
    assert replaced_before_they_met(defect) == [b"v", b"w"]


def test_a_retried_put_with_the_same_request_id_makes_one_version(box):
    key, primaries = key_and_primaries(box)
    lost = iter([True, True, True])
    box.wiretap = lambda source, target, datagram: not (target == "client" and next(lost, False))
    assert box.client(primaries[0]).put(key, b"v").ok
    box.run_for(1.0)
    assert [len(box.versions(primary, key)) for primary in primaries] == [1, 1, 1]


def test_a_put_that_was_known_under_another_dot_spends_the_dot_it_was_given(box):
    """Else the giver's dots have a gap for ever, and every later one stays apart from the clock, in every message."""
    key, primaries = key_and_primaries(box)
    first, second = strangers(box, key)
    box.cut(first, "client", both=False)
    client = box.client(first, second)
    assert client.put(key, b"v").ok
    box.heal()
    through = box.client(second)
    context = through.get(key).context
    for i in range(10):
        context = through.put(key, b"%d" % i, context).context
    box.run_for(2.0)
    assert [box.state(primary, key).seen.cloud for primary in primaries] == [()] * 3


def test_a_fallback_that_refuses_a_put_gives_its_actor_up(box, monkeypatch):
    key, primaries = key_and_primaries(box)
    for primary in primaries:
        box.crash(primary)
    box.run_for(3.0)
    one = strangers(box, key)[0]
    client = box.client(one)
    assert client.put(key, b"a").ok
    monkeypatch.setattr("splitbrain.store.coordination.new_version.STATE_BYTES_MAX", 10)
    assert client.put(key, b"b").error == "too_large"
    monkeypatch.setattr("splitbrain.store.coordination.new_version.STATE_BYTES_MAX", STATE_BYTES_MAX)
    for i in range(5):
        assert client.put(key, b"c%d" % i).ok
    assert all(state.seen.cloud == () for state in box.hints().values())


def test_writes_through_a_fallback_do_not_make_the_clock_grow(box):
    key, primaries = key_and_primaries(box)
    for primary in primaries:
        box.crash(primary)
    box.run_for(3.0)
    client, context = box.client(strangers(box, key)[0]), None
    for i in range(50):
        context = client.put(key, b"%d" % i, context).context
    assert all(len(state.seen.clock) <= 2 for state in box.hints().values())
