"""What the simulation costs: CPU seconds of the main job, and datagrams a second through real nodes.

    python -m benchmarks.simulation

Ratios and orders are what to look at: absolute figures depend on the machine.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from splitbrain.checkers.histories.history import History
from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.run import run
from splitbrain.harness.simulation import SimulatedEnvironment, run_simulated
from splitbrain.harness.terminal import Progress

ECHOES = 100_000


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        for rate in (17, 100):
            experiment = Experiment("sets", faults=("partition",), seed=7, time_limit_s=60, rate=rate)
            began = time.process_time()
            result = run(experiment, out=Path(folder), progress=Progress(quiet=True))
            took_s = time.process_time() - began
            with (result.folder / "history.jsonl").open("rb") as lines:
                operations = len(History.parse(lines).operations)
            print(f"sets, 60 s, 5 nodes, partition, {operations} operations: {took_s:.2f} s of CPU ({result.status})")
    print(f"bare echo through the simulated network: {echo():,.0f} datagrams a second")


def echo() -> float:
    """Datagrams a second between two endpoints that answer each other."""

    async def ping_pong() -> None:
        environment = SimulatedEnvironment(["n1"], seed=1)
        await environment.open(lambda text: None)
        finished = asyncio.get_running_loop().create_future()
        left = [ECHOES]

        def answer(datagram: bytes, source: tuple[str, int]) -> None:
            left[0] -= 1
            if left[0] == 0:
                finished.set_result(None)
            elif left[0] > 0:
                server.send(datagram, source)

        def back(datagram: bytes, source: tuple[str, int]) -> None:
            left[0] -= 1
            if left[0] > 0:
                client.send(datagram, source)
            elif left[0] == 0:
                finished.set_result(None)

        server = environment.machines["n1"].endpoint(7, answer)
        client = await environment.endpoint(back)
        client.send(b"x" * 100, ("n1", 7))
        await finished

    began = time.process_time()
    run_simulated(ping_pong)
    return ECHOES / (time.process_time() - began)


if __name__ == "__main__":
    main()
