"""Golden histories: the smallest that is not linearizable, beside a neighbour that is. Verdicts reasoned by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import check

GOLDEN = Path(__file__).parents[1] / "golden" / "linearizability"

# file, model, verdict, the calls of the core
CASES: list[tuple[str, str, str, list[str]]] = [
    ("stale-read", "register", "invalid", ["write 1", "write 2", "read -> 1"]),
    ("stale-read", "cas-register", "invalid", ["write 1", "write 2", "read -> 1"]),
    # The second write is still open as the read begins.
    ("read-of-an-open-write", "register", "valid", []),
    ("read-before-write", "register", "invalid", ["read -> 1", "write 1"]),
    ("read-during-write", "register", "valid", []),
    ("never-written", "register", "invalid", ["read -> 1"]),
    ("read-empty", "register", "valid", []),
    # Once seen, a write that is still open can't be unseen.
    ("back-in-time", "register", "invalid", ["write 1", "read -> 1", "read -> null"]),
    ("forward-in-time", "register", "valid", []),
    ("crashed-write-undone", "register", "invalid", ["write 1 (crashed)", "read -> 1", "read -> null"]),
    ("crashed-write-late", "register", "valid", []),
    ("lost-update", "cas-register", "invalid", ["cas [null, 1]", "read -> null"]),
    # Both met the empty register, which was empty once.
    ("cas-double", "cas-register", "invalid", ["cas [null, 1]", "cas [null, 2]"]),
    ("cas-chain", "cas-register", "valid", []),
    # It says that the register was not empty, which nothing ever filled.
    ("cas-refused-wrongly", "cas-register", "invalid", ["cas [null, 1] (failed)"]),
    ("cas-refused-rightly", "cas-register", "valid", []),
    (
        "torn-transaction",
        "multi-register",
        "invalid",
        ['txn [["r", "x", null], ["r", "y", null]] -> [["r", "x", 1], ["r", "y", null]]'],
    ),
    ("whole-transaction", "multi-register", "valid", []),
    ("append-lost", "kv", "invalid", ['append "a"', 'get -> ""']),
    # Whenever b was appended: it was not yet invoked as a was there.
    ("append-order-changed", "kv", "invalid", ['append "a"', 'get -> "ba"']),
    ("append-order", "kv", "valid", []),
    ("other-key", "kv", "valid", []),
    ("counter-lost-add", "counter", "invalid", ["add 1", "read -> 0"]),
    ("counter-open-add", "counter", "valid", []),
    # Each add is seen without the other, though both are open all the while: they can't both have been first.
    ("counter-order", "counter", "invalid", ["read -> 1", "read -> 2"]),
    ("mutex-taken-twice", "mutex", "invalid", ["acquire", "acquire"]),
    ("mutex-handed-over", "mutex", "valid", []),
    ("mutex-crashed-release", "mutex", "valid", []),
    ("only-writes", "register", "unknown", []),
    ("only-crashed", "register", "unknown", []),
]


@pytest.mark.parametrize(("file", "model", "outcome", "core"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES])
def test_a_golden_history_has_the_verdict_and_the_core_reasoned_by_hand(
    file: str, model: str, outcome: str, core: list[str]
) -> None:
    with (GOLDEN / f"{file}.jsonl").open("rb") as lines:
        verdict = check(History.parse(lines), model=model)
    assert verdict.outcome == outcome, verdict.reason
    assert [call["call"] for call in verdict.witness.data["calls"]] == core if verdict.witness else not core


def test_every_golden_history_is_judged() -> None:
    assert {path.stem for path in GOLDEN.glob("*.jsonl")} == {file for file, *_ in CASES}
