from __future__ import annotations

import msgspec

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.invariants.broadcast import check
from tests.checkers.lines import Lines


def through(lines: Lines, nodes: int) -> History:
    """Process p goes through node p modulo so many."""
    return History(
        [
            event
            if event.process == "nemesis"
            else msgspec.structs.replace(event, node=f"n{int(event.process) % nodes}")
            for event in lines.events
        ]
    )


def test_a_message_that_no_node_has_at_the_end_is_lost() -> None:
    lines = Lines("m").ok(0, "broadcast", 1).ok(1, "broadcast", 2).nemesis("stage", "final-reads")
    verdict = check(through(lines.ok(0, "read", None, [2]).ok(1, "read", None, [2]), 2))
    assert (verdict.outcome, verdict.reason) == ("invalid", "1 of 2 acknowledged messages lost")
    assert verdict.evidence["missing_from"] == [{"key": "m", "message": 1, "nodes": ["n0", "n1"]}]


def test_a_node_that_never_answered_leaves_it_unknown() -> None:
    lines = Lines("m").ok(0, "broadcast", 1).crash(1, "broadcast", 2).nemesis("stage", "final-reads")
    verdict = check(through(lines.ok(0, "read", None, [1]), 2))
    assert (verdict.outcome, verdict.reason) == ("unknown", "n1 had no read of m after the last acknowledged message")


def test_a_read_before_the_acknowledgement_proves_nothing_missing() -> None:
    lines = Lines("m").nemesis("stage", "final-reads").ok(0, "read", None, []).ok(0, "broadcast", 1)
    verdict = check(through(lines, 1))
    assert (verdict.outcome, verdict.evidence["missing"]) == ("unknown", 0)


def test_what_was_to_be_read_only_later_counts_as_latency() -> None:
    lines = Lines("m").ok(0, "broadcast", 1).ok(0, "read", None, []).ok(0, "read", None, [1])
    verdict = check(through(lines.nemesis("stage", "final-reads").ok(0, "read", None, [1]), 1))
    # Acknowledged at 1 ms; the read that lacked it began at 2 ms.
    assert (verdict.outcome, verdict.evidence["stable_latency_ms"]["max"]) == ("valid", 1.0)


def test_channels_are_apart() -> None:
    lines = Lines("a").ok(0, "broadcast", 1).of("b").ok(0, "broadcast", 1).nemesis("stage", "final-reads")
    lines.of("a").ok(0, "read", None, [1]).of("b").ok(0, "read", None, [])
    verdict = check(through(lines, 1))
    assert (verdict.outcome, verdict.evidence["lost"]) == ("invalid", 1)


def test_what_nobody_had_broadcast_by_then_is_unexpected_and_what_failed_a_phantom() -> None:
    lines = (
        Lines("m").ok(0, "read", None, [1]).ok(0, "broadcast", 1).fail(0, "broadcast", 2).ok(0, "read", None, [1, 2])
    )
    evidence = check(through(lines, 1)).evidence
    assert (evidence["unexpected"], evidence["phantom"]) == (1, 1)
