"""Golden histories of logs, locks, broadcasts and causal reverses.

Each is the smallest that shows something, beside a neighbour that does not. Verdicts are reasoned by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from splitbrain import checkers
from tests.checkers.golden_cases import GoldenCase
from tests.checkers.golden_histories import load, names_in


def case(name: str, checker: str, outcome: str, evidence: Mapping[str, Any], phrase: str = "") -> GoldenCase:
    return GoldenCase(f"services/{name}", checker, {}, outcome, evidence, phrase)


def logs(name: str, outcome: str, phrase: str = "", **anomalies: int) -> GoldenCase:
    found = {kind.replace("_", "-"): number for kind, number in anomalies.items()}
    return case(f"kafka-{name}", "kafka", outcome, {"anomalies": found}, phrase)


CASES: list[GoldenCase] = [
    case(
        "reverse-seen", "causal-reverse", "invalid", {"reversed": 1, "at_stake": 1}, "saw the second and not the first"
    ),
    case("reverse-in-order", "causal-reverse", "valid", {"reversed": 0, "at_stake": 1}),
    # Neither write was over before the other began: either may have come first.
    case("reverse-concurrent", "causal-reverse", "unknown", {"reversed": 0, "at_stake": 0}),
    # The crashed write may come after the other one, or never.
    case("reverse-crashed", "causal-reverse", "unknown", {"writes": 2, "acknowledged": 1, "at_stake": 0}),
    case("reverse-phantom", "causal-reverse", "invalid", {"phantom": 1, "reversed": 0}, "the write of it had failed"),
    case("lock-overlap", "lock", "invalid", {"overlaps": 1, "granted": 2}, "and had not released it; process 1"),
    case("lock-released", "lock", "valid", {"overlaps": 0, "released": 1, "contended": 1}),
    # Whoever begins to release a lock does nothing under it any more.
    case("lock-release-crashed", "lock", "valid", {"overlaps": 0, "released": 0}),
    # Asked for at 0 ms for 2 ms, and given to the other one at 3 ms.
    case("lock-lease-over", "lock", "valid", {"overlaps": 0, "granted": 2}),
    # The answer came when the lease, which counts from the question, was over: it was never held.
    case("lock-late-answer", "lock", "valid", {"overlaps": 0, "granted": 2}),
    case("lock-token-reused", "lock", "invalid", {"overlaps": 0, "reused": 1, "receding": 0}, "under token 1"),
    case("lock-token-recedes", "lock", "invalid", {"overlaps": 0, "reused": 0, "receding": 1}, "under token 1, after"),
    case("lock-one-grant", "lock", "unknown", {"acquires": 2, "granted": 1, "contended": 0}),
    case("broadcast-heard", "broadcast", "valid", {"missing": 0, "nodes": ["n1", "n2"]}),
    case("broadcast-lost", "broadcast", "invalid", {"lost": 1, "missing": 1}, "1 was broadcast; at the end it was not"),
    case("broadcast-missing", "broadcast", "invalid", {"lost": 0, "missing": 1}, "not to be read from n2"),
    # The same without time to converge.
    case("broadcast-lagging", "broadcast", "unknown", {"lost": 0, "missing": 1}),
    case("broadcast-unread", "broadcast", "unknown", {"missing": 0, "reads": 1}),
    case("broadcast-twice", "broadcast", "invalid", {"duplicated": 1}, "read 1 at 0.004 s (n1), twice"),
    # A crashed broadcast may have come to one node only, and go no further.
    case("broadcast-crashed", "broadcast", "valid", {"acknowledged": 1, "missing": 0, "unexpected": 0}),
    logs("in-order", "valid"),
    logs("lost", "invalid", "process 0 sent 1 of x at offset 0", lost=1),
    logs("unseen", "invalid", "process 1 sent 2 of x at offset 1", unseen=1),
    logs("not-polled-yet", "unknown", unseen=1),
    logs("duplicate", "invalid", "process 2 polled 1 of x at offset 1", duplicate=1),
    # The second value of offset 0 is counted once, though a send and a poll show it. Equal offsets are no reordering.
    logs("inconsistent-offset", "invalid", "an offset has two values", inconsistent_offset=1),
    logs("poll-skip", "invalid", "polled 3 of x at offset 2", poll_skip=1),
    logs("assigned-anew", "valid"),
    # No record was ever shown between the two: offsets may have gaps.
    logs("gap", "valid"),
    logs("nonmonotonic-poll", "invalid", "a process polled backwards", nonmonotonic_poll=1),
    logs("internal-poll", "invalid", "", internal_poll_skip=1, internal_nonmonotonic_poll=1),
    # One process, one send after the other: the second is before the first in real time as well.
    logs("nonmonotonic-send", "invalid", "", reordered=1, nonmonotonic_send=1),
    logs("internal-send", "invalid", "", internal_nonmonotonic_send=1),
    logs("reordered", "invalid", "a record is before one that had been sent before it", reordered=1),
    logs("concurrent-sends", "valid"),
    logs("aborted-read", "invalid", "comes from a send that failed", aborted_read=1),
    logs("crashed-send", "valid"),
    logs("unexpected", "invalid", "polled 9 of x at offset 1", unexpected=1),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_golden_history_has_the_verdict_reasoned_by_hand(case: GoldenCase) -> None:
    case.judge()
    if case.checker == "kafka":
        # All of them, and not only those named.
        assert sum(case.evidence["anomalies"].values()) == sum(_anomalies(case).values())


def _anomalies(case: GoldenCase) -> dict[str, int]:
    found: dict[str, int] = checkers.check(case.checker, load(case.file)).evidence["anomalies"]
    return found


def test_every_golden_history_is_judged() -> None:
    assert names_in("services") == {case.file for case in CASES}
