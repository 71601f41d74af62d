"""Runs whose own parts fail, in small: `swarm_run` does thousands. And what the oracle proves, by the smallest histories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.running.interrupts_run import left
from tests.harness.running.sets_oracle import oracle
from tests.harness.running.swarm import PARTS, drawn, performed


@pytest.mark.parametrize("first", range(0, 24, 6))
def test_a_run_whose_parts_fail_is_never_wrongly_valid_and_leaves_nothing(first: int, tmp_path: Path) -> None:
    before = left()
    for seed in range(first, first + 6):
        outcome = performed(seed, tmp_path / str(seed))
        assert outcome.wrong is None, f"seed {seed}: {outcome}"
        assert left() == before


def test_every_part_and_every_way_is_drawn() -> None:
    drawn_of = [injection for seed in range(1000) for injection in drawn(seed).injections]
    assert {(each.part, each.how) for each in drawn_of} == {
        (part, how) for part, (_, hows) in PARTS.items() for how in hows
    }


def line(
    type_: str, f: str, value: Any = None, *, process: Any = 0, node: str = "n1", error: str = ""
) -> dict[str, Any]:
    return {"type": type_, "f": f, "process": process, "key": "k", "value": value, "node": node, "error": error}


def stage(name: str) -> dict[str, Any]:
    return {"type": "info", "f": "stage", "process": "nemesis", "value": name}


def read(node: str, *elements: int) -> list[dict[str, Any]]:
    return [line("invoke", "read", node=node), line("ok", "read", list(elements), node=node)]


def add(element: int, outcome: str) -> list[dict[str, Any]]:
    return [line("invoke", "add", element), line(outcome, "add", element)]


def found(tmp_path: Path, *lines: dict[str, Any]) -> Any:
    path = tmp_path / "history.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return oracle(path, 2)


END = (stage("convergence"), stage("final-reads"))


def test_the_oracle_knows_what_is_lost_missing_and_impossible(tmp_path: Path) -> None:
    whole = found(tmp_path, *add(1, "ok"), *END, *read("n1", 1), *read("n2", 1), stage("end"))
    assert not whole.bad and whole.whole and whole.acknowledged == 1
    assert found(tmp_path, *add(1, "ok"), *END, *read("n1"), *read("n2")).lost == {("k", 1)}
    assert found(tmp_path, *add(1, "ok"), *END, *read("n1", 1), *read("n2")).missing == {("k", 1)}
    assert found(tmp_path, *add(1, "fail"), *END, *read("n1", 1)).impossible == {("k", 1)}
    assert found(tmp_path, *add(1, "ok"), *END, *read("n1", 1, 1)).impossible == {("k", 1)}
    assert found(tmp_path, *END, *read("n1", 7)).impossible == {("k", 7)}
    assert not found(tmp_path, *add(1, "info"), *END, *read("n1"), *read("n2", 1)).bad


def test_the_oracle_takes_no_history_for_whole_that_is_not(tmp_path: Path) -> None:
    good = [*add(1, "ok"), *END, *read("n1", 1), *read("n2", 1), stage("end")]
    assert found(tmp_path, *good).whole
    assert not found(tmp_path, *good[:-1]).whole
    assert not found(tmp_path, *good[:-3], stage("end")).whole
    assert not found(tmp_path, line("info", "read", error="crash: Odd"), *good).whole
    begun = {"type": "info", "f": "start", "process": "nemesis", "value": {"fault": "kill"}}
    assert not found(tmp_path, begun, *good).whole
    failed = {**begun, "value": {"fault": "kill", "evidence": {"effective": False}}}
    assert not found(tmp_path, begun, failed, *good).whole
