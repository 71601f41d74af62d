"""A replica whose disk has no room: nothing is lost or reordered, and everybody hears the truth."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.store.actions import Record
from splitbrain.store.config import Config
from splitbrain.store.storage.engine import MemoryEngine
from splitbrain.store.storage.replica import ABSENT, DATA, Entry, Replica, place
from splitbrain.store.versions.dotted import NOTHING, VersionSet, next_dot, write

KEYS = (b"a", b"b", b"c")
_entries = msgspec.msgpack.Decoder(Entry)


class Bench:
    """A replica and its disk, with what callers heard, by the number of the change."""

    def __init__(self) -> None:
        self.disk = MemoryEngine()
        self.out: list = []
        self.replica = Replica(self.disk, "n1", Config(), random.Random(1).getrandbits, self.out)
        self.replica.on_durable.append(self._durable)
        self.heard: dict[int, list[str]] = {}
        self.known: dict[bytes, Entry] = {}
        """What the listener was told last of each key."""
        self.begun = 0

    def _durable(self, key: bytes, before: Entry, after: Entry) -> None:
        assert self.known.get(key, ABSENT) == before, "a listener was told of a change from what it did not know"
        self.known[key] = after

    def put(self, key: bytes) -> None:
        entry = self.replica.newest(DATA, key)
        actor = self.replica.actor(entry)
        dot = next_dot(entry.state, NOTHING, actor)
        state, _ = write(entry.state, NOTHING, dot=dot, value=b"v", request_id=self.begun, coordinator="n1", wall_ns=0)
        number = self.begun
        self.begun += 1
        heard = self.heard[number] = []

        def done() -> None:
            assert number in durable(self, key), "said to be durable before it was"
            heard.append("done")

        self.replica.put(DATA, key, Entry(actor, state), done, refused=lambda: heard.append("refused"))

    def sync(self) -> None:
        """All that was asked for becomes durable."""
        asked, self.out[:] = self.out[:], []
        for persist in asked:
            self.disk.commit(persist.records)
        for persist in asked:
            self.replica.persisted(persist.ticket)

    def refuse(self) -> None:
        """There is no room: as a shell does, for all that was asked for by now."""
        asked, self.out[:] = self.out[:], []
        for persist in asked:
            self.replica.refused(persist.ticket)

    def make_room(self) -> None:
        """Until nothing is left to be written."""
        while self.replica.unsynced:
            self.replica.retry()
            self.sync()


def state(bench: Bench, key: bytes) -> VersionSet:
    stored = bench.disk.get(DATA, place(key))
    return (ABSENT if stored is None else _entries.decode(stored)).state


def durable(bench: Bench, key: bytes) -> set[int]:
    """The numbers of the changes that the disk has of a key."""
    return {version.request_id for version in state(bench, key).versions}


STEPS = st.lists(
    st.sampled_from([*(("put", key) for key in KEYS), ("sync", b""), ("refuse", b""), ("retry", b"")]), max_size=40
)


@settings(deadline=None, max_examples=300)
@given(STEPS)
def test_whatever_is_refused_and_tried_again_all_changes_are_durable_in_order_once_there_is_room(steps) -> None:
    bench = Bench()
    made: dict[bytes, set[int]] = {key: set() for key in KEYS}
    for step, key in steps:
        match step:
            case "put":
                made[key].add(bench.begun)
                bench.put(key)
            case "sync":
                bench.sync()
            case "refuse":
                bench.refuse()
            case _:
                bench.replica.retry()
    bench.make_room()
    assert not bench.replica.full
    # Blind writes: each is a sibling of all before it, so what is stored of a key names all its changes.
    assert {key: durable(bench, key) for key in KEYS} == made
    for heard in bench.heard.values():
        assert heard in (["done"], ["refused", "done"])
    for key in KEYS:
        assert bench.known.get(key, ABSENT).state == state(bench, key)


def test_whoever_asked_hears_of_a_refusal_once_and_of_what_comes_while_the_disk_is_full_at_once() -> None:
    bench = Bench()
    bench.put(b"a")
    bench.put(b"b")
    bench.refuse()
    assert bench.heard == {0: ["refused"], 1: ["refused"]}
    bench.put(b"c")
    assert bench.heard[2] == ["refused"] and bench.out == []
    bench.replica.retry()
    bench.refuse()
    assert Counter(word for heard in bench.heard.values() for word in heard) == {"refused": 3}
    bench.make_room()
    assert bench.heard == {number: ["refused", "done"] for number in range(3)}


def test_a_full_disk_is_tried_with_the_oldest_change_alone_and_then_with_all_others_in_order() -> None:
    bench = Bench()
    for key in KEYS:
        bench.put(key)
    tickets = [persist.ticket for persist in bench.out]
    bench.refuse()
    bench.replica.retry()
    bench.replica.retry()
    assert [persist.ticket for persist in bench.out] == tickets[:1]
    bench.sync()
    assert [persist.ticket for persist in bench.out] == tickets[1:]


def test_a_change_that_was_refused_is_not_read_before_it_is_durable_and_built_upon_all_the_same() -> None:
    bench = Bench()
    bench.put(b"a")
    bench.refuse()
    assert bench.replica.read(DATA, b"a") == ABSENT
    assert len(bench.replica.newest(DATA, b"a").state.versions) == 1
    assert not bench.replica.settled(DATA, b"a")
    bench.put(b"a")
    bench.make_room()
    # Two dots, not one made twice.
    assert len(state(bench, b"a").versions) == 2


def test_other_records_wait_for_room_as_well() -> None:
    bench = Bench()
    bench.put(b"a")
    bench.refuse()
    stored: list[str] = []
    bench.replica.store((Record("ring", b"k", b"v"),), lambda: stored.append("done"))
    assert bench.out == [] and stored == []
    bench.make_room()
    assert stored == ["done"] and bench.disk.get("ring", b"k") == b"v"
