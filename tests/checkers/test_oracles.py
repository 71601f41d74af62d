"""Every checker agrees with its oracle. SPLITBRAIN_ORACLE_EXAMPLES says on how many histories; 300 without it."""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from checkers import History
from tests.checkers import generate, oracle_run
from tests.checkers.oracles import ORACLES

EXAMPLES = int(os.environ.get("SPLITBRAIN_ORACLE_EXAMPLES", "300"))


@pytest.mark.parametrize("name", ORACLES)
@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**48), shape=st.sampled_from(generate.SHAPES))
def test_a_checker_agrees_with_its_oracle(name: str, seed: int, shape: str) -> None:
    history = generate.history(Random(seed), shape)
    note(oracle_run.show(history))
    assert oracle_run.disagreement(name, history) == {}


def test_the_oracles_have_both_sides_of_every_question_to_judge() -> None:
    """Agreement on nothing but clean histories would prove little."""
    seen: dict[str, set[str]] = {name: set() for name in ORACLES}
    found: set[str] = set()
    for seed in range(600):
        history = generate.history(Random(seed), generate.SHAPES[seed % 2])
        for name, oracle in ORACLES.items():
            figures = oracle(history)
            seen[name].add(figures["verdict"])
            found |= {field for field, value in figures.items() if value}
    assert all(
        seen[name] == {"valid", "invalid", "unknown"} for name in ("lost-writes", "siblings", "convergence", "evidence")
    )
    assert {
        "lost",
        "missing",
        "unstable",
        "stale",
        "recovered",
        "phantom",
        "unexpected",
        "duplicated",
        "unprovable",
    } <= found


def test_the_large_run_reports_what_it_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert oracle_run.main(20, 0) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in told] == list(ORACLES)
    assert all("agrees with its oracle on 20 histories" in line for line in told)


def test_the_large_run_stops_at_a_disagreement_and_names_its_seed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(history: History) -> dict[str, object]:
        return {"verdict": "nonsense"}

    monkeypatch.setattr(oracle_run, "ORACLES", {"latency": wrong})
    assert oracle_run.main(20, 5) == 1
    assert "seed 5: latency and its oracle disagree" in capsys.readouterr().out
