"""Outbound transfers: what of them survives a restart."""

from __future__ import annotations

from splitbrain.store.ownership.outbound import Outbound, record, stored
from splitbrain.store.storage.engine import DamagedRecord, MemoryEngine
from splitbrain.store.storage.tokens import Token


def test_a_transfer_whose_token_is_given_up_survives_a_restart_with_its_receiver():
    engine = MemoryEngine()
    token = Token(5, 1 << 128, 2)
    engine.commit([record(7, Outbound("n4", token, given_up=True))])
    restored = stored(engine)
    assert restored == {7: Outbound("n4", token, given_up=True)}


def test_a_transfer_that_is_over_is_forgotten():
    engine = MemoryEngine()
    engine.commit([record(7, Outbound("n4", Token(0, 5, 0), given_up=True))])
    engine.commit([record(7, None)])
    assert stored(engine) == {}


def test_damaged_records_leave_no_transfer_and_stop_no_node():
    class Damaged(MemoryEngine):
        def scan(self, space, start=b"", end=None):
            raise DamagedRecord(space, b"")
            yield

    assert stored(Damaged()) == {}
