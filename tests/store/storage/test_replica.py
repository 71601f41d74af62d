"""What a replica holds: durable before it says so, and never a dot twice."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.store.actions import Persist, Record
from splitbrain.store.config import Config
from splitbrain.store.storage.engine import DamagedRecord, MemoryEngine
from splitbrain.store.storage.replica import ABSENT, DATA, Entry, IdentityError, Replica, place
from splitbrain.store.versions.dotted import EMPTY, NOTHING, Ages, VersionSet, add, merge, next_dot, write

KEY = b"k"


class Disk(MemoryEngine):
    """Records whose damage is found when they are read."""

    def __init__(self):
        super().__init__()
        self.damaged = set()

    def get(self, space, key):
        if (space, key) in self.damaged:
            raise DamagedRecord(space, key)
        return super().get(space, key)

    def commit(self, records):
        for space, key, _ in records:
            self.damaged.discard((space, key))
        super().commit(records)


class Stand:
    """A replica with its disk. `sync` makes what it asked for durable."""

    def __init__(self, disk=None, *, name="n1", seed=0, fresh=False, **settings):
        self.disk = Disk() if disk is None else disk
        self.out = []
        bits = random.Random(f"{name}{seed}").getrandbits
        self.replica = Replica(self.disk, name, Config(**settings), bits, self.out, fresh=fresh)
        self.done = []

    def sync(self, number=None):
        for _ in range(len(self.out) if number is None else number):
            persist = self.out.pop(0)
            assert isinstance(persist, Persist)
            self.disk.commit(persist.records)
            self.replica.persisted(persist.ticket)

    def put(self, value=b"v", context=NOTHING, key=KEY, request_id=1):
        """As a coordinator does. Returns the dot."""
        entry = self.replica.newest(DATA, key)
        actor = self.replica.actor(entry)
        dot = next_dot(entry.state, context, actor)
        state, _ = write(entry.state, context, dot=dot, value=value, request_id=request_id, coordinator="n1", wall_ns=0)
        self.replica.put(DATA, key, Entry(actor, state), lambda: self.done.append(value))
        return dot


def state_of(value, actor=99, counter=1, wall_ns=0):
    return write(
        EMPTY, NOTHING, dot=(actor, counter), value=value, request_id=actor, coordinator="n9", wall_ns=wall_ns
    )[0]


def test_a_change_is_not_done_and_not_read_before_it_is_durable():
    stand = Stand()
    stand.put(b"a")
    assert stand.done == []
    assert stand.replica.read(DATA, KEY) == ABSENT
    assert not stand.replica.settled(DATA, KEY)
    stand.sync()
    assert stand.done == [b"a"]
    assert [v.value for v in stand.replica.read(DATA, KEY).state.versions] == [b"a"]
    assert stand.replica.settled(DATA, KEY)


def test_two_changes_in_flight_do_not_undo_each_other():
    stand = Stand()
    dots = {stand.put(b"a"), stand.put(b"b", request_id=2)}
    stand.sync()
    assert {v.dot for v in stand.replica.read(DATA, KEY).state.versions} == dots
    assert len(dots) == 2
    assert stand.done == [b"a", b"b"]


def test_the_same_state_again_waits_for_the_change_that_is_under_way():
    stand, done = Stand(), []
    stand.replica.merge(DATA, KEY, state_of(b"a"), lambda: done.append(1))
    stand.replica.merge(DATA, KEY, state_of(b"a"), lambda: done.append(2))
    assert len(stand.out) == 1
    assert done == []
    stand.sync()
    assert done == [1, 2]


def test_what_is_durable_already_is_done_at_once_and_not_stored_again():
    stand, done = Stand(), []
    stand.replica.merge(DATA, KEY, state_of(b"a"), lambda: None)
    stand.sync()
    stand.replica.merge(DATA, KEY, state_of(b"a"), lambda: done.append(1))
    assert done == [1]
    assert stand.out == []


def test_a_state_stored_again_while_its_removal_is_under_way_is_stored_again():
    stand, done = Stand(), []
    stand.replica.merge(DATA, KEY, state_of(b"a"), lambda: None)
    stand.sync()
    stand.replica.delete(DATA, KEY, lambda: None)
    stand.replica.merge(DATA, KEY, state_of(b"a"), lambda: done.append(1))
    assert done == []
    stand.sync()
    assert done == [1]
    assert stand.replica.read(DATA, KEY).state == state_of(b"a")


def test_a_record_beside_a_change_is_in_the_same_commit():
    stand = Stand()
    stand.replica.merge(DATA, KEY, state_of(b"a"), lambda: None, beside=Record("spreading", KEY, b""))
    assert [record.space for record in stand.out[0].records] == ["data", "meta", "spreading"]


def test_one_key_has_one_actor_and_another_key_another():
    stand = Stand()
    first, second, other = stand.put(b"a"), stand.put(b"b"), stand.put(b"c", key=b"l")
    assert first[0] == second[0] != other[0]
    assert second[1] == first[1] + 1


def test_a_restart_goes_on_with_the_actor_and_its_counter():
    stand = Stand()
    first = stand.put(b"a")
    stand.sync()
    again = Stand(stand.disk, seed=1)
    assert again.put(b"b") == (first[0], first[1] + 1)


def test_a_new_key_after_a_restart_gets_an_actor_that_no_key_had():
    stand = Stand()
    used = {stand.put(b"a", key=b"%d" % i)[0] for i in range(5)}
    stand.sync()
    assert Stand(stand.disk, seed=1).put(key=b"new")[0] not in used


def test_after_a_wipe_no_dot_is_used_again():
    stand = Stand()
    dots = {stand.put(b"a"), stand.put(b"b")}
    stand.sync()
    assert Stand(seed=1).put()[0] not in {actor for actor, _ in dots}


def test_after_a_wipe_the_merged_back_state_does_not_bring_the_old_actor_back():
    stand = Stand()
    old = stand.put(b"a")
    wiped = Stand(seed=1)
    wiped.replica.merge(DATA, KEY, stand.replica.newest(DATA, KEY).state, lambda: None)
    wiped.sync()
    assert wiped.put(b"b")[0] != old[0]


def test_a_restored_backup_with_fresh_reuses_no_dot_made_after_the_backup():
    stand = Stand()
    stand.put(b"a")
    stand.sync()
    backup = Disk()
    backup.commit([Record(s, k, v) for s in ("data", "meta") for k, v in stand.disk.scan(s)])
    later = {stand.put(b"b"), stand.put(b"c"), stand.put(b"d", key=b"l")}
    restored = Stand(backup, seed=2, fresh=True)
    mine = {restored.put(b"x"), restored.put(b"y", key=b"l")}
    assert not mine & later
    restored.sync()
    assert not {Stand(backup, seed=3).put(b"z")} & (mine | later)


def test_a_damaged_record_counts_as_absent_and_gets_a_new_actor():
    stand = Stand()
    old = stand.put(b"a")
    stand.sync()
    stand.disk.damaged.add((DATA, place(KEY)))
    assert stand.replica.read(DATA, KEY) == ABSENT
    assert stand.put(b"b")[0] != old[0]
    assert stand.replica.counters["damaged_records"] > 0


def test_a_damaged_identity_gives_up_all_actors():
    stand = Stand()
    old = stand.put(b"a")
    stand.sync()
    stand.disk.damaged.add(("meta", b"identity"))
    assert Stand(stand.disk, seed=1).put(b"b")[0] != old[0]


def test_another_nodes_data_is_refused():
    stand = Stand()
    stand.put()
    stand.sync()
    with pytest.raises(IdentityError, match="belongs to node 'n1', not 'n2'"):
        Stand(stand.disk, name="n2")


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("psmc"), st.integers(0, 1)), max_size=30), st.integers(0, 99))
def test_whatever_is_lost_in_crashes_no_dot_that_was_ever_durable_is_given_twice(steps, seed):
    stand, durable, number = Stand(seed=seed), {}, 0
    for step, which in steps:
        number += 1
        key = b"%d" % which
        if step == "p":
            stand.put(b"%d" % number, key=key, request_id=number)
        elif step == "m":
            stand.replica.merge(DATA, key, state_of(b"m%d" % number, actor=5, counter=number), lambda: None)
        elif step == "s":
            stand.sync(min(1 + which, len(stand.out)))
        else:
            stand.sync(min(which, len(stand.out)))
            stand = Stand(stand.disk, seed=(seed, number))
        for key_on_disk, _ in stand.disk.scan(DATA):
            for version in stand.replica.read(DATA, key_on_disk).state.versions:
                assert durable.setdefault((key_on_disk, version.dot), version.request_id) == version.request_id


@given(st.permutations([(1, 5), (2, 9), (3, 9), (4, 1)]))
def test_under_lww_the_newest_stays_in_whatever_order_states_come(order):
    stand = Stand(conflicts="lww")
    for actor, wall_ns in order:
        stand.replica.merge(DATA, KEY, state_of(b"%d" % actor, actor, wall_ns=wall_ns), lambda: None)
    stand.sync()
    state = stand.replica.read(DATA, KEY).state
    assert [v.value for v in state.versions] == [b"3"]
    assert set(state.seen.clock) == {1, 2, 3, 4}


@given(st.lists(st.integers(1, 6), max_size=8))
def test_states_combine_to_all_that_any_of_them_knows(actors):
    states = [state_of(b"%d" % actor, actor) for actor in actors]
    known = Stand().replica.combine([None, *states, None])
    expected = EMPTY
    for state in states:
        expected = merge(expected, state)
    assert known == expected


def test_an_actor_whose_dots_a_cut_clock_forgot_is_given_up_for_good():
    stand = Stand(clock_limit=1)
    old = stand.put(b"a")
    replaced = VersionSet(add(add(NOTHING, old), (99, 1)), state_of(b"b").versions, Ages({99: 5}))
    stand.replica.merge(DATA, KEY, replaced, lambda: None)
    assert old[0] not in stand.replica.newest(DATA, KEY).state.seen.clock
    # A replica that missed it all brings the forgotten version back, and with it a clock in which the actor counts.
    stale, _ = write(EMPTY, NOTHING, dot=old, value=b"a", request_id=1, coordinator="n1", wall_ns=0)
    stand.replica.merge(DATA, KEY, stale, lambda: None)
    assert old[0] in stand.replica.newest(DATA, KEY).state.seen.clock
    stand.sync()
    assert stand.put(b"c", request_id=3)[0] != old[0]
