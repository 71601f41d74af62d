from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from splitbrain.harness.environment import DiskCondition, PowerCut
from splitbrain.harness.nemesis.families import families
from splitbrain.harness.nemesis.targets import Targets
from tests.harness.nemesis.striking import NODES, TARGETS, Striking, aims, with_nemesis

CONDITIONS = {"full-disk": {"full": True}, "failing-disk": {"failing": True}, "stalled-disk": {"stall_s": 0.2}}


def test_a_power_cut_says_what_it_undid_and_the_stop_that_the_nodes_answer() -> None:
    async def scenario(s: Striking) -> None:
        s.write("n2", "n4")
        await asyncio.sleep(1.0)
        how: dict[str, Any] = {"nodes": ["n2", "n4"], "torn": True}
        undone = 0
        for number in range(20):
            cut = await s.start(number, **how)
            assert cut["effective"] is True
            assert cut["detail"].startswith(f"process gone on n2, n4; {cut['undone']} unsynced write")
            # A torn write is one that is undone, and nothing is torn where nothing was under way.
            assert len(cut["torn"]) <= cut["undone"]
            undone += cut["undone"]
            back = await s.stop(number, **how)
            assert (back["effective"], back["stood"], back["detail"]) == (True, True, "n2, n4 answer again")
            await asyncio.sleep(0.05)
        assert undone > 0, "twenty cuts under load never met a write: the test shows nothing"

    with_nemesis("power-cut", scenario)


def test_a_power_cut_that_leaves_the_process_was_without_effect() -> None:
    async def scenario(s: Striking) -> None:
        async def do_nothing(*, torn: bool = False) -> PowerCut:
            return PowerCut(0, 0)

        s.environment.machines["n2"].power_cut = do_nothing  # type: ignore[method-assign]
        cut = await s.start(nodes=["n2"], torn=False)
        assert cut["effective"] is False
        assert cut["detail"] == "process still there on n2; 0 unsynced writes of 0 bytes undone"

    with_nemesis("power-cut", scenario)


@pytest.mark.parametrize("name", ["full-disk", "failing-disk"])
def test_a_disk_that_refuses_writes_may_end_the_program_which_is_no_death_and_the_stop_starts_it(name: str) -> None:
    async def scenario(s: Striking) -> None:
        s.write("n2")
        how: dict[str, Any] = {"nodes": ["n2"], "condition": CONDITIONS[name]}
        started = await s.start(**how)
        assert started["effective"] is True
        await asyncio.sleep(1.0)
        assert not await s.environment.machines["n2"].running()
        stopped = await s.stop(**how)
        assert (stopped["effective"], stopped["stood"], stopped["ended"]) == (True, True, ["n2"])
        assert "died" not in stopped and stopped["refused"] == 1
        await asyncio.sleep(1.0)
        assert await s.environment.machines["n2"].running()

    with_nemesis(name, scenario)


def test_a_stalled_disk_holds_syncs_up_and_ends_nothing() -> None:
    async def scenario(s: Striking) -> None:
        s.write("n2", "n3")
        how: dict[str, Any] = {"nodes": ["n2", "n3"], "condition": {"stall_s": 0.2}}
        started = await s.start(**how)
        assert started == {"effective": True, "detail": "n2: 1 held up; n3: 1 held up"}
        stopped = await s.stop(**how)
        assert stopped == {"effective": True, "detail": "n2, n3 answer again", "refused": 0, "stood": True}

    with_nemesis("stalled-disk", scenario)


@pytest.mark.parametrize("name", ["failing-disk", "stalled-disk"])
def test_a_disk_that_nobody_writes_to_was_not_struck(name: str) -> None:
    async def scenario(s: Striking) -> None:
        started = await s.start(nodes=["n2"], condition=CONDITIONS[name])
        assert started == {"effective": False, "detail": "n2: nothing refused or held up", "untouched": ["n2"]}

    with_nemesis(name, scenario)


def test_where_only_some_of_slow_disks_are_written_to_the_others_are_named() -> None:
    """Where all disks stall clients wait, and a node may get no write: runs were unknown for it."""

    async def scenario(s: Striking) -> None:
        s.write("n2")
        how: dict[str, Any] = {"nodes": ["n2", "n4"], "condition": {"stall_s": 0.2}}
        started = await s.start(**how)
        assert (started["effective"], started["untouched"]) == (True, ["n4"])
        assert (await s.stop(**how))["stood"] is True

    with_nemesis("stalled-disk", scenario)


def test_of_disks_that_are_to_be_full_all_must_be() -> None:
    async def scenario(s: Striking) -> None:
        async def do_nothing(condition: DiskCondition) -> None: ...

        s.environment.machines["n4"].set_disk = do_nothing  # type: ignore[method-assign]
        started = await s.start(nodes=["n2", "n4"], condition={"full": True})
        assert (started["effective"], started["untouched"]) == (False, ["n4"])

    with_nemesis("full-disk", scenario)


@pytest.mark.parametrize("name", ["full-disk", "failing-disk", "stalled-disk"])
def test_a_disk_that_works_on_as_before_was_not_struck(name: str) -> None:
    async def scenario(s: Striking) -> None:
        async def do_nothing(condition: DiskCondition) -> None: ...

        s.write("n2")
        s.environment.machines["n2"].set_disk = do_nothing  # type: ignore[method-assign]
        started = await s.start(nodes=["n2"], condition=CONDITIONS[name])
        assert started == {"effective": False, "detail": "n2: nothing refused or held up", "untouched": ["n2"]}

    with_nemesis(name, scenario)


def test_a_full_disk_that_something_made_room_on_did_not_stand() -> None:
    async def scenario(s: Striking) -> None:
        how: dict[str, Any] = {"nodes": ["n2"], "condition": {"full": True}}
        assert (await s.start(**how))["detail"] == "n2: 0 bytes free"
        await s.environment.machines["n2"].set_disk(DiskCondition())
        assert (await s.stop(**how))["stood"] is False

    with_nemesis("full-disk", scenario)


def test_the_last_stop_repairs_every_disk_that_was_struck() -> None:
    async def scenario(s: Striking) -> None:
        s.write("n2", "n4")
        for number, node in enumerate(("n2", "n4")):
            await s.start(number, nodes=[node], condition={"full": True})
        await asyncio.sleep(0.5)
        stopped = await s.stop_all()
        assert (stopped["effective"], stopped["ended"]) == (True, ["n2", "n4"])
        assert (await s.stop_all())["detail"] == "none was left to bring back"

    with_nemesis("full-disk", scenario)


def test_a_full_disk_may_get_room_only_once_its_program_was_killed() -> None:
    async def scenario(s: Striking) -> None:
        how: dict[str, Any] = {"nodes": ["n2"], "condition": {"full": True}, "restarts": True}
        await s.start(**how)
        stopped = await s.stop(**how)
        assert (stopped["effective"], stopped["stood"], "ended" in stopped) == (True, True, False)
        assert (await s.environment.machines["n2"].logs())["echo.log"].count(b"killed") == 1

    with_nemesis("full-disk", scenario)
    assert {how["restarts"] for how in aims("full-disk")} == {True, False}
    assert all("restarts" not in how for how in aims("stalled-disk"))


def test_flipped_bits_are_in_what_was_stored_and_said_one_by_one() -> None:
    async def scenario(s: Striking) -> None:
        s.write("n1")
        await asyncio.sleep(0.5)
        how: dict[str, Any] = {"nodes": ["n1"], "bits": 2, "seed": 9}
        flipped = await s.start(**how)
        assert flipped["effective"] is True
        assert flipped["detail"].startswith("n1: bit ") and flipped["detail"].count("in 'counter'") == 2
        assert (await s.stop(**how))["effective"] is True

    with_nemesis("bit-flip", scenario)


@pytest.mark.parametrize("name", ["bit-flip", "wipe"])
def test_a_disk_that_keeps_all_it_had_was_not_struck(name: str) -> None:
    async def scenario(s: Striking) -> None:
        s.write("n1")
        await asyncio.sleep(0.5)

        async def wipe() -> None: ...
        async def flip(seed: int) -> str:
            return "" if name == "bit-flip" else "bit 3"

        s.environment.machines["n1"].wipe = wipe  # type: ignore[method-assign]
        s.environment.machines["n1"].flip_bit = flip  # type: ignore[method-assign]
        struck = await s.start(nodes=["n1"], bits=1, seed=9)
        assert struck == {"effective": False, "detail": "n1: nothing was stored"}

    with_nemesis(name, scenario)


def test_a_wiped_node_comes_back_with_nothing() -> None:
    async def scenario(s: Striking) -> None:
        endpoint = await s.environment.endpoint(lambda datagram, source: None)
        endpoint.send(b"add", ("n1", 7))
        await asyncio.sleep(1.0)
        assert s.system.started[0].count == 1
        wiped = await s.start(nodes=["n1"])
        assert wiped == {"effective": True, "detail": "n1: wiped"}
        assert (await s.stop(nodes=["n1"]))["detail"] == "n1 answers again"
        assert s.system.started[-1].count == 0

    with_nemesis("wipe", scenario)


@pytest.mark.parametrize("name", ["bit-flip", "wipe"])
def test_copies_are_destroyed_only_where_the_system_can_do_without(name: str) -> None:
    strikes = aims(name)
    assert {node for how in strikes for node in how["nodes"]} == set(TARGETS.expendable)
    assert all(families()[name].destroys(how) == how["nodes"] for how in strikes)
    with pytest.raises(ValueError, match=f"{name} destroys what a node holds, and the system tolerates that of none"):
        families()[name].aim(Targets(NODES), 1, 0)


@pytest.mark.parametrize("name", ["power-cut", "full-disk", "failing-disk", "stalled-disk", "bit-flip", "wipe"])
def test_a_strike_holds_the_disks_and_the_processes_of_its_nodes(name: str) -> None:
    strikes = aims(name)
    for how in strikes:
        holds = {(kind, node) for node in how["nodes"] for kind in ("disk", "process")}
        assert set(families()[name].holds(how)) == holds
        assert json.loads(json.dumps(how)) == how
        DiskCondition(**how.get("condition", {}))
    assert aims(name) == strikes != aims(name, seed=4)
