from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from splitbrain.harness.running.deaths import deaths
from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.run import run
from splitbrain.harness.simulation.simulated_machine import SimulatedMachine


class Node:
    """A machine whose program runs or does not."""

    def __init__(self, ended: str, *, runs: bool, log: bytes = b"last words\n") -> None:
        self.ended = ended
        self._runs = runs
        self._log = log

    async def running(self) -> bool:
        return self._runs

    async def logs(self) -> Mapping[str, bytes]:
        return {"store.log": self._log}


def told(known: tuple[str, ...] = (), **machines: Node) -> dict[str, str]:
    environment: Any = SimpleNamespace(machines=machines, members=list(machines))
    return asyncio.run(deaths(environment, known))


def test_a_node_that_is_gone_is_named_with_how_it_ended_and_the_end_of_its_log() -> None:
    found = told(n1=Node("", runs=True), n2=Node("exit status 3", runs=False))
    text = "n2 died by itself (exit status 3): nobody killed its process; its log ends: last words"
    assert found == {"n2": text}


def test_a_node_that_was_started_again_since_is_named_as_well() -> None:
    found = told(("n1",), n1=Node("exit status 139, as after SIGSEGV", runs=True))
    assert found["n1"].startswith("n1 died by itself (exit status 139, as after SIGSEGV): nobody killed its process; ")


def test_how_it_ended_is_left_out_where_that_is_not_known() -> None:
    assert told(n1=Node("", runs=False, log=b""))["n1"] == (
        "n1 died by itself: nobody killed its process; its log is empty"
    )


def test_a_simulated_node_that_raised_is_named_with_its_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = SimulatedMachine.start

    def boom() -> None:
        raise MemoryError("no room for the ring")

    async def doomed(self: SimulatedMachine, program: Any) -> None:
        await start(self, program)
        if self.name == "n2":
            self.call_later(1.0, boom)

    monkeypatch.setattr(SimulatedMachine, "start", doomed)
    result = run(Experiment("sets", nodes=3, time_limit_s=2), out=tmp_path)
    (note,) = [note for note in result.notes if "died" in note]
    assert note.startswith("n2 died by itself (MemoryError: no room for the ring): nobody killed its process; its log ")
