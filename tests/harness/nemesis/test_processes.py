from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from splitbrain.harness.environment import Environment, EnvironmentFailure, EnvironmentLost, Machine
from splitbrain.harness.nemesis import FaultFamily
from splitbrain.harness.nemesis.nodes.processes import FAMILIES, Killer, Pauser, Terminator
from splitbrain.harness.nemesis.targets import Targets
from splitbrain.harness.operation import Invocation
from splitbrain.harness.simulation import SimulatedEnvironment, run_simulated
from splitbrain.harness.systems.readiness import until_ready
from tests.harness.nemesis.echo_system import EchoSystem, echo_cluster
from tests.harness.simulation.echo import program

NODES = ("n1", "n2", "n3", "n4", "n5")


def on_a_cluster(scenario: Callable[[SimulatedEnvironment, EchoSystem], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario(*await echo_cluster(NODES, seed=1))

    run_simulated(main)


def start(fault: str, *nodes: str, strike: int = 0) -> Invocation:
    return Invocation(fault, {"fault": fault, "phase": "start", "strike": strike, "nodes": list(nodes)})


def stop(fault: str, *nodes: str, strike: int = 0) -> Invocation:
    return Invocation(fault, {"fault": fault, "phase": "stop", "strike": strike, "nodes": list(nodes)})


def stop_all(fault: str) -> Invocation:
    return Invocation(fault, {"fault": fault, "phase": "stop"})


class NeedsMajority(EchoSystem):
    """A node that is cut off does not answer, though it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.cut_off: set[str] = set()

    async def start(self, environment: Environment, machine: Machine) -> None:
        await machine.start(program(self.started))
        await until_ready(self.ready, environment, machine, 1.0)

    async def ready(self, environment: Environment, node: str) -> bool:
        return node not in self.cut_off and await super().ready(environment, node)


async def die(environment: SimulatedEnvironment, node: str) -> None:
    """As a process that ends by itself does: nobody took it down."""
    await environment.machines[node].kill()
    environment.machines[node].taken_down = False


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
        restarted = await Killer(environment, system).invoke(stop_all("kill"))
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
        for end in (stop("pause", "n3", "n4"), stop_all("pause")):
            resumed = await pauser.invoke(end)
            assert resumed["evidence"]["effective"] is False
            assert resumed["evidence"]["detail"] == "no answer from n3 in 10 s"

    on_a_cluster(scenario)


def test_what_is_brought_back_in_a_partition_and_needs_a_majority_is_no_fault_without_effect() -> None:
    """etcd's members that were restarted or resumed while they were cut off made valid runs unknown."""

    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        in_a_minority = NeedsMajority()
        killer, pauser = Killer(environment, in_a_minority), Pauser(environment, in_a_minority)
        await environment.network.cut([("n3", "n1"), ("n4", "n1")])
        in_a_minority.cut_off = {"n3", "n4"}
        await killer.invoke(start("kill", "n3"))
        await pauser.invoke(start("pause", "n4"))
        for nemesis, end, node in ((killer, stop("kill", "n3"), "n3"), (pauser, stop("pause", "n4"), "n4")):
            evidence = (await nemesis.invoke(end))["evidence"]
            assert evidence["effective"] is True
            assert evidence["detail"] == f"{node} runs, and others are down or cut off"
        await environment.network.heal()
        in_a_minority.cut_off = {"n4"}
        # Whether it was resumed is seen now.
        silent = await pauser.invoke(stop_all("pause"))
        assert (silent["evidence"]["effective"], silent["evidence"]["detail"]) == (False, "no answer from n4 in 10 s")
        in_a_minority.cut_off = set()
        resumed = await pauser.invoke(stop_all("pause"))
        assert (resumed["evidence"]["effective"], resumed["evidence"]["detail"]) == (True, "n4 answers again")

    on_a_cluster(scenario)


def test_a_restart_waits_for_no_node_that_is_paused_and_a_resume_for_none_that_was_killed() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        killer, pauser = Killer(environment, system), Pauser(environment, system)
        await pauser.invoke(start("pause", "n2"))
        await killer.invoke(start("kill", "n3"))
        began = asyncio.get_running_loop().time()
        restarted = await killer.invoke(stop_all("kill"))
        assert restarted["evidence"] == {"effective": True, "detail": "n3 answers again"}
        await killer.invoke(start("kill", "n3"))
        resumed = await pauser.invoke(stop_all("pause"))
        assert resumed["evidence"] == {"effective": True, "detail": "n2 answers again", "stood": True}
        # Virtual time: 10 s would have been waited for each that can't answer.
        assert asyncio.get_running_loop().time() - began < 5

    on_a_cluster(scenario)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_targets_take_turns_and_a_strike_holds_the_processes_it_hits(family: FaultFamily) -> None:
    sizes = {"one": 1, "minority": 2, "majority": 3, "all": 5}
    kinds = {"kill": 4, "terminate": 4, "pause": 4}[family.name]
    struck = [family.aim(Targets(NODES), 5, turn) for turn in range(2 * kinds)]
    for how in struck:
        assert how["target"] == "some" or len(how["nodes"]) == sizes[how["target"]]
        assert set(family.holds(how)) == {("process", node) for node in how["nodes"]}
    for first in (0, kinds):
        assert len({how["target"] for how in struck[first : first + kinds]}) == kinds


def test_two_kills_of_different_nodes_stand_at_once_and_neither_restart_touches_the_others() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        killer = Killer(environment, system)
        await killer.invoke(start("kill", "n2", strike=1))
        await killer.invoke(start("kill", "n4", strike=2))
        restarted = await killer.invoke(stop("kill", "n2", strike=1))
        assert restarted["evidence"] == {"effective": True, "detail": "n2 answers again", "stood": True}
        assert not await environment.machines["n4"].running()
        restarted = await killer.invoke(stop_all("kill"))
        assert restarted["evidence"] == {"effective": True, "detail": "n4 answers again"}

    on_a_cluster(scenario)


def test_a_program_that_was_asked_to_end_and_did_was_terminated() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        terminator = Terminator(environment, system)
        ended = await terminator.invoke(start("terminate", "n2"))
        assert ended["evidence"] == {"effective": True, "detail": "process gone on n2"}
        assert (await terminator.invoke(stop("terminate", "n2")))["evidence"]["detail"] == "n2 answers again"

    on_a_cluster(scenario)


def test_a_program_that_ignores_sigterm_was_not_terminated() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        async def do_nothing() -> None: ...

        environment.machines["n2"].terminate = do_nothing  # type: ignore[method-assign]
        ended = await Terminator(environment, system).invoke(start("terminate", "n2"))
        assert ended["evidence"] == {"effective": False, "detail": "process still there on n2"}

    on_a_cluster(scenario)


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
        await die(environment, "n4")
        restarted = await killer.invoke(stop("kill", "n2"))
        assert restarted["evidence"]["died"] == ["n4"]
        assert restarted["evidence"]["stood"] is True
        # It is brought back by the stop that brings back all.
        assert (await killer.invoke(stop_all("kill")))["evidence"]["detail"] == "n4 answers again"

    on_a_cluster(scenario)


def test_a_process_gone_with_a_container_that_something_took_away_did_not_die_by_itself() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        async def lost() -> str:
            return "container n4 was restarted from outside"

        environment.lost = lost  # type: ignore[method-assign]
        killer = Killer(environment, system)
        await killer.invoke(start("kill", "n2"))
        assert (await killer.invoke(stop("kill", "n2")))["evidence"]["effective"]
        await die(environment, "n4")
        with pytest.raises(EnvironmentLost, match="n4 was restarted from outside"):
            await killer.invoke(stop_all("kill"))

    on_a_cluster(scenario)


def test_a_pause_that_ended_by_itself_did_not_stand() -> None:
    async def scenario(environment: SimulatedEnvironment, system: EchoSystem) -> None:
        pauser = Pauser(environment, system)
        await pauser.invoke(start("pause", "n3"))
        await environment.machines["n3"].resume()
        resumed = await pauser.invoke(stop("pause", "n3"))
        assert resumed["evidence"]["stood"] is False

    on_a_cluster(scenario)
