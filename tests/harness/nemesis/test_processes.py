from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from splitbrain.harness.environment import EnvironmentFailure, EnvironmentLost
from splitbrain.harness.nemesis.processes import Killer, Pauser, kill, pause
from splitbrain.harness.operation import Invocation
from splitbrain.harness.simulation import SimulatedEnvironment, run_simulated
from tests.harness.nemesis.echo_system import EchoSystem, echo_cluster

NODES = ("n1", "n2", "n3", "n4", "n5")


def on_a_cluster(scenario: Callable[[SimulatedEnvironment, EchoSystem], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario(*await echo_cluster(NODES, seed=1))

    run_simulated(main)


def start(fault: str, *nodes: str) -> Invocation:
    return Invocation(fault, {"fault": fault, "phase": "start", "nodes": list(nodes)})


def stop(fault: str, *nodes: str) -> Invocation:
    return Invocation(fault, {"fault": fault, "phase": "stop", "nodes": list(nodes)})


def test_a_kill_is_seen_by_the_process_being_gone_and_a_restart_by_an_answer() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        killer = Killer(environment, system)
        killed = await killer.invoke(start("kill", "n2", "n4"))
        assert killed["evidence"] == {"effective": True, "detail": "process gone on n2, n4"}
        assert not await system.ready(environment, "n2") and await system.ready(environment, "n1")
        restarted = await killer.invoke(stop("kill", "n2", "n4"))
        assert restarted["evidence"] == {"effective": True, "detail": "n2, n4 answer again", "stood": True}
        assert len(system.started) == len(NODES) + 2

    on_a_cluster(scenario)


def test_a_kill_that_leaves_the_process_was_without_effect() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        async def do_nothing() -> None: ...

        environment.machines["n2"].kill = do_nothing  # type: ignore[method-assign]
        killed = await Killer(environment, system).invoke(start("kill", "n2"))
        assert killed["evidence"] == {"effective": False, "detail": "process still there on n2"}

    on_a_cluster(scenario)


def test_restarting_leaves_alone_what_runs() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        restarted = await Killer(environment, system).invoke(stop("kill", *NODES))
        assert restarted["evidence"]["effective"] is True
        assert len(system.started) == len(NODES)

    on_a_cluster(scenario)


def test_a_pause_is_seen_by_silence_while_the_process_is_there() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        pauser = Pauser(environment, system)
        paused = await pauser.invoke(start("pause", "n3"))
        assert paused["evidence"] == {"effective": True, "detail": "no answer from n3"}
        resumed = await pauser.invoke(stop("pause", "n3"))
        assert resumed["evidence"] == {"effective": True, "detail": "n3 answers again", "stood": True}

    on_a_cluster(scenario)


def test_a_pause_that_does_not_silence_was_without_effect() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        async def do_nothing() -> None: ...

        environment.machines["n3"].pause = do_nothing  # type: ignore[method-assign]
        paused = await Pauser(environment, system).invoke(start("pause", "n3"))
        assert paused["evidence"] == {"effective": False, "detail": "n3 still answers"}

    on_a_cluster(scenario)


def test_pausing_what_does_not_run_fails_by_name() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        await environment.machines["n3"].kill()
        with pytest.raises(EnvironmentFailure, match="nothing runs on n3"):
            await Pauser(environment, system).invoke(start("pause", "n3"))

    on_a_cluster(scenario)


def test_a_node_that_stays_silent_after_a_resume_was_not_resumed_and_is_still_awaited_later() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        pauser = Pauser(environment, system)
        await pauser.invoke(start("pause", "n3", "n4"))
        await environment.machines["n3"].kill()
        for nodes in (["n3", "n4"], NODES):
            resumed = await pauser.invoke(stop("pause", *nodes))
            assert resumed["evidence"]["effective"] is False
            assert resumed["evidence"]["detail"] == "no answer from n3 in 10 s"

    on_a_cluster(scenario)


def test_a_restart_waits_for_no_node_that_is_paused_and_a_resume_for_none_that_was_killed() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        killer, pauser = Killer(environment, system), Pauser(environment, system)
        await pauser.invoke(start("pause", "n2"))
        await killer.invoke(start("kill", "n3"))
        began = asyncio.get_running_loop().time()
        restarted = await killer.invoke(stop("kill", *NODES))
        assert restarted["evidence"] == {"effective": True, "detail": "n3 answers again", "stood": True}
        await killer.invoke(start("kill", "n3"))
        resumed = await pauser.invoke(stop("pause", *NODES))
        assert resumed["evidence"] == {"effective": True, "detail": "n2 answers again", "stood": True}
        # Virtual time: 10 s would have been waited for each that can't answer.
        assert asyncio.get_running_loop().time() - began < 5

    on_a_cluster(scenario)


@pytest.mark.parametrize("family", [kill, pause])
def test_targets_take_turns_and_a_stop_names_what_its_start_struck(family: Any) -> None:
    built = family(NODES, seed=5)
    kinds = {"one": 1, "minority": 2, "all": 5}
    for turn in range(6):
        value = built.start(turn).value
        assert len(value["nodes"]) == kinds[value["target"]]
        assert built.stop(turn).value["nodes"] == value["nodes"]
    targets = [built.start(turn).value["target"] for turn in range(6)]
    assert {"one", "minority"} <= set(targets)
    assert built.final.value["nodes"] == list(NODES)


def test_a_killed_process_that_something_else_restarted_did_not_stay_down() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        killer = Killer(environment, system)
        await killer.invoke(start("kill", "n2"))
        await system.start(environment, environment.machines["n2"])
        restarted = await killer.invoke(stop("kill", "n2"))
        assert restarted["evidence"]["stood"] is False

    on_a_cluster(scenario)


def test_a_process_that_died_by_itself_is_reported_and_not_only_restarted() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        killer = Killer(environment, system)
        await killer.invoke(start("kill", "n2"))
        await environment.machines["n4"].kill()
        restarted = await killer.invoke(stop("kill", *NODES))
        assert restarted["evidence"]["died"] == ["n4"]
        assert restarted["evidence"]["stood"] is True

    on_a_cluster(scenario)


def test_a_process_gone_with_a_container_that_something_took_away_did_not_die_by_itself() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        async def lost() -> str:
            return "container n4 was restarted from outside"

        environment.lost = lost  # type: ignore[method-assign]
        killer = Killer(environment, system)
        await killer.invoke(start("kill", "n2"))
        assert (await killer.invoke(stop("kill", "n2")))["evidence"]["effective"]
        await environment.machines["n4"].kill()
        with pytest.raises(EnvironmentLost, match="n4 was restarted from outside"):
            await killer.invoke(stop("kill", *NODES))

    on_a_cluster(scenario)


def test_a_pause_that_ended_by_itself_did_not_stand() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        pauser = Pauser(environment, system)
        await pauser.invoke(start("pause", "n3"))
        await environment.machines["n3"].resume()
        resumed = await pauser.invoke(stop("pause", "n3"))
        assert resumed["evidence"]["stood"] is False

    on_a_cluster(scenario)
