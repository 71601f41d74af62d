"""Changes of a membership, drawn or by hand, and one node's copy of their history with its disk."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from splitbrain.store.config import Config, Member
from splitbrain.store.membership.membership import Membership
from splitbrain.store.storage.engine import MemoryEngine
from splitbrain.store.storage.replica import Replica
from splitbrain.store.wire.changes import Change, Kind

CONFIG = Config(partitions=4)


def at(number):
    return ("10.0.0.1", 7000 + number)


def member(number):
    return Member(f"n{number}", at(number))


def change(counter, kind, number, *, issuer="n1", address=None, **more):
    return Change(counter, issuer, kind, f"n{number}", address or at(number), **more)


def start(*numbers):
    return [change(0, Kind.START, number, issuer="") for number in numbers]


class Copy:
    """One node's membership, and its disk, which carries out nothing before `sync`."""

    def __init__(self, name="n1", members=(1, 2, 3, 4), *, engine=None, config=CONFIG):
        self.engine = engine or MemoryEngine()
        self.notes, self.out = [], []
        self.replica = Replica(self.engine, name, config, random.Random(name).getrandbits, self.out)
        self.membership = Membership(
            name, [member(number) for number in members], config, self.engine, self.replica, self.notes.append
        )
        self.membership.start()

    def sync(self):
        while self.out:
            persist = self.out.pop(0)
            self.engine.commit(persist.records)
            self.replica.persisted(persist.ticket)

    def restarted(self, members=(1, 2, 3, 4)):
        return Copy(self.membership._name, members, engine=self.engine)

    def learn(self, *changes):
        self.membership.merge(changes)
        self.sync()


CHANGES = st.lists(
    st.builds(
        Change,
        counter=st.integers(0, 6),
        issuer=st.sampled_from(["n1", "n2"]),
        kind=st.sampled_from(list(Kind)),
        name=st.sampled_from(["n1", "n2", "n3", "n4", "n5", "n6"]),
        address=st.sampled_from([at(number) for number in range(1, 7)]),
        capacity=st.integers(1, 2),
    ),
    max_size=14,
).map(lambda changes: start(1, 2, 3) + changes)
