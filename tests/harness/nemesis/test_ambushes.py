from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from splitbrain.harness.nemesis import fault_package
from splitbrain.harness.nemesis.families import families
from splitbrain.harness.nemesis.nodes.ambushes import BLOWS, FIRST_S
from splitbrain.harness.nemesis.targets import Targets
from splitbrain.harness.running.experiment import Experiment, UsageProblem
from splitbrain.harness.running.results import read_history
from splitbrain.harness.running.run import run
from tests.harness.nemesis.striking import NODES, TARGETS, Striking, with_nemesis

MARKED = replace(TARGETS, marks=(("kept", "delivered"), ("begun",)))
AMBUSH: dict[str, Any] = {
    "shape": "kill",
    "first": "n1",
    "marks": ["kept", "delivered"],
    "whom": ["it"] * BLOWS,
    "nodes": list(NODES),
    "after_s": [0.001] * BLOWS,
    "down_s": [0.1] * BLOWS,
}


async def up(s: Striking) -> set[str]:
    return {name for name, machine in s.environment.machines.items() if await machine.running()}


def make(s: Striking, mark: str, node: str) -> None:
    s.environment.machines[node].mark(mark)


def test_an_ambush_takes_one_node_down_and_hits_another_right_after_its_mark() -> None:
    async def scenario(s: Striking) -> None:
        assert await s.start(**AMBUSH) == {"effective": True, "detail": "process gone on n1"}
        assert await up(s) == {"n2", "n3", "n4", "n5"}
        await asyncio.sleep(0.01)
        make(s, "kept", "n3")
        await asyncio.sleep(0.000_5)
        assert "n3" in await up(s), "a millisecond after the mark, and no sooner"
        await asyncio.sleep(0.001)
        assert await up(s) == {"n2", "n4", "n5"}
        await asyncio.sleep(0.5)
        assert await up(s) == set(NODES), "a tenth of a second later both are started again"
        stopped = await s.stop(**AMBUSH)
        assert (stopped["effective"], stopped["blows"]) == (True, 2)

    with_nemesis("ambush", scenario)


def test_the_first_node_stays_down_until_a_mark_comes_but_not_for_ever() -> None:
    async def scenario(s: Striking) -> None:
        await s.start(**AMBUSH)
        await asyncio.sleep(FIRST_S - 0.1)
        assert "n1" not in await up(s)
        await asyncio.sleep(0.5)
        assert "n1" in await up(s)
        stopped = await s.stop(**AMBUSH)
        assert (stopped["effective"], stopped["blows"]) == (True, 1)

    with_nemesis("ambush", scenario)


@pytest.mark.parametrize(("whom", "left"), [("others", {"n3"}), ("all", set())])
def test_a_blow_may_hit_all_others_or_all(whom: str, left: set[str]) -> None:
    async def scenario(s: Striking) -> None:
        await s.start(**{**AMBUSH, "whom": [whom] * BLOWS})
        await asyncio.sleep(0.01)
        make(s, "kept", "n3")
        await asyncio.sleep(0.01)
        assert await up(s) == left

    with_nemesis("ambush", scenario)


def test_after_one_mark_of_several_the_others_are_waited_for() -> None:
    async def scenario(s: Striking) -> None:
        await s.start(**AMBUSH)
        for mark in ("kept", "kept", "kept", "delivered"):
            await asyncio.sleep(0.5)
            make(s, mark, "n3")
        await asyncio.sleep(0.5)
        assert (await s.stop(**AMBUSH))["blows"] == 1 + 2

    with_nemesis("ambush", scenario)


def test_an_ambush_whose_first_blow_misses_was_without_effect() -> None:
    async def scenario(s: Striking) -> None:
        async def do_nothing() -> None: ...

        s.environment.machines["n1"].kill = do_nothing  # type: ignore[method-assign]
        assert await s.start(**AMBUSH) == {"effective": False, "detail": "process still there on n1"}
        await s.stop(**AMBUSH)

    with_nemesis("ambush", scenario)


def test_a_node_that_ended_by_itself_before_a_blow_has_died() -> None:
    async def scenario(s: Striking) -> None:
        await s.start(**AMBUSH)
        await asyncio.sleep(0.01)
        s.environment.machines["n3"].exit("out of memory")
        make(s, "kept", "n3")
        await asyncio.sleep(0.01)
        assert (await s.stop(**AMBUSH))["died"] == ["n3"]

    with_nemesis("ambush", scenario)


def test_the_stop_without_a_strike_ends_every_ambush() -> None:
    async def scenario(s: Striking) -> None:
        await s.start(**AMBUSH)
        assert (await s.stop_all())["effective"] is True
        assert await up(s) == set(NODES)
        make(s, "kept", "n3")
        await asyncio.sleep(0.1)
        assert await up(s) == set(NODES)

    with_nemesis("ambush", scenario)


def test_ambushes_wait_for_every_group_of_marks_and_destroy_nothing() -> None:
    family = families()["ambush"]
    aims: list[Mapping[str, Any]] = [family.aim(MARKED, 3, turn) for turn in range(40)]
    assert {tuple(how["marks"]) for how in aims} == set(MARKED.marks)
    assert {how["shape"] for how in aims} == {"kill", "power-cut"}
    assert {whom for how in aims for whom in how["whom"]} == {"it", "others", "all"}
    assert not any(family.destroys(how) for how in aims)


def test_a_system_that_makes_no_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="ambush needs a system that says what its nodes do"):
        fault_package(["ambush"], Targets(NODES), seed=1, time_limit_s=10, commands_s=0.0)


def test_where_nobody_hears_marks_in_time_an_ambush_is_refused() -> None:
    with pytest.raises(UsageProblem, match="docker can't marks, which ambush needs"):
        Experiment(workload="registers", environment="docker", faults=("ambush",), seed=1).prepare()


def test_a_hint_that_is_in_memory_only_is_lost_to_an_ambush(tmp_path: Path) -> None:
    """The same run without the mistake is valid. Its strikes are a value: they are in the schedule before it starts."""
    config = {"n": "1", "r": "1", "w": "1", "keys": "60"}
    wrong = {**config, "defect": "hint-acked-from-memory", "unsafe": "true"}
    verdicts: set[str] = set()
    for seed in range(12):
        one = Experiment(workload="registers", faults=("ambush",), seed=seed, time_limit_s=20.0, config=wrong)
        result = run(one, out=tmp_path, report=False)
        if result.status == "invalid":
            clean = run(replace(one, config=config), out=tmp_path, report=False)
            verdicts = {result.status, clean.status}
            again = run(one, out=tmp_path, report=False)
            assert [*read_history(again.folder / "history.jsonl").events] == [
                *read_history(result.folder / "history.jsonl").events
            ]
            break
    assert verdicts == {"invalid", "valid"}
