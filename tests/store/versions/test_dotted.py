"""The algebra of versions, over random histories of writes and merges."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from splitbrain.store.versions.dotted import (
    EMPTY,
    NOTHING,
    Seen,
    VersionSet,
    add,
    join,
    latest,
    merge,
    merge_latest,
    next_dot,
    siblings,
    write,
)

dots = st.tuples(st.integers(0, 3), st.integers(1, 6))


@st.composite
def seens(draw):
    seen = NOTHING
    for dot in draw(st.lists(dots, max_size=8)):
        seen = add(seen, dot)
    return seen


def dots_of(seen):
    return {(actor, n) for actor, last in seen.clock.items() for n in range(1, last + 1)} | set(seen.cloud)


@dataclass
class World:
    """Three replicas of one key, each with an actor of its own, and all that ever happened to them."""

    replicas: list[VersionSet]
    pasts: dict[tuple[int, int], set[tuple[int, int]]]
    """By dot: the dots its context covered, transitively."""
    snapshots: list[VersionSet]


def put(world, at, context, wall_ns=0, value=b"v", request_id=None):
    dot = next_dot(world.replicas[at], context, at + 1)
    world.replicas[at], covered = write(
        world.replicas[at],
        context,
        dot=dot,
        value=value,
        request_id=len(world.pasts) if request_id is None else request_id,
        coordinator=f"n{at}",
        wall_ns=wall_ns,
    )
    world.pasts[dot] = set().union(*({d} | world.pasts[d] for d in dots_of(context)))
    return covered


@st.composite
def worlds(draw):
    """Random puts (blind, or with the context of a snapshot, or of a replica as it is) and merges."""
    world = World([EMPTY, EMPTY, EMPTY], {}, [EMPTY])
    for _ in range(draw(st.integers(1, 14))):
        at = draw(st.integers(0, 2))
        step = draw(st.sampled_from(("blind", "informed", "stale", "merge", "merge")))
        if step == "merge":
            world.replicas[at] = merge(world.replicas[at], draw(st.sampled_from(world.snapshots)))
        else:
            source = {"blind": EMPTY, "informed": world.replicas[at], "stale": draw(st.sampled_from(world.snapshots))}
            put(world, at, source[step].seen, draw(st.integers(0, 5)))
        world.snapshots.append(world.replicas[at])
    return world


@given(worlds(), st.data())
def test_merge_is_commutative_associative_and_idempotent(world, data):
    a, b, c = (data.draw(st.sampled_from(world.snapshots)) for _ in range(3))
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(a, a) == a
    assert merge(a, merge(a, b)) == merge(a, b)


@given(worlds(), st.data())
def test_equal_states_encode_to_equal_bytes(world, data):
    a, b = (data.draw(st.sampled_from(world.snapshots)) for _ in range(2))
    assert msgspec.msgpack.encode(merge(a, b)) == msgspec.msgpack.encode(merge(b, a))
    encoded = msgspec.msgpack.encode(merge(a, b))
    assert msgspec.msgpack.decode(encoded, type=VersionSet) == merge(a, b)


@given(worlds())
def test_all_replicas_merged_hold_exactly_what_no_write_has_replaced(world):
    everything = EMPTY
    for state in world.snapshots:
        everything = merge(everything, state)
    replaced = set().union(*world.pasts.values()) if world.pasts else set()
    assert {version.dot for version in everything.versions} == set(world.pasts) - replaced


@given(worlds(), st.data())
def test_a_merge_drops_a_version_only_if_a_write_replaced_it(world, data):
    a, b = (data.draw(st.sampled_from(world.snapshots)) for _ in range(2))
    dropped = {v.dot for v in (*a.versions, *b.versions)} - {v.dot for v in merge(a, b).versions}
    replaced = set().union(*world.pasts.values()) if world.pasts else set()
    assert dropped <= replaced


@given(worlds(), st.integers(0, 2), st.data())
def test_a_put_with_the_context_of_a_get_replaces_exactly_what_the_get_returned(world, at, data):
    read = data.draw(st.sampled_from(world.snapshots))
    before = world.replicas[at]
    put(world, at, read.seen)
    mine = next_dot(before, read.seen, at + 1)
    assert {v.dot for v in world.replicas[at].versions} == {v.dot for v in before.versions} - dots_of(read.seen) | {
        mine
    }
    elsewhere = merge(world.replicas[at], read)
    assert not {v.dot for v in read.versions} & {v.dot for v in elsewhere.versions}


@given(worlds(), st.integers(0, 2))
def test_a_blind_put_replaces_nothing(world, at):
    before = {v.dot for v in world.replicas[at].versions}
    put(world, at, NOTHING)
    assert before < {v.dot for v in world.replicas[at].versions}


@given(worlds(), st.integers(0, 2))
def test_the_context_of_a_put_does_not_cover_a_sibling_it_did_not_replace(world, at):
    unseen = put(world, at, NOTHING)
    covered = put(world, at, NOTHING)
    assert not dots_of(unseen) & dots_of(covered)
    put(world, at, covered)
    assert dots_of(unseen) <= {v.dot for v in world.replicas[at].versions}


@given(seens(), seens(), seens())
def test_join_is_a_union_of_dots_in_one_form(a, b, c):
    assert dots_of(join(a, b)) == dots_of(a) | dots_of(b)
    assert join(a, b) == join(b, a)
    assert join(join(a, b), c) == join(a, join(b, c))
    assert join(a, a) == a
    rebuilt = NOTHING
    for dot in sorted(dots_of(join(a, b)), reverse=True):
        rebuilt = add(rebuilt, dot)
    assert rebuilt == join(a, b)


@given(seens(), dots)
def test_membership_and_the_last_counter_agree_with_the_set_of_dots(seen, dot):
    assert (dot in seen) == (dot in dots_of(seen))
    assert seen.last(dot[0]) == max((n for actor, n in dots_of(seen) if actor == dot[0]), default=0)


@given(st.permutations([(1, 1), (1, 2), (2, 1), (3, 1), (3, 2)]))
def test_the_same_dots_are_the_same_bytes_in_whatever_order_they_came(order):
    seen = NOTHING
    for dot in order:
        seen = join(seen, add(NOTHING, dot))
    added = NOTHING
    for dot in order:
        added = add(added, dot)
    expected = msgspec.msgpack.encode(Seen({1: 2, 2: 1, 3: 2}))
    assert msgspec.msgpack.encode(seen) == msgspec.msgpack.encode(added) == expected


def test_dots_that_close_a_gap_leave_the_cloud():
    seen = add(add(NOTHING, (7, 3)), (7, 1))
    assert seen == Seen({7: 1}, ((7, 3),))
    assert add(seen, (7, 2)) == Seen({7: 3})


def state_of(*versions, seen=NOTHING):
    """Each version: actor, value, request id (and number of its writer 1), wall time."""
    state = EMPTY
    for actor, value, request_id, wall_ns in versions:
        state, _ = write(
            state,
            seen,
            dot=next_dot(state, seen, actor),
            value=value,
            request_id=request_id,
            coordinator="n",
            wall_ns=wall_ns,
        )
    return state


def test_a_tombstone_is_a_version_that_is_not_read():
    state = state_of((1, b"a", 1, 0))
    after, _ = write(state, state.seen, dot=(1, 2), value=None, request_id=2, coordinator="n", wall_ns=0)
    assert siblings(after) == []
    assert [v.value for v in after.versions] == [None]


def test_a_write_under_a_dot_that_was_seen_already_changes_nothing():
    state = state_of((1, b"a", 1, 0))
    newer, _ = write(state, state.seen, dot=(2, 1), value=b"b", request_id=2, coordinator="n", wall_ns=0)
    again, covered = write(newer, NOTHING, dot=(1, 1), value=b"a", request_id=1, coordinator="m", wall_ns=99)
    assert again == newer
    assert (1, 1) in covered


def test_one_write_stored_by_two_coordinators_is_kept_alike_everywhere():
    one, _ = write(EMPTY, NOTHING, dot=(1, 1), value=b"a", request_id=1, coordinator="n1", wall_ns=5)
    two, _ = write(EMPTY, NOTHING, dot=(1, 1), value=b"a", request_id=1, coordinator="n2", wall_ns=3)
    assert merge(one, two) == merge(two, one)
    assert merge(one, two).versions == two.versions


# Against a model without clocks: every write knows, one by one, the writes it has seen


@dataclass
class Model:
    """Replicas as sets of writes, whole causal histories and all. past: of each write, all that it has seen."""

    past: dict[int, frozenset[int]]
    known: list[frozenset[int]]

    def unreplaced(self, at):
        """The writes there that no other write there has seen."""
        return {w for w in self.known[at] if not any(w in self.past[other] for other in self.known[at])}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("get", "put", "put", "blind", "merge", "merge")), st.integers(0, 2), st.integers(0, 2)
        ),
        max_size=30,
    )
)
def test_versions_are_those_that_a_model_of_whole_causal_histories_has(steps):
    """get: client `b` reads at `a`. put: it writes at `a` with its last context. merge: `a` hears from `b`."""
    states = [EMPTY] * 3
    model = Model({}, [frozenset()] * 3)
    contexts, seen = [NOTHING] * 3, [frozenset()] * 3
    for number, (step, a, b) in enumerate(steps):
        match step:
            case "get":
                contexts[b], seen[b] = states[a].seen, model.known[a]
            case "merge":
                states[a] = merge(states[a], states[b])
                model.known[a] |= model.known[b]
            case _:
                context, past = (NOTHING, frozenset()) if step == "blind" else (contexts[b], seen[b])
                before = model.unreplaced(a)
                dot = next_dot(states[a], context, a + 1)
                states[a], contexts[b] = write(
                    states[a], context, dot=dot, value=b"v", request_id=number, coordinator="n", wall_ns=0
                )
                model.past[number] = past
                model.known[a] |= past | {number}
                seen[b] = past | {number}
                assert step != "blind" or before < model.unreplaced(a), "a blind write replaced something"
        for at, state in enumerate(states):
            assert {version.request_id for version in state.versions} == model.unreplaced(at)


@given(worlds())
def test_after_any_order_of_exchanges_replicas_are_equal_to_the_byte(world):
    everything = EMPTY
    for state in world.replicas:
        everything = merge(everything, state)
    for order in permutations(range(3)):
        states = list(world.replicas)
        for _ in range(2):
            for at in order:
                states[at] = merge(states[at], states[at - 1])
        assert {msgspec.msgpack.encode(state) for state in states} == {msgspec.msgpack.encode(everything)}


def test_a_context_covers_all_siblings_that_a_read_returned_and_a_write_with_it_replaces_them_all():
    state = state_of((1, b"a", 1, 0), (2, b"b", 2, 0), (3, b"c", 3, 0))
    after, _ = write(state, state.seen, dot=(1, 2), value=b"abc", request_id=4, coordinator="n", wall_ns=0)
    assert siblings(after) == [b"abc"] == siblings(merge(after, state))


@given(worlds(), st.permutations(range(14)))
def test_last_write_wins_keeps_the_newest_in_whatever_order_states_merge(world, order):
    """As a cluster has it: every write is dated after all that its context covers."""
    states, dated = [], {}
    for dot in world.pasts:
        wall = 1 + max([dated[past] for past in world.pasts[dot]], default=dot[1] % 3)
        dated[dot] = wall
        context = NOTHING
        for past in world.pasts[dot]:
            context = add(context, past)
        states.append(write(EMPTY, context, dot=dot, value=b"v", request_id=wall, coordinator="n", wall_ns=wall)[0])
    merged = EMPTY
    for index in order:
        if index < len(states):
            merged = merge_latest(merged, states[index])
    newest = max(world.pasts, key=lambda dot: (dated[dot], dot), default=None)
    assert [v.dot for v in merged.versions] == ([] if newest is None else [newest])


def twice_dated():
    """One write, dated 10 by one coordinator and 5 by another, beside a write dated 7."""
    early, _ = write(EMPTY, NOTHING, dot=(1, 1), value=b"d", request_id=1, coordinator="n1", wall_ns=5)
    late, _ = write(EMPTY, NOTHING, dot=(1, 1), value=b"d", request_id=1, coordinator="n2", wall_ns=10)
    other, _ = write(EMPTY, NOTHING, dot=(2, 1), value=b"x", request_id=2, coordinator="n3", wall_ns=7)
    return early, late, other


def test_under_lww_two_replicas_that_dropped_each_others_version_do_not_lose_both():
    early, late, other = twice_dated()
    left, right = merge_latest(late, other), merge_latest(early, other)
    assert siblings(left) == [b"d"]
    assert siblings(right) == [b"x"]
    assert merge(left, right).versions == ()
    assert siblings(merge_latest(left, right)) == [b"d"] == siblings(merge_latest(right, left))


def test_under_lww_the_order_of_merges_does_not_matter_even_where_one_write_has_two_dates():
    results = set()
    for order in permutations(twice_dated()):
        state = EMPTY
        for each in order:
            state = merge_latest(state, each)
        results.add(msgspec.msgpack.encode(state))
    assert len(results) == 1


def test_of_equally_dated_versions_all_replicas_keep_the_same():
    a, b = state_of((1, b"a", 1, 5)), state_of((2, b"b", 2, 5))
    assert latest(merge(a, b)) == merge_latest(b, a) == merge_latest(a, b)
