"""The guide's example does what the guide says."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
from typing import Any

import pytest

from splitbrain.harness.simulation import SimulatedEnvironment, run_simulated
from tests.house import ROOT

GUIDE = ROOT / "docs" / "simulating-your-program.md"
MODULES = ("counter", "counter_splitbrain")


@pytest.fixture
def guide(tmp_path, monkeypatch):
    """The guide's second module; both are files, under the names that their first lines give."""
    blocks = re.findall(r"```python\n# (\w+)\.py: .*\n((?:.*\n)*?)```", GUIDE.read_text())
    assert tuple(name for name, _ in blocks) == MODULES
    for name, code in blocks:
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module(MODULES[1])
    for name in MODULES:
        del sys.modules[name]


def counted_by(guide: Any, seed: int) -> tuple[int, bytes]:
    """What was acknowledged before a kill, and what the first request after it was answered: empty if by nobody."""

    async def ask(environment: SimulatedEnvironment) -> bytes:
        try:
            reader, writer = await asyncio.wait_for(guide.connect(environment, "n1"), 5)
            writer.write(b"\n")
            return await reader.readline()
        except OSError:
            return b""

    async def main() -> tuple[int, bytes]:
        environment = SimulatedEnvironment(["n1"], seed=seed)
        await environment.open(lambda text: None)
        machine = environment.machines["n1"]
        await guide.start(environment, machine)
        await asyncio.sleep(0.1)
        acknowledged = [int(await ask(environment)) for _ in range(5)]
        await machine.kill()
        await guide.start(environment, machine)
        await asyncio.sleep(0.1)
        answer = await ask(environment)
        await environment.close()
        return acknowledged[-1], answer

    return run_simulated(main)


def test_the_guide_s_counter_serves_and_a_kill_shows_that_it_never_syncs(guide):
    runs = [counted_by(guide, seed) for seed in range(10)]
    assert {acknowledged for acknowledged, _ in runs} == {5}
    lost = [answer for _, answer in runs if answer != b"6\n"]
    assert lost
    assert not (ROOT / "count").exists()
