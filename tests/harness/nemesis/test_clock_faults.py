from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest

from splitbrain.harness.environment import ClockSetting
from splitbrain.harness.nemesis.families import families
from tests.harness.nemesis.striking import Striking, aims, with_nemesis

NODES = ["n2", "n4"]


async def ahead(s: Striking, node: str) -> float:
    return round(await s.environment.machines[node].read_clock(), 6)


def test_a_skew_is_read_back_from_each_node_and_so_is_its_end() -> None:
    async def scenario(s: Striking) -> None:
        how: dict[str, Any] = {"shape": "skew", "nodes": NODES, "offset_s": {"n2": -3600.0, "n4": 0.25}}
        started = await s.start(**how)
        assert started == {"effective": True, "detail": "n2 -3600.000 s, as set, n4 +0.250 s, as set"}
        assert (await ahead(s, "n2"), await ahead(s, "n4"), await ahead(s, "n1")) == (-3600.0, 0.25, 0.0)
        stopped = await s.stop(**how)
        assert stopped == {"effective": True, "detail": "right on n2, n4", "stood": True}
        assert (await ahead(s, "n2"), await ahead(s, "n4")) == (0.0, 0.0)

    with_nemesis("clock", scenario)


def test_a_drift_is_seen_between_two_readings() -> None:
    async def scenario(s: Striking) -> None:
        how: dict[str, Any] = {"shape": "drift", "nodes": NODES, "drift": {"n2": 0.5, "n4": -0.05}}
        started = await s.start(**how)
        assert started == {"effective": True, "detail": "n2 +0.500 s/s, as set, n4 -0.050 s/s, as set"}
        await asyncio.sleep(9.0)
        # A second passed between the readings.
        assert (await ahead(s, "n2"), await ahead(s, "n4")) == (5.0, -0.5)
        assert (await s.stop(**how))["stood"] is True

    with_nemesis("clock", scenario)


def test_a_drift_is_read_right_where_a_reading_takes_as_long_as_the_watch() -> None:
    """On a busy machine -0.4 s/s was read as -0.28: the second reading was taken long after it was asked for."""

    async def scenario(s: Striking) -> None:
        machine = s.environment.machines["n2"]
        quick = machine.read_clock
        waits = iter([(0.0, 0.9), (0.9, 0.0), (0.0, 0.9), (0.9, 0.0), (0.4, 0.4)])

        async def slow() -> float:
            before, after = next(waits)
            await asyncio.sleep(before)
            reading = await quick()
            await asyncio.sleep(after)
            return reading

        machine.read_clock = slow  # type: ignore[method-assign]
        started = await s.start(shape="drift", nodes=["n2"], drift={"n2": -0.4})
        assert started["effective"] is True
        assert abs(float(str(started["detail"]).split()[1]) + 0.4) < 0.06

    with_nemesis("clock", scenario)


@pytest.mark.parametrize("shape", ["strobe", "jump"])
def test_a_clock_that_is_set_again_and_again_is_left_right_at_the_stop(shape: str) -> None:
    async def scenario(s: Striking) -> None:
        how: dict[str, Any] = {"shape": shape, "nodes": ["n3"], "offset_s": {"n3": 7.0}, "every_s": 0.1, "seed": 5}
        assert (await s.start(**how))["effective"] is True
        seen = []
        await asyncio.sleep(0.05)
        for _ in range(20):
            seen.append(await ahead(s, "n3"))
            await asyncio.sleep(0.1)
        if shape == "strobe":
            assert {*seen} == {0.0, 7.0} and all(a != b for a, b in pairwise(seen))
        else:
            assert len({*seen}) >= 19 and all(0.1 <= abs(each) <= 3600 for each in seen)
        stopped = await s.stop(**how)
        assert stopped == {"effective": True, "detail": "right on n3", "set": 21}
        await asyncio.sleep(1)
        assert await ahead(s, "n3") == 0.0

    with_nemesis("clock", scenario)


@pytest.mark.parametrize(("shape", "more"), [("skew", {"offset_s": {"n3": 7.0}}), ("drift", {"drift": {"n3": 0.1}})])
def test_a_clock_that_can_not_be_set_was_without_effect(shape: str, more: dict[str, Any]) -> None:
    async def scenario(s: Striking) -> None:
        async def do_nothing(clock: ClockSetting) -> None: ...

        s.environment.machines["n3"].set_clock = do_nothing  # type: ignore[method-assign]
        started = await s.start(shape=shape, nodes=["n3"], **more)
        assert started["effective"] is False and "not as set" in started["detail"]

    with_nemesis("clock", scenario)


def test_a_clock_that_something_else_set_right_did_not_stand_and_one_that_stays_wrong_is_not_healed() -> None:
    async def scenario(s: Striking) -> None:
        how: dict[str, Any] = {"shape": "skew", "nodes": ["n3"], "offset_s": {"n3": 7.0}}
        await s.start(**how)
        machine = s.environment.machines["n3"]
        await machine.set_clock(ClockSetting())
        assert (await s.stop(**how))["stood"] is False
        await s.start(**how)

        async def do_nothing(clock: ClockSetting) -> None: ...

        machine.set_clock = do_nothing  # type: ignore[method-assign]
        stopped = await s.stop(**how)
        assert (stopped["effective"], stopped["detail"]) == (False, "n3 +7.000 s")

    with_nemesis("clock", scenario)


def test_the_last_stop_sets_all_clocks_right_and_ends_what_sets_them() -> None:
    async def scenario(s: Striking) -> None:
        await s.start(1, shape="strobe", nodes=["n3"], offset_s={"n3": 7.0}, every_s=0.1, seed=5)
        await s.start(2, shape="skew", nodes=["n1"], offset_s={"n1": 7.0})
        assert (await s.stop_all())["effective"] is True
        await asyncio.sleep(2)
        assert (await ahead(s, "n1"), await ahead(s, "n3")) == (0.0, 0.0)

    with_nemesis("clock", scenario)


def test_timers_that_run_fast_are_seen_by_the_programs_own_clock() -> None:
    async def scenario(s: Striking) -> None:
        how: dict[str, Any] = {"nodes": ["n2", "n5"], "drift": {"n2": 0.25, "n5": -0.5}}
        started = await s.start(**how)
        assert started == {"effective": True, "detail": "n2 +0.250 s/s, as set, n5 -0.500 s/s, as set"}
        before = {node: len(s.system.started[int(node[1]) - 1].ticks) for node in ("n1", "n2", "n5")}
        await asyncio.sleep(40)
        ticked = {node: len(s.system.started[int(node[1]) - 1].ticks) - count for node, count in before.items()}
        assert ticked == {"n1": 40, "n2": 50, "n5": 20}
        stopped = await s.stop(**how)
        assert stopped == {"effective": True, "detail": "n2 +0.000 s/s, as set, n5 +0.000 s/s, as set", "stood": True}

    with_nemesis("timers", scenario)


def test_timers_that_run_on_as_before_were_not_struck() -> None:
    async def scenario(s: Striking) -> None:
        async def do_nothing(clock: ClockSetting) -> None: ...

        s.environment.machines["n2"].set_clock = do_nothing  # type: ignore[method-assign]
        started = await s.start(nodes=["n2"], drift={"n2": 0.05})
        assert started == {"effective": False, "detail": "n2 +0.000 s/s, not as set"}

    with_nemesis("timers", scenario)


@pytest.mark.parametrize("name", ["clock", "timers"])
def test_strikes_stay_within_what_the_evidence_can_tell(name: str) -> None:
    strikes = aims(name)
    assert {how["target"] for how in strikes} == {"one", "minority", "all"}
    for how in strikes:
        assert json.loads(json.dumps(how)) == how
        assert set(families()[name].holds(how)) == {("clock", node) for node in how["nodes"]}
        for kind, least, most in (("offset_s", 0.1, 3600.0), ("drift", 0.05, 0.5)):
            sizes = [abs(size) for size in how.get(kind, {}).values()]
            assert all(least <= size <= most for size in sizes)
            assert set(how.get(kind, how["nodes"])) == set(how["nodes"])
        if how["target"] == "all" and "offset_s" in how:
            assert len(set(how["offset_s"].values())) > 1, "all clocks wrong alike is no fault"
    if name == "clock":
        assert len({how["shape"] for how in strikes[:4]}) == 4
    assert aims(name) == strikes != aims(name, seed=4)
