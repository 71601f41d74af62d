"""results.jsonl: what a campaign keeps of each run."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from splitbrain.harness.campaigns.outcomes import OutcomeFile, RunOutcome, counts, failures, read_outcomes
from splitbrain.harness.campaigns.signature import Signature
from splitbrain.harness.running.results import ResultsError

LOST = Signature("lost-writes", "lost", ("kill",), ("add ok",))
FALSE = Signature("siblings", "false")


def outcome(index: int, status: str = "valid", *signatures: Signature, operations: int = 10) -> RunOutcome:
    return msgspec.convert(
        {
            "index": index,
            "workload": "sets",
            "command": f"splitbrain run sets --seed {index}",
            "status": status,
            "reason": "why",
            "signatures": signatures,
            "operations": operations,
            "situations": {"met": True},
        },
        RunOutcome,
    )


def test_what_was_added_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with OutcomeFile(path) as file:
        assert file.known == []
        file.add(outcome(1, "invalid", LOST))
        assert read_outcomes(path) == [outcome(1, "invalid", LOST)], "it is flushed at once"
        file.add(outcome(0))
    with OutcomeFile(path) as file:
        assert file.known == [outcome(0), outcome(1, "invalid", LOST)]


def test_a_torn_last_line_is_dropped_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with OutcomeFile(path) as file:
        file.add(outcome(0))
        file.add(outcome(1))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with OutcomeFile(path) as file:
        assert [each.index for each in file.known] == [0]
        file.add(outcome(1))
    assert path.read_bytes() == whole


def test_a_bad_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(b'{"index": 0}\n{"index"')
    with pytest.raises(ResultsError, match=r"results.jsonl, line 1: .*missing required field"):
        OutcomeFile(path)


def test_runs_are_counted_by_status() -> None:
    found = counts([outcome(0), outcome(1, "invalid"), outcome(2, "broken"), outcome(3)])
    assert found == {"runs": 4, "valid": 2, "invalid": 1, "unknown": 0, "broken": 1}


def test_failures_of_one_signature_are_told_once_with_the_first_and_the_smallest() -> None:
    runs = [
        outcome(0),
        outcome(1, "invalid", LOST, FALSE, operations=90),
        outcome(2, "invalid", LOST, operations=30),
        outcome(3, "invalid", LOST, operations=30),
    ]
    lost, false = failures(runs)
    assert (lost.signature, lost.runs, lost.first.index, lost.smallest.index) == (LOST, 3, 1, 2)
    assert (false.signature, false.runs, false.first.index) == (FALSE, 1, 1)
