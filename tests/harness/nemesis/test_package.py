from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest

from splitbrain.checkers.histories.event import encode
from splitbrain.checkers.histories.history import History
from splitbrain.harness.environment import Environment
from splitbrain.harness.generators import Test, any_of, clients, nemesis, repeat, stagger, time_limit
from splitbrain.harness.interpreting.interpreter import Interpreter, OperationClient
from splitbrain.harness.nemesis import AT_ONCE, FaultPackage, Targets, fault_package
from splitbrain.harness.operation import Invocation
from splitbrain.harness.simulation import run_simulated
from tests.harness.fixed_latency import play
from tests.harness.nemesis.echo_system import EchoSystem, echo_cluster

NODES = ("n1", "n2", "n3", "n4", "n5")


TARGETS = Targets(NODES)
SIMPLE = ("partition", "bridge", "one-way", "flapping", "kill", "pause")


def package(*names: str, time_limit_s: float = 60, seed: int = 1, commands_s: float = 0.1) -> FaultPackage:
    return fault_package(names, TARGETS, seed=seed, time_limit_s=time_limit_s, commands_s=commands_s)


def test_an_unknown_fault_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"unknown fault 'locusts'; known: .*bridge, .*kill, .*partition, pause"):
        package("partition", "locusts")


def test_no_faults_are_a_package_too() -> None:
    assert play(nemesis(package().generator)) == []
    assert package().requires == frozenset()
    assert play(nemesis(package().final)) == []


def test_a_package_requires_what_its_families_do() -> None:
    assert package("partition").requires == {"cut"}
    assert package("kill", "bridge").requires == {"kill", "cut"}


@pytest.mark.parametrize("names", list(permutations(["partition", "kill", "pause"])), ids=",".join)
def test_the_final_generator_resumes_before_it_restarts_whatever_order_was_asked_for(names: tuple[str, ...]) -> None:
    # Four may be under way at once, and yet each of these is over before the next begins.
    final = play(nemesis(package(*names).final), nemesis_limit=4)
    assert [(event.value["fault"], event.value["phase"]) for event in final] == [
        (name, "stop") for name in ("partition", "pause", "kill") for _ in range(2)
    ]


def tormented_history(seed: int) -> bytes:
    """An echoing cluster under all faults: the whole harness core at once."""
    lines: list[bytes] = []

    async def main() -> None:
        environment, system = await echo_cluster(NODES, seed=seed)
        faults = package(*SIMPLE, time_limit_s=60, seed=seed)

        async def open_client(process: int, node: str) -> OperationClient:
            return await system.connect(environment, node)

        interpreter = Interpreter(
            Test(NODES, 5),
            open_client=open_client,
            record=lambda event: lines.append(encode(event)),
            nemesis=faults.nemesis(environment, system),
            nemesis_limit=AT_ONCE,
        )
        load = stagger(0.02, repeat(Invocation("add")), seed=seed)
        await interpreter.run(any_of(clients(time_limit(60, load)), nemesis(faults.generator)))
        await interpreter.run(nemesis(faults.final))
        interpreter.stage("recovered")
        await interpreter.run(clients(time_limit(1, load)))
        await interpreter.close()
        assert interpreter.statistics.crashes == []

    run_simulated(main)
    return b"".join(lines)


def test_the_same_seed_gives_the_same_history_byte_for_byte_whatever_the_hash_seed() -> None:
    root = Path(__file__).parents[3]
    command = (
        "import hashlib; from tests.harness.nemesis.test_package import tormented_history;"
        "print(hashlib.sha256(tormented_history(7)).hexdigest())"
    )
    digests = {hashlib.sha256(tormented_history(7)).hexdigest()}
    for hash_seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", command],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1
    assert tormented_history(8) != tormented_history(7)


def test_under_all_faults_each_took_effect_and_the_end_is_whole_again() -> None:
    history = History.parse(tormented_history(7).splitlines(keepends=True))
    finished = [event for event in history.nemesis if event.f != "stage" and "evidence" in event.value]
    assert {event.value["fault"] for event in finished} == set(SIMPLE)
    assert all(event.value["evidence"]["effective"] for event in finished)
    [recovered] = [event.index for event in history.nemesis if event.f == "stage"]
    last_second = [operation for operation in history.operations if operation.invocation.index > recovered]
    assert len(last_second) > 30 and all(operation.outcome == "ok" for operation in last_second)
    assert any(operation.outcome == "info" for operation in history.operations)


class LedSystem(EchoSystem):
    """The first node that runs leads."""

    async def leader(self, environment: Environment) -> str | None:
        running = [node for node in environment.members if await environment.machines[node].running()]
        return running[0] if running else None


def struck(phase: str, **more: object) -> Invocation:
    value = {"fault": "kill", "phase": phase, "strike": 4, "target": "leader", "nodes": list(NODES), **more}
    return Invocation("kill" if phase == "start" else "restart", value)


def test_a_strike_at_the_leader_hits_whoever_leads_when_it_starts_and_its_stop_means_the_same_node() -> None:
    async def main() -> None:
        environment, _ = await echo_cluster(NODES, seed=1)
        nemesis = package("kill").nemesis(environment, LedSystem())
        await environment.machines["n1"].kill()
        killed = await nemesis.invoke(struck("start"))
        assert (killed["nodes"], killed["evidence"]["detail"]) == (["n2"], "process gone on n2")
        restarted = await nemesis.invoke(struck("stop"))
        assert (restarted["nodes"], restarted["evidence"]["detail"]) == (["n2"], "n2 answers again")
        assert not await environment.machines["n1"].running()

    run_simulated(main)


def test_where_no_node_leads_a_strike_at_the_leader_proves_nothing() -> None:
    async def main() -> None:
        environment, _ = await echo_cluster(NODES, seed=1)
        for machine in environment.machines.values():
            await machine.kill()
        nemesis = package("kill").nemesis(environment, LedSystem())
        done = await nemesis.invoke(struck("start"))
        assert done["evidence"] == {"detail": "no node leads"}
        # Nor does its stop mean whoever leads by then: that node was not struck, and would seem to have come back.
        await LedSystem().start(environment, environment.machines["n1"])
        done = await nemesis.invoke(struck("stop"))
        assert done["evidence"] == {"detail": "no node leads"}

    run_simulated(main)


def test_a_leader_is_isolated_by_a_partition() -> None:
    async def main() -> None:
        environment, _ = await echo_cluster(NODES, seed=1)
        nemesis = package("partition").nemesis(environment, LedSystem())
        value = {"fault": "partition", "strike": 4, "shape": "leader", "target": "leader", "nodes": list(NODES)}
        cut = await nemesis.invoke(Invocation("start-partition", {**value, "phase": "start"}))
        assert cut["evidence"]["detail"] == "8 of 8 directed links silent, 12 others heard"
        assert {
            link["source"] for link in cut["evidence"]["links"] if not link["heard"] and link["target"] != "n1"
        } == {"n1"}
        healed = await nemesis.invoke(Invocation("stop-partition", {**value, "phase": "stop"}))
        assert healed["evidence"]["stood"] and healed["evidence"]["effective"]

    run_simulated(main)


def test_leaders_are_aimed_at_only_where_the_system_says_who_leads() -> None:
    def kinds(led: bool) -> set[str]:
        targets = Targets(NODES, led=led)
        package = fault_package(["kill"], targets, seed=1, time_limit_s=600, commands_s=0.1)
        return {strike.how["target"] for strike in package.strikes}

    assert kinds(led=True) - kinds(led=False) == {"leader"}


def test_a_strike_hits_members_only_and_one_at_nodes_that_left_proves_nothing() -> None:
    async def main() -> None:
        environment, system = await echo_cluster(NODES, seed=1)
        nemesis = package("kill").nemesis(environment, system)
        environment.members.remove("n2")
        killed = await nemesis.invoke(struck("start", target="minority", nodes=["n2", "n3"]))
        assert killed["nodes"] == ["n3"] and await environment.machines["n2"].running()
        gone = await nemesis.invoke(struck("start", target="one", nodes=["n2"]))
        assert gone["evidence"] == {"detail": "n2 left the cluster"}

    run_simulated(main)
