"""Resolvers: one value of all siblings, put back in the place of all of them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitbrain.store.config import VALUE_BYTES_MAX
from splitbrain.store.errors import StoreError
from splitbrain.store.versions.crdts import CrdtError, GrowSet, ORSet, PNCounter
from splitbrain.store.versions.resolvers import Sibling, crdt, lww, merge, siblings
from tests.store.test_client import run

found = st.lists(st.builds(Sibling, st.binary(max_size=2), st.integers(0, 3)), max_size=5)
KEY = b"k"


@given(found, st.randoms(use_true_random=False))
def test_a_resolver_gives_the_same_for_the_same_siblings_in_any_order(some, rng):
    other = list(some)
    rng.shuffle(other)
    for resolver in (siblings, lww, merge(b"".join)):
        assert resolver.resolve(some) == resolver.resolve(other)


def test_a_key_without_a_value_has_the_empty_value():
    assert siblings.resolve([]) == ()
    assert lww.resolve([]) is None
    assert merge(b"".join).resolve([]) is None
    assert crdt(PNCounter).resolve([]) == PNCounter()


def test_last_write_wins_takes_the_newest_stamp_and_of_two_as_new_the_same_everywhere():
    assert lww.resolve([Sibling(b"z", 1), Sibling(b"a", 2)]) == b"a"
    assert lww.resolve([Sibling(b"a", 2), Sibling(b"b", 2)]) == b"b"


def test_a_merge_function_gets_all_siblings_sorted_and_is_not_asked_about_one():
    asked = []
    resolver = merge(lambda values: asked.append(values) or b"merged")
    assert resolver.resolve([Sibling(b"alone", 1)]) == b"alone"
    assert resolver.resolve([Sibling(b"c", 1), Sibling(b"a", 3), Sibling(b"b", 2)]) == b"merged"
    assert asked == [[b"a", b"b", b"c"]]


def test_several_values_can_not_be_put_as_one():
    with pytest.raises(ValueError, match="2 values to store under one key: make one of them"):
        siblings.encode((b"a", b"b"))
    assert siblings.encode((b"a",)) == b"a"
    assert siblings.encode(()) is None


# Through the store


async def two_siblings(client, one, other):
    await client.put(KEY, one)
    await client.put(KEY, other)


def test_siblings_are_read_as_one_value_and_replaced_by_one_put():
    async def scenario(stand):
        client = stand.client
        await two_siblings(client, b"a", b"b")
        assert (await client.read(KEY, siblings)).value == (b"a", b"b")
        assert (await client.read(KEY, lww)).value == b"b"
        assert (await client.read(KEY, merge(b"+".join))).value == b"a+b"
        assert (await client.get(KEY)).values == (b"a", b"b")
        written = await client.update(KEY, lambda value: value + b"!", merge(b"+".join))
        assert written.value == b"a+b!"
        assert (await client.get(KEY)).values == (b"a+b!",)

    run(scenario)


def test_the_context_of_an_update_goes_on_from_it():
    async def scenario(stand):
        written = await stand.client.update(KEY, lambda _: b"a", lww)
        await stand.client.put(KEY, b"b", written.context)
        assert (await stand.client.get(KEY)).values == (b"b",)

    run(scenario)


def test_an_update_to_nothing_deletes_all_siblings():
    async def scenario(stand):
        await two_siblings(stand.client, b"a", b"b")
        assert (await stand.client.update(KEY, lambda _: (), siblings)).value == ()
        assert (await stand.client.get(KEY)).values == ()

    run(scenario)


def test_of_two_updates_at_once_neither_is_lost():
    """The second reads before the first has written, and so puts with a context that does not cover it."""

    async def scenario(stand):
        client, cart = stand.client, crdt(ORSet)
        await client.update(KEY, lambda value: value.add(b"milk", b"1").add(b"bread", b"2"), cart)
        read = await client.read(KEY, cart)
        await client.update(KEY, lambda value: value.remove(b"milk"), cart)
        await client.put(KEY, read.value.add(b"eggs", b"3").encode(), read.context)
        assert len((await client.get(KEY)).values) == 2
        merged = await client.read(KEY, cart)
        assert merged.value.elements == {b"bread", b"eggs"}
        await client.update(KEY, lambda value: value, cart)
        assert len((await client.get(KEY)).values) == 1

    run(scenario)


def test_interleaved_updates_of_a_counter_and_of_a_set_all_count():
    async def scenario(stand):
        client, rng = stand.client, random.Random(1)
        reads = {}
        for number in range(60):
            actor = b"%d" % rng.randrange(4)
            if rng.random() < 0.5 or actor not in reads:
                reads[actor] = await client.read(KEY, crdt(GrowSet)), await client.read(b"count", crdt(PNCounter))
                continue
            seen, counted = reads.pop(actor)
            await client.put(KEY, seen.value.add(b"%d" % number).encode(), seen.context)
            await client.put(b"count", counted.value.add(actor).encode(), counted.context)
            done.append(b"%d" % number)
        assert (await client.read(KEY, crdt(GrowSet))).value.elements == set(done)
        assert (await client.read(b"count", crdt(PNCounter))).value.value == len(done)

    done = []
    run(scenario)
    assert len(done) > 10


def test_an_update_that_fails_says_so_and_is_not_tried_again():
    async def scenario(stand):
        changes = []
        with pytest.raises(StoreError) as refusal:
            await stand.client.update(KEY, lambda _: changes.append(1) or bytes(VALUE_BYTES_MAX + 1), lww)
        assert refusal.value.code == "too_large"
        assert changes == [1]

    run(scenario)


def test_a_key_in_other_use_is_left_alone():
    async def scenario(stand):
        await stand.client.put(KEY, b"not a cart")
        with pytest.raises(CrdtError, match="is no OR-set"):
            await stand.client.update(KEY, lambda cart: cart.add(b"milk", b"1"), crdt(ORSet))
        assert (await stand.client.get(KEY)).values == (b"not a cart",)

    run(scenario)
