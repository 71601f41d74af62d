"""The keeper ends what a harness that was killed has left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from splitbrain.harness.processes import keeper
from tests.house import ROOT

HARNESS = """
import asyncio, sys
from tests.harness.processes.programs import in_environment

async def scenario(environment):
    await environment.machines["n2"].pause()
    print(environment._folder, *(each._pipes.process for each in environment.machines.values()), flush=True)
    await asyncio.sleep(600)

in_environment(scenario)
"""
PATIENCE_S = 20.0


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone(process: int) -> bool:
    """Whether it is not there, or was only not waited for yet by whoever inherited it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][:1] == "Z"
    except FileNotFoundError:
        return True


def test_a_harness_that_is_killed_leaves_no_process_and_no_folder_though_a_node_is_paused() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", HARNESS], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as harness:
        assert harness.stdout is not None
        folder, *processes = harness.stdout.readline().split()
        assert len(processes) == 3
        assert not any(gone(int(process)) for process in processes)
        harness.send_signal(signal.SIGKILL)
    until(lambda: all(gone(int(process)) for process in processes))
    until(lambda: not Path(folder).exists())


def test_a_process_group_that_ended_is_left_alone(tmp_path: Path) -> None:
    def asleep() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)

    with asleep() as kept, asleep() as ended:
        try:
            folder = tmp_path / "folder"
            folder.mkdir()
            keeper.keep([f"{ended.pid}\n", f"{kept.pid}\n", f"-{kept.pid}\n"], str(folder))
            assert ended.wait(PATIENCE_S) == -signal.SIGKILL
            assert kept.poll() is None
            assert not folder.exists()
        finally:
            kept.kill()
            ended.kill()
