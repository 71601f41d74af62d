from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from splitbrain.harness.environment import Program
from splitbrain.harness.nemesis.families import families
from splitbrain.harness.nemesis.targets import Targets
from splitbrain.harness.simulation.simulated_machine import SimulatedMachine
from tests.harness.nemesis.striking import NODES, Striking, aims, with_nemesis
from tests.harness.simulation.echo import Echo

STORM: dict[str, Any] = {
    "nodes": ["n2", "n3"],
    "power": True,
    "ups_s": [0.01, 0.5, 0.005, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1],
}


@pytest.mark.parametrize("power", [True, False])
def test_a_storm_takes_its_nodes_down_ten_times_and_its_stop_brings_them_back(power: bool) -> None:
    async def scenario(s: Striking) -> None:
        how = {**STORM, "power": power}
        assert await s.start(**how) == {"effective": True, "detail": "process gone on n2, n3"}
        stopped = await s.stop(**how)
        assert stopped == {"effective": True, "detail": "n2, n3 answer again", "stood": True, "blows": 10}
        # Five at first, then ten starts of each of two.
        assert len(s.system.started) == 5 + 10 * 2
        logs = (await s.environment.machines["n2"].logs())["echo.log"]
        assert logs.count(b"power cut" if power else b"killed") == 10
        assert b"power cut" not in (await s.environment.machines["n1"].logs())["echo.log"]

    with_nemesis("storm", scenario)


def test_the_other_blows_follow_while_the_strike_stands() -> None:
    async def scenario(s: Striking) -> None:
        await s.start(**STORM)
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(0.05)
        # Up for 10 ms, then down and up again until 510 ms have passed.
        assert await s.environment.machines["n2"].running()
        await s.stop(**STORM)
        assert asyncio.get_running_loop().time() - began >= sum(STORM["ups_s"])

    with_nemesis("storm", scenario)


def test_a_storm_whose_first_blow_misses_was_without_effect() -> None:
    async def scenario(s: Striking) -> None:
        async def do_nothing() -> None: ...

        s.environment.machines["n3"].kill = do_nothing  # type: ignore[method-assign]
        started = await s.start(**{**STORM, "power": False, "ups_s": []})
        assert started == {"effective": False, "detail": "process still there on n3"}

    with_nemesis("storm", scenario)


def test_a_storm_of_which_a_later_blow_misses_was_without_effect() -> None:
    async def scenario(s: Striking) -> None:
        how = {**STORM, "power": False}
        await s.start(**how)
        machine, kill = s.environment.machines["n3"], s.environment.machines["n3"].kill
        blows = 0

        async def miss_once() -> None:
            nonlocal blows
            blows += 1
            if blows != 3:
                await kill()

        async def start(environment: Any, struck: SimulatedMachine) -> None:
            if not await struck.running():
                await struck.start(Program("echo", (), simulate=Echo))

        machine.kill = miss_once  # type: ignore[method-assign]
        s.system.start = start  # type: ignore[method-assign, assignment]
        stopped = await s.stop(**how)
        assert (stopped["effective"], stopped["detail"]) == (False, "a blow left the process on n3")

    with_nemesis("storm", scenario)


class Frail(Echo):
    """Dies a while after each start."""

    def start(self) -> None:
        super().start()
        self.machine.call_later(0.05, self._die)

    def _die(self) -> None:
        raise RuntimeError("too much")


def test_a_process_that_ends_by_itself_between_two_blows_has_died() -> None:
    async def scenario(s: Striking) -> None:
        async def start(environment: Any, machine: SimulatedMachine) -> None:
            await machine.start(Program("frail", (), simulate=Frail if machine.name == "n2" else Echo))

        s.system.start = start  # type: ignore[method-assign, assignment]
        await s.start(**STORM)
        assert (await s.stop(**STORM))["died"] == ["n2"]

    with_nemesis("storm", scenario)


def test_a_program_that_a_storm_keeps_from_starting_has_died() -> None:
    def broken(machine: SimulatedMachine) -> Echo:
        raise ValueError("half a ring")

    async def scenario(s: Striking) -> None:
        starts = 0

        async def start(environment: Any, machine: SimulatedMachine) -> None:
            nonlocal starts
            starts += machine.name == "n2"
            # The third start of n2 finds something that it can't cope with.
            await machine.start(Program("echo", (), simulate=broken if starts == 3 and machine.name == "n2" else Echo))

        s.system.start = start  # type: ignore[method-assign, assignment]
        await s.start(**STORM)
        assert (await s.stop(**STORM))["died"] == ["n2"]

    with_nemesis("storm", scenario)


@pytest.mark.parametrize("shape", ["terminate", "kill"])
def test_a_rolling_restart_restarts_each_node_once_and_never_two_at_a_time(shape: str) -> None:
    async def scenario(s: Striking) -> None:
        down: list[set[str]] = []

        async def watch() -> None:
            while True:
                machines = s.environment.machines
                gone = {name for name in NODES if not await machines[name].running()}
                if not down or down[-1] != gone:
                    down.append(gone)
                await asyncio.sleep(0.000_1)

        order = ["n3", "n1", "n5", "n2", "n4"]
        watching = asyncio.create_task(watch())
        assert await s.start(shape=shape, nodes=order) == {"effective": True, "detail": "process gone on n3"}
        stopped = await s.stop(shape=shape, nodes=order)
        watching.cancel()
        assert stopped == {"effective": True, "detail": "n1, n2, n3, n4, n5 answer again"}
        assert len(s.system.started) == 5 + 5
        assert all(len(gone) <= 1 for gone in down)
        word = b"terminated" if shape == "terminate" else b"killed"
        for machine in s.environment.machines.values():
            assert (await machine.logs())["echo.log"].count(word) == 1

    with_nemesis("rolling-restart", scenario)


def test_a_node_that_will_not_go_makes_a_rolling_restart_without_effect() -> None:
    async def scenario(s: Striking) -> None:
        async def do_nothing() -> None: ...

        s.environment.machines["n2"].terminate = do_nothing  # type: ignore[method-assign]
        assert (await s.start(shape="terminate", nodes=list(NODES)))["effective"] is True
        stopped = await s.stop(shape="terminate", nodes=list(NODES))
        assert stopped == {"effective": False, "detail": "process never gone on n2"}

    with_nemesis("rolling-restart", scenario)


@pytest.mark.parametrize("name", ["storm", "rolling-restart"])
def test_the_last_stop_waits_for_what_is_under_way(name: str) -> None:
    async def scenario(s: Striking) -> None:
        await s.start(shape="kill", **STORM)
        assert (await s.stop_all())["effective"] is True
        started = len(s.system.started)
        await asyncio.sleep(10)
        assert len(s.system.started) == started
        assert all([await machine.running() for machine in s.environment.machines.values()])

    with_nemesis(name, scenario)


def test_strikes_hold_the_processes_they_take_down() -> None:
    for name in ("storm", "rolling-restart"):
        strikes = aims(name)
        for how in strikes:
            assert set(families()[name].holds(how)) == {("process", node) for node in how["nodes"]}
            assert json.loads(json.dumps(how)) == how
        assert aims(name) == strikes != aims(name, seed=4)
    storms = aims("storm")
    assert {how["target"] for how in storms} == {"one", "minority", "majority", "all"}
    assert all(len(how["ups_s"]) == 9 and all(0.005 <= up <= 0.5 for up in how["ups_s"]) for how in storms)
    rolls = aims("rolling-restart")
    assert all(sorted(how["nodes"]) == list(NODES) for how in rolls)
    assert {how["shape"] for how in rolls} == {"terminate", "kill"}


ABSENCE: dict[str, Any] = {"nodes": ["n4"], "wiped": ["n1", "n2"], "after_s": [0.5]}


def test_while_a_node_is_absent_others_lose_their_disks_and_again_before_it_comes_back() -> None:
    async def scenario(s: Striking) -> None:
        machines = s.environment.machines
        s.write("n1", "n3", "n4")
        await asyncio.sleep(0.2)
        assert await s.start(**ABSENCE) == {"effective": True, "detail": "process gone on n4"}
        stored = machines["n1"].disk.get("counter", b"n")
        await asyncio.sleep(0.6)
        assert not await machines["n4"].running()
        once = machines["n1"].disk.get("counter", b"n")
        assert stored is not None and once is not None and once < stored
        await asyncio.sleep(2.0)
        grown = machines["n1"].disk.get("counter", b"n")
        stopped = await s.stop(**ABSENCE)
        assert (stopped["effective"], stopped["detail"], stopped["stood"]) == (True, "n4 answers again", True)
        twice = machines["n1"].disk.get("counter", b"n")
        assert twice is None or (grown is not None and twice < grown)
        assert b"killed" not in (await machines["n3"].logs())["echo.log"]

    with_nemesis("absence", scenario)


def test_an_absence_that_is_soon_over_wipes_disks_once() -> None:
    async def scenario(s: Striking) -> None:
        await s.start(**ABSENCE)
        await s.stop(**ABSENCE)
        await asyncio.sleep(1.0)
        assert (await s.environment.machines["n1"].logs())["echo.log"].count(b"killed") == 1
        assert (await s.stop_all())["effective"] is True

    with_nemesis("absence", scenario)


def test_others_lose_their_disks_several_times_at_growing_intervals() -> None:
    async def scenario(s: Striking) -> None:
        often = {**ABSENCE, "after_s": [0.2, 0.6, 1.5]}
        await s.start(**often)
        machine = s.environment.machines["n1"]
        for moment_s, killed in ((0.1, 0), (0.3, 1), (0.4, 2), (1.0, 3)):
            await asyncio.sleep(moment_s)
            assert (await machine.logs())["echo.log"].count(b"killed") == killed
        await s.stop(**often)
        assert (await machine.logs())["echo.log"].count(b"killed") == 4

    with_nemesis("absence", scenario)
    for how in aims("absence"):
        first_s, second_s, third_s = how["after_s"]
        assert 3.0 <= first_s <= 12.0
        assert 1.49 < second_s / first_s < 2.01 and 1.49 < third_s / second_s < 2.01


def test_an_absence_never_destroys_more_than_can_be_done_without() -> None:
    family = families()["absence"]
    for how in aims("absence"):
        assert family.destroys(how) == ["n1", "n2"]
        assert not set(how["nodes"]) & {"n1", "n2"}
    with pytest.raises(ValueError, match="the system tolerates that of none"):
        family.aim(Targets(NODES), 1, 0)
