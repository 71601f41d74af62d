"""Every checker agrees with its oracle. SPLITBRAIN_ORACLE_EXAMPLES says on how many histories; 300 without it."""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checkers import comparisons, generate, oracle_run
from tests.checkers.comparison import Comparison
from tests.checkers.harness_comparisons import ORACLES

EXAMPLES = int(os.environ.get("SPLITBRAIN_ORACLE_EXAMPLES", "300"))
named = pytest.mark.parametrize("comparison", comparisons.ALL.values(), ids=list(comparisons.ALL))


@named
@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**48))
def test_a_checker_agrees_with_its_oracle(comparison: Comparison, seed: int) -> None:
    comparison.compare(seed)


@named
def test_the_oracles_have_both_sides_of_every_question_to_judge(comparison: Comparison) -> None:
    """Agreement on nothing but clean histories would prove little."""
    missing = set(comparison.outcomes)
    seeds = iter(range(600))
    while missing:
        seed = next(seeds, None)
        assert seed is not None, f"never {missing}"
        missing.discard(comparison.compare(seed))


def test_the_oracles_of_lost_writes_meet_every_fate_of_a_write() -> None:
    found: set[str] = set()
    for seed in range(600):
        history = generate.history(Random(seed), generate.SHAPES[seed % 2])
        for oracle in ORACLES.values():
            found |= {field for field, value in oracle(history).items() if value}
    assert {
        "lost",
        "missing",
        "unstable",
        "stale",
        "recovered",
        "phantom",
        "unexpected",
        "duplicated",
        "deleted",
        "resurrected",
        "unprovable",
    } <= found


def test_the_large_run_reports_what_it_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert oracle_run.main(20, 0, ["latency", "linearizable mutex"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["latency", "linearizable mutex"]
    assert all("agrees with its oracle on 20 histories" in line for line in lines)


def test_the_large_run_stops_at_a_disagreement_and_names_its_seed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(seed: int) -> str:
        if seed == 7:
            raise AssertionError("the oracle says otherwise")
        return "valid"

    # Set before the workers are started, and inherited by them.
    monkeypatch.setattr(comparisons, "ALL", {"wrong": Comparison("wrong", wrong)})
    assert oracle_run.main(20, 5) == 1
    assert "seed 7 of wrong: AssertionError\nthe oracle says otherwise" in capsys.readouterr().out
