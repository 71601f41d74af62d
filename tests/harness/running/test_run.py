"""A run as a whole, in simulation: how it ends when somebody's code in it misbehaves."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import splitbrain.harness.systems.dynamo.store_system as dynamo
from splitbrain.harness.environment import ABILITIES, Program
from splitbrain.harness.generators import Generator, sequence
from splitbrain.harness.interpreting.interpreter import Interpreter
from splitbrain.harness.operation import Invocation
from splitbrain.harness.running.deadlines import VIRTUAL_MARGIN_S
from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.recovery import PROBE_KEY
from splitbrain.harness.running.results import Result
from splitbrain.harness.running.run import run
from splitbrain.harness.simulation.simulated_environment import SimulatedEnvironment
from splitbrain.harness.simulation.simulated_machine import SimulatedMachine
from splitbrain.harness.system import OperationFailed
from splitbrain.harness.terminal import Progress
from splitbrain.harness.workload import Plan, Workload
from splitbrain.workloads.sets import WORKLOAD

EXPERIMENT = Experiment("sets", nodes=3, time_limit_s=3.0, rate=50.0, seed=1)


def go(folder: Path, experiment: Experiment = EXPERIMENT) -> Result:
    return run(experiment, out=folder, progress=Progress(quiet=True))


async def never(*_: Any, **__: Any) -> Any:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("start", "the system's start did not return within 60 s on n1, n2, n3"),
        ("ready", "n1 does not answer 10 s after its start"),
    ],
)
def test_a_system_that_never_returns_is_broken_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, reason: str
) -> None:
    monkeypatch.setattr(dynamo.Dynamo, method, never)
    result = go(tmp_path)
    assert result.status == "broken"
    assert result.reason.startswith(reason)


def test_a_load_that_never_ends_is_broken_at_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Interpreter, "run", never)
    result = go(tmp_path)
    assert result.status == "broken"
    assert result.reason.startswith(f"the run was not over after {3 + VIRTUAL_MARGIN_S:g} s, and was ended in stage")


def test_a_fault_that_machines_and_programs_turn_out_not_to_allow_is_refused_before_the_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def abilities(self: SimulatedEnvironment) -> frozenset[str]:
        return ABILITIES if not self.machines else ABILITIES - {"clock"}

    monkeypatch.setattr(SimulatedEnvironment, "abilities", property(abilities))
    result = go(tmp_path, replace(EXPERIMENT, time_limit_s=30.0, faults=("clock",)))
    assert result.status == "broken"
    assert result.reason == (
        "sim can't clock with these machines and programs, which clock needs; leave that fault out"
    )
    assert go(tmp_path / "again", replace(EXPERIMENT, time_limit_s=30.0, faults=("kill",))).status == "valid"


def test_a_node_that_never_says_whether_it_is_ready_has_not_recovered_and_does_not_hold_up_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready, asked = dynamo.Dynamo.ready, 0

    async def at_first(self: dynamo.Dynamo, environment: Any, node: str) -> bool:
        nonlocal asked
        asked += 1
        if asked > 3:
            await never()
        return await ready(self, environment, node)

    monkeypatch.setattr(dynamo.Dynamo, "ready", at_first)
    result = go(tmp_path)
    assert "not-recovered" in stages(result)
    assert result.verdict is not None and "did not recover" in result.verdict.parts["evidence"].reason
    assert result.notes[0].startswith("n1 did not recover within 30 s: it did not answer; its log ")


def test_a_node_that_died_by_itself_went_unnoticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put = dynamo.DynamoConnection.put
    machines: list[SimulatedMachine] = []

    async def noted(self: SimulatedMachine, program: Program) -> None:
        machines.append(self)
        await start(self, program)

    async def dying(self: dynamo.DynamoConnection, key: bytes, value: bytes, context: bytes | None) -> bytes:
        await next(machine for machine in machines if machine.name == "n2").kill()
        return await put(self, key, value, context)

    start = SimulatedMachine.start
    monkeypatch.setattr(SimulatedMachine, "start", noted)
    monkeypatch.setattr(dynamo.DynamoConnection, "put", dying)
    result = go(tmp_path)
    (note,) = [note for note in result.notes if "n2 died" in note]
    assert note.startswith("n2 died by itself: nobody killed its process; its log ")
    assert not [note for note in result.notes if "died" in note and not note.startswith("n2")]


def stages(result: Result) -> list[str]:
    events = map(json.loads, (result.folder / "history.jsonl").read_text().splitlines())
    return [event["value"] for event in events if event["f"] == "stage"]


def test_a_system_that_answers_about_itself_but_refuses_writes_has_not_recovered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = dynamo.DynamoConnection.put

    async def refusing(self: dynamo.DynamoConnection, key: bytes, value: bytes, context: bytes | None) -> bytes:
        if asyncio.get_running_loop().time() > 3.0:
            raise OperationFailed("read-only", "the disk is full", definite=True)
        return await put(self, key, value, context)

    monkeypatch.setattr(dynamo.DynamoConnection, "put", refusing)
    result = go(tmp_path)
    assert stages(result)[:3] == ["load", "recovery", "not-recovered"]
    assert result.status == "invalid"
    assert result.notes[0] == (
        "n1 did not recover within 30 s: it answers, but serves no write and read (read-only: the disk is full);"
        " its log ends: 0.000000 serving"
    )


def registered(monkeypatch: pytest.MonkeyPatch, workload: Workload) -> None:
    monkeypatch.setattr("splitbrain.harness.running.experiment.workload", lambda name: workload)


def test_a_workload_whose_final_phase_notes_no_stage_is_judged_by_its_final_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def final(plan: Plan) -> Generator:
        return sequence(*(Invocation("read", key=key, node=node) for key in plan.keys("s") for node in plan.nodes))

    registered(monkeypatch, replace(WORKLOAD, final=final, checkers={"lost-writes": {}}))
    result = go(tmp_path)
    assert (result.status, result.reason[:20]) == ("valid", "2 checkers passed: l")
    assert stages(result) == ["load", "recovery", "recovered", "final-reads", "end"]


def test_a_workload_s_own_probe_decides_whether_the_system_has_recovered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(connection: Any) -> None:
        raise OperationFailed("no-leader", "an election goes on", definite=True)

    registered(monkeypatch, replace(WORKLOAD, probe=refused))
    result = go(tmp_path)
    assert result.status == "invalid"
    assert "(no-leader: an election goes on)" in result.notes[0]


def test_what_recovery_asks_is_in_no_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probed: list[bytes] = []
    put = dynamo.DynamoConnection.put

    async def noting(self: dynamo.DynamoConnection, key: bytes, value: bytes, context: bytes | None) -> bytes:
        probed.extend([key] if key == PROBE_KEY else [])
        return await put(self, key, value, context)

    monkeypatch.setattr(dynamo.DynamoConnection, "put", noting)
    result = go(tmp_path)
    assert result.status == "valid"
    assert probed == [PROBE_KEY] * 3
    assert PROBE_KEY.decode() not in (result.folder / "history.jsonl").read_text()


def test_a_client_that_swallows_its_cancellation_does_not_hold_up_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stubborn(self: dynamo.DynamoConnection, key: bytes) -> Any:
        while True:
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                continue

    monkeypatch.setattr(dynamo.DynamoConnection, "get", stubborn)
    result = go(tmp_path)
    assert result.status == "broken"
    assert "not over after" in result.reason


def test_a_node_that_names_its_logs_after_the_history_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lying(self: SimulatedMachine) -> Mapping[str, bytes]:
        return {"../../history.jsonl": b"", "../../results.json": b"{}", str(tmp_path / "absolute"): b"", "a.log": b"a"}

    monkeypatch.setattr(SimulatedMachine, "logs", lying)
    lost = Experiment(
        "sets", nodes=5, faults=("partition",), time_limit_s=20.0, rate=50.0, seed=7, config={"conflicts": "lww"}
    )
    result = go(tmp_path, lost)
    assert result.status == "invalid"
    assert json.loads((result.folder / "results.json").read_text())["verdict"] == "invalid"
    assert (result.folder / "history.jsonl").stat().st_size > 10_000
    assert (result.folder / "nodes/n1/a.log").read_text() == "a"
    assert not (tmp_path / "absolute").exists()
    assert sum("is no plain name" in note for note in result.notes) == 3 * 5


def test_nodes_are_asked_for_their_logs_after_the_judging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[bool] = []

    async def looking(self: SimulatedMachine) -> Mapping[str, bytes]:
        judged.append((tmp_path / "latest" / "results.json").exists())
        raise OSError("gone")

    monkeypatch.setattr(SimulatedMachine, "logs", looking)
    result = go(tmp_path)
    assert judged == [True] * 3
    assert result.status == "valid"
    assert result.notes == tuple(f"no logs from n{number}: OSError: gone" for number in (1, 2, 3))


def test_an_interrupt_while_the_logs_are_sent_does_not_wait_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(self: SimulatedMachine) -> Mapping[str, bytes]:
        signal.raise_signal(signal.SIGINT)
        return await never()  # type: ignore[no-any-return]

    monkeypatch.setattr(SimulatedMachine, "logs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path)
    results = json.loads((tmp_path / "latest" / "results.json").read_text())
    assert results["verdict"] == "valid"
    assert results["notes"] == ["no logs from n1 and those after it: interrupted"]
