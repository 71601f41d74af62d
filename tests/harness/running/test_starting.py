"""A system is prepared once, when all nodes run, and torn down once, when all is read; neither can hang a run."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from splitbrain.harness.environment import Environment, Machine
from splitbrain.harness.running import starting
from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.run import run
from splitbrain.harness.systems.toys import SYSTEM as TOYS

HEARD: list[str] = []


@dataclass(frozen=True)
class Noisy:
    """The toys, which tell what is asked of them. how: what preparing and tearing down do."""

    how: str
    inner: object = TOYS

    def __getattr__(self, name: str):
        return getattr(self.inner, name)

    def configure(self, config: Mapping[str, str], *, seed: int, nodes: int) -> Noisy:
        return Noisy(self.how, TOYS.configure(config, seed=seed, nodes=nodes))

    async def start(self, environment: Environment, machine: Machine) -> None:
        await self.inner.start(environment, machine)
        HEARD.append("start")

    async def prepare(self, environment: Environment) -> None:
        HEARD.append("prepare")
        if self.how == "hangs":
            await asyncio.sleep(1e6)

    async def tear_down(self, environment: Environment) -> None:
        running = [await machine.running() for machine in environment.machines.values()]
        HEARD.append(f"tear down {sum(running)}")
        if self.how == "raises":
            raise KeyError("boo")
        if self.how == "lingers":
            await asyncio.sleep(1e6)


QUIET, HANGS, RAISES, LINGERS = Noisy("quiet"), Noisy("hangs"), Noisy("raises"), Noisy("lingers")


def ran(name: str, folder, **more):
    HEARD.clear()
    experiment = Experiment("echo", system=f"{__file__}:{name}", nodes=3, time_limit_s=2, seed=1, **more)
    return run(experiment, out=folder, report=False)


def test_a_system_is_prepared_once_after_all_starts_and_torn_down_while_its_nodes_run(tmp_path):
    assert ran("QUIET", tmp_path).valid
    assert HEARD == ["start"] * 3 + ["prepare", "tear down 3"]


def test_a_restart_prepares_nothing(tmp_path):
    assert ran("QUIET", tmp_path, faults=("kill",)).status in ("valid", "unknown")
    assert HEARD.count("start") > 3 and HEARD.count("prepare") == 1


def test_a_preparation_that_never_returns_is_broken_by_name(tmp_path):
    result = ran("HANGS", tmp_path)
    assert result.status == "broken"
    assert f"toys was not prepared within {starting.PREPARE_S:g} s" in result.reason
    assert HEARD == ["start"] * 3 + ["prepare"]


@pytest.mark.parametrize("name", ["RAISES", "LINGERS"])
def test_a_failed_tear_down_costs_no_verdict(tmp_path, name):
    assert ran(name, tmp_path).valid
    assert HEARD[-1] == "tear down 3"


def test_what_went_wrong_in_a_tear_down_is_told():
    nowhere = SimpleNamespace(machines={})
    assert asyncio.run(starting.tear_down(QUIET, nowhere)) == ""
    assert re.match(r"toys was not torn down: KeyError: 'boo'", asyncio.run(starting.tear_down(RAISES, nowhere)))
