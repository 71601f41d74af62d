"""The algebra of the CRDTs, over random histories of updates and merges; and what goes wrong without them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitbrain.store.versions.crdts import CrdtError, GrowSet, ORSet, PNCounter

KINDS = [GrowSet, ORSet, PNCounter]
ELEMENTS = [b"", b"milk", b"eggs", b"\xff\x00"]


def update(value, step, number, at):
    """One step of a history at one replica; tags and actors are unique, as they must be."""
    amount, element = step
    match value:
        case GrowSet():
            return value.add(element)
        case ORSet():
            return value.remove(element) if amount < 0 else value.add(element, b"%d" % number)
        case PNCounter():
            return value.add(b"%d" % at, amount)


@st.composite
def worlds(draw):
    """Three replicas of one value, and everything they ever were."""
    replicas = [draw(st.sampled_from(KINDS))()] * 3
    snapshots = [replicas[0]]
    for number in range(draw(st.integers(1, 15))):
        at = draw(st.integers(0, 2))
        if draw(st.booleans()):
            step = (draw(st.integers(-3, 3)), draw(st.sampled_from(ELEMENTS)))
            replicas[at] = update(replicas[at], step, number, at)
        else:
            replicas[at] = replicas[at].merge(draw(st.sampled_from(snapshots)))
        snapshots.append(replicas[at])
    return snapshots


@given(worlds(), st.data())
def test_merge_is_commutative_associative_and_idempotent(snapshots, data):
    a, b, c = (data.draw(st.sampled_from(snapshots)) for _ in range(3))
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(a) == a
    assert a.merge(a.merge(b)) == a.merge(b)
    assert type(a)().merge(a) == a


@given(worlds(), st.integers(-3, 3), st.sampled_from(ELEMENTS))
def test_an_update_contains_what_it_was_made_from(snapshots, amount, element):
    before = snapshots[-1]
    after = update(before, (amount, element), 99, 9)
    assert before.merge(after) == after


@given(worlds(), st.data())
def test_values_come_back_as_they_were_encoded_and_equal_ones_are_equal_bytes(snapshots, data):
    a, b = (data.draw(st.sampled_from(snapshots)) for _ in range(2))
    assert type(a).decode(a.encode()) == a
    assert a.merge(b).encode() == b.merge(a).encode()
    assert type(a).decode(a.merge(b).encode()).encode() == b.merge(a).encode()


# What they mean


sets = st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["add", "remove", "merge"]), st.sampled_from(ELEMENTS)))


@given(sets)
def test_an_element_is_in_an_or_set_if_some_add_of_it_was_seen_that_no_seen_remove_had_seen(history):
    """The definition, on whole histories: what each replica has seen of adds, and which adds were seen by a remove."""
    replicas = [ORSet()] * 3
    seen = [(frozenset(), frozenset())] * 3
    for number, (at, step, element) in enumerate(history):
        adds, taken = seen[at]
        match step:
            case "add":
                replicas[at] = replicas[at].add(element, b"%d" % number)
                seen[at] = (adds | {(element, number)}, taken)
            case "remove":
                replicas[at] = replicas[at].remove(element)
                seen[at] = (adds, taken | {add for add in adds if add[0] == element})
            case "merge":
                other = (at + 1) % 3
                replicas[at] = replicas[at].merge(replicas[other])
                seen[at] = (adds | seen[other][0], taken | seen[other][1])
        for replica, (adds, taken) in zip(replicas, seen, strict=True):
            assert replica.elements == {element for element, _ in adds - taken}


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-5, 5)), max_size=20))
def test_a_counter_counts_what_all_actors_have_added_however_their_values_are_merged(steps):
    replicas = [PNCounter()] * 3
    for at, amount in steps:
        replicas[at] = replicas[at].add(b"%d" % at, amount)
        replicas[at - 1] = replicas[at - 1].merge(replicas[at])
    merged = replicas[0].merge(replicas[1]).merge(replicas[2])
    assert merged.value == sum(amount for _, amount in steps)


def test_of_an_add_and_a_remove_at_once_the_add_stays():
    cart = ORSet().add(b"milk", b"1")
    one, other = cart.remove(b"milk"), cart.add(b"milk", b"2")
    assert one.merge(other).elements == {b"milk"}


def test_the_same_add_twice_is_one_also_where_the_element_was_removed_in_between():
    cart = ORSet().add(b"milk", b"1")
    assert cart.add(b"milk", b"1") == cart
    removed = cart.remove(b"milk")
    assert removed.add(b"milk", b"1") == removed


def test_a_removed_item_comes_back_under_set_union_and_stays_away_in_an_or_set():
    """Dynamo's shopping cart (section 4.4): one client takes the milk out while another puts eggs in."""
    union = {b"milk", b"bread"}
    assert (union - {b"milk"}) | (union | {b"eggs"}) == {b"milk", b"bread", b"eggs"}

    cart = ORSet().add(b"milk", b"1").add(b"bread", b"2")
    merged = cart.remove(b"milk").merge(cart.add(b"eggs", b"3"))
    assert merged.elements == {b"bread", b"eggs"}


def test_one_count_for_all_loses_an_increment_and_a_count_an_actor_does_not():
    assert max(2 + 1, 2 + 1) == 3
    two = PNCounter().add(b"c", 2)
    assert two.add(b"a").merge(two.add(b"b")).value == 4


def test_an_actor_that_counts_on_top_of_a_stale_read_loses_a_step_unless_it_merges_its_own_last_value():
    stale = PNCounter()
    mine = stale.add(b"a")
    assert mine.merge(stale.add(b"a")).value == 1
    assert mine.merge(stale.merge(mine).add(b"a")).value == 2


# Bytes that are something else


@given(st.sampled_from(KINDS), st.binary(max_size=60))
def test_bytes_that_are_no_value_of_the_kind_are_refused_with_a_clear_error(kind, junk):
    for data in (junk, kind.KIND + b"\x01" + junk):
        try:
            value = kind.decode(data)
        except CrdtError as refusal:
            assert str(refusal)
        else:
            assert kind.decode(value.encode()) == value
            assert value.merge(value) == value


@given(worlds(), st.data())
def test_a_damaged_value_is_refused_or_a_value_and_never_a_crash(snapshots, data):
    value = snapshots[-1]
    stored = bytearray(value.encode())
    bit = data.draw(st.integers(0, len(stored) * 8 - 1))
    stored[bit // 8] ^= 1 << bit % 8
    try:
        found = type(value).decode(bytes(stored))
    except CrdtError:
        return
    assert found.merge(found) == found


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_of_another_kind_or_a_later_format_is_named_as_such(kind):
    others = [other() for other in KINDS if other is not kind]
    for stored in (b"", b"hello", *(other.encode() for other in others)):
        with pytest.raises(CrdtError, match="is the key in other use"):
            kind.decode(stored)
    with pytest.raises(CrdtError, match=r"of format 2, and this program knows format 1: update it"):
        kind.decode(kind.KIND + b"\x02" + kind().encode()[2:])


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (ORSet, ({b"milk": [b"1"]}, [b"1"])),  # in under a tag that was taken away
        (ORSet, ({b"milk": []}, [])),
        (PNCounter, ({b"a": 0}, {})),
        (PNCounter, ({b"a": -1}, {})),
    ],
)
def test_what_no_history_of_updates_makes_is_refused(kind, body):
    with pytest.raises(CrdtError):
        kind.decode(kind.KIND + b"\x01" + msgspec.msgpack.encode(body))
