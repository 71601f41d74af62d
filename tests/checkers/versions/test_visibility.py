"""Stable and lost latency of versioned writes. `lost-writes` reports them."""

from __future__ import annotations

from random import Random

from splitbrain.checkers.eventual import lost_writes
from splitbrain.checkers.versions.reads import VersionedReads
from splitbrain.checkers.versions.version_order import Circular
from splitbrain.checkers.versions.visibility import visibility
from splitbrain.checkers.versions.writes import Versions
from tests.checkers.script import Script
from tests.checkers.versions import register_histories
from tests.checkers.versions.register_oracle import Covers, ops_of


def test_a_write_is_stable_from_the_last_read_that_lacked_it() -> None:
    script = Script().put(1, [], at=10).put(2, [1], at=20)
    script.read([1], at=30, key="r0").read([1], at=45, key="r0").read([2], at=60, key="r0").read([2], at=70, key="r0")
    evidence = lost_writes.check(script.history).evidence
    # 2 was acknowledged at 21 ms and last lacking at 45; 1 was never lacking.
    assert evidence["stable_latency_ms"] == {
        "p50": 0.0,
        "p90": 24.0,
        "p95": 24.0,
        "p99": 24.0,
        "p99.9": 24.0,
        "max": 24.0,
    }
    assert evidence["lost_latency_ms"] == {}


def test_a_lost_write_was_there_until_the_last_read_that_held_it_or_what_replaced_it() -> None:
    script = Script().put(1, [], at=10).put(2, [1], at=20).read([2], at=40, key="r0").put(3, [], at=50)
    script.read([3], at=60, key="r0")
    evidence = lost_writes.check(script.history).evidence
    # Both 1, acknowledged at 11 ms, and 2, at 21 ms, were last covered by the read at 40 ms.
    assert evidence["lost"] == 2
    assert (evidence["lost_latency_ms"]["p50"], evidence["lost_latency_ms"]["max"]) == (19.0, 29.0)


def test_a_read_begun_before_the_acknowledgement_lacks_nothing() -> None:
    script = Script().invoke(1, "read", "r0", at=5).put(1, [], at=10)
    script.complete(1, "ok", [], at=20).read([1], at=30, key="r0")
    assert lost_writes.check(script.history).evidence["stable_latency_ms"]["max"] == 0.0


def test_a_read_of_a_write_without_seen_lacks_nothing() -> None:
    script = Script().put(1, [], at=10).put(2, None, at=20).read([2], at=30, key="r0").read([1, 2], at=40, key="r0")
    assert lost_writes.check(script.history).evidence["stable_latency_ms"]["max"] == 0.0


def test_visibility_agrees_with_the_definitions_on_random_histories() -> None:
    for seed in range(400):
        history = register_histories.history(Random(seed), "versioned")
        try:
            found = visibility(VersionedReads.of(Versions.of(history)))
        except Circular:
            continue
        ops = ops_of(history)
        covers = Covers(ops)
        reads = [op for op in ops if op.f == "read"]
        for id_, put in covers.puts.items():
            if put.outcome != "ok":
                assert id_ not in found
                continue
            mine = [r for r in reads if r.key == put.key]
            held = [r.invoked for r in mine if id_ in covers.ids(r.value, r.key)]
            lacked = [
                r.invoked
                for r in mine
                if r.invoked > put.ended and r.invoked not in held and covers.horizon(r.value, r.key) < 0
            ]
            said = [each.invocation.index if each else None for each in (found[id_].last_seen, found[id_].last_missed)]
            assert said == [max(held, default=None), max(lacked, default=None)], seed
