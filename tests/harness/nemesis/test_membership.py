from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from splitbrain.checkers.histories.history import History
from splitbrain.harness.nemesis.membership import FAMILIES, Registrar, aim, holds
from splitbrain.harness.nemesis.targets import Targets
from splitbrain.harness.operation import Invocation
from splitbrain.harness.running.experiment import Experiment, UsageProblem
from splitbrain.harness.running.results import Result
from splitbrain.harness.running.run import run
from splitbrain.harness.simulation import SimulatedEnvironment, run_simulated
from tests.harness.nemesis.echo_system import EchoSystem

NODES = ("n1", "n2", "n3", "n4", "n5")
TARGETS = Targets(NODES, spares=("n6", "n7"), expendable=("n1",))


@pytest.mark.parametrize("seed", range(20))
def test_changes_follow_each_other_and_there_are_never_fewer_members_than_at_first(seed: int) -> None:
    members, outside = set(NODES), {"n6", "n7"}
    shapes = set()
    for turn in range(30):
        how = aim(TARGETS, seed, turn)
        assert set(how["joins"]) <= outside and set(how["leaves"]) <= members
        if how["shape"] == "replace":
            assert how["leaves"] == ["n1"] == list(FAMILIES[0].destroys(how))
        members = members - set(how["leaves"]) | set(how["joins"])
        outside = outside - set(how["joins"]) | set(how["leaves"])
        assert 5 <= len(members) <= 7
        assert ("membership",) in holds(how)
        shapes.add(how["shape"])
    assert shapes == {"join", "leave", "replace"}


def test_where_no_node_can_be_done_without_none_is_replaced() -> None:
    targets = Targets(NODES, spares=("n6",))
    assert {aim(targets, 3, turn)["shape"] for turn in range(30)} == {"join", "leave"}


class Grows(EchoSystem):
    """Says what it was asked for; the newcomer `blind` never learns of the others."""

    def __init__(self, blind: str = "") -> None:
        super().__init__()
        self.asked: list[Any] = []
        self.blind = blind
        self.now: set[str] = set(NODES)

    async def join(self, environment: Any, machine: Any, members: tuple[str, ...]) -> None:
        self.asked.append(("join", machine.name, members))
        await self.start(environment, machine)
        self.now.add(machine.name)

    async def leave(self, environment: Any, node: str, members: tuple[str, ...], *, gone: bool) -> None:
        self.asked.append(("leave", node, members, gone))
        self.now.discard(node)

    async def members(self, environment: Any, node: str) -> frozenset[str]:
        return frozenset({node}) if node == self.blind else frozenset(self.now)


def changed(system: Grows, *hows: dict[str, Any]) -> tuple[list[Any], SimulatedEnvironment]:
    """The evidence of each change, and the cluster after the last."""
    seen = []

    async def main() -> SimulatedEnvironment:
        environment = SimulatedEnvironment(NODES, spares=("n6", "n7"), seed=1)
        await environment.open(lambda text: None)
        for node in NODES:
            await system.start(environment, environment.machines[node])
        registrar = Registrar(environment, system)
        for number, how in enumerate(hows):
            value = {"fault": "membership", "phase": "start", "strike": number, **how}
            seen.append((await registrar.invoke(Invocation("start-membership", value)))["evidence"])
        running = {node for node, machine in environment.machines.items() if await machine.running()}
        assert running == set(environment.members)
        return environment

    return seen, run_simulated(main)


def test_a_node_joins_one_leaves_and_one_is_replaced_and_those_that_run_are_the_members() -> None:
    system = Grows()
    seen, environment = changed(
        system,
        {"shape": "join", "joins": ["n6"], "leaves": []},
        {"shape": "leave", "joins": [], "leaves": ["n3"]},
        {"shape": "replace", "joins": ["n7"], "leaves": ["n1"]},
    )
    assert [evidence["effective"] for evidence in seen] == [True] * 3
    assert [evidence["members"] for evidence in seen] == [
        ["n1", "n2", "n3", "n4", "n5", "n6"],
        ["n1", "n2", "n4", "n5", "n6"],
        ["n2", "n4", "n5", "n6", "n7"],
    ]
    assert environment.members == ["n2", "n4", "n5", "n6", "n7"]
    assert system.asked == [
        ("join", "n6", NODES),
        ("leave", "n3", ("n1", "n2", "n4", "n5", "n6"), False),
        # The successor is in before the dead one is out: the others may be as few as the system needs.
        ("join", "n7", ("n2", "n4", "n5", "n6")),
        ("leave", "n1", ("n2", "n4", "n5", "n6", "n7"), True),
    ]


def test_a_change_that_a_member_does_not_see_was_without_effect() -> None:
    seen, _ = changed(Grows(blind="n6"), {"shape": "join", "joins": ["n6"], "leaves": []})
    assert seen[0]["effective"] is False
    assert seen[0]["detail"] == "n6 see other members than n1, n2, n3, n4, n5, n6"


def test_a_system_whose_nodes_can_t_join_is_refused_before_the_start() -> None:
    with pytest.raises(UsageProblem, match="nodes of toys can't join and leave while it serves; leave membership out"):
        Experiment("linearizable-register", system="toys", faults=("membership",)).prepare()


def ran(tmp_path: Path, seed: int, **config: str) -> Result:
    experiment = Experiment(
        "registers", faults=("membership", "kill"), seed=seed, time_limit_s=25, rate=50, config=config
    )
    return run(experiment, out=tmp_path)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_store_loses_nothing_while_nodes_come_and_go(tmp_path: Path, seed: int) -> None:
    result = ran(tmp_path, seed)
    assert result.status == "valid", result.reason
    history = History.parse((result.folder / "history.jsonl").read_bytes().splitlines(keepends=True))
    seen = [
        event.value["evidence"] for event in history.nemesis if "membership" in event.f and "evidence" in event.value
    ]
    assert all(evidence["effective"] for evidence in seen)
    # Clients go to members only, those that have joined among them.
    newcomers = {node for evidence in seen for node in evidence["members"]} - set(NODES)
    assert newcomers and newcomers <= {operation.invocation.node for operation in history.operations}
    told = [operation for operation in history.operations if "not-a-member" in (operation.invocation.error or "")]
    assert told == []
