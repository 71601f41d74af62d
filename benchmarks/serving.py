"""The list of a thousand runs: how long its first page takes, with no index, with one that another process left, and
again.

    python -m benchmarks.serving [runs]

Runs are made up here: a run.json, and a results.json of the size that a run of a minute leaves (40 kB). CPU time is
of this process; the time on the wall is beside it, and says little on a machine that does other things as well.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from splitbrain.harness.serving.pages import Links, runs_page
from splitbrain.harness.serving.run_filter import RunFilter
from splitbrain.harness.serving.run_index import RunIndex

RESULTS_BYTES = 40_000


def make(root: Path, number: int) -> None:
    """So many runs of two workloads over twenty days."""
    rng = random.Random(1)
    padding = [[round(rng.random() * 1e4, 3), rng.randrange(9), 1.5] for _ in range(RESULTS_BYTES // 20)]
    for at in range(number):
        workload = ("sets", "registers")[at % 2]
        folder = (
            root / workload / f"202611{1 + at * 20 // number:02d}T{at % 24:02d}{at // 24 % 60:02d}{at % 60:02d}Z-{at}"
        )
        folder.mkdir(parents=True)
        run = {
            "workload": workload,
            "system": "toys",
            "environment": "sim",
            "seed": at,
            "faults": ["partition", "kill"],
        }
        run |= {
            "nodes": ["n1", "n2", "n3"],
            "config": {"r": "2"},
            "command": "splitbrain run",
            "system_config": {"w": "2"} | {f"k{n}": "v" for n in range(30)},
        }
        (folder / "run.json").write_text(json.dumps(run, indent=2))
        verdict = "invalid" if rng.random() < 0.1 else "valid"
        checkers = {
            "latency": {"verdict": "valid", "reason": "", "overall": {"p99": rng.uniform(5, 50)}},
            "availability": {"verdict": "valid", "reason": "", "ok_rate": rng.uniform(0.9, 1.0)},
            "siblings": {"verdict": verdict, "reason": "", "over_time": padding},
        }
        (folder / "results.json").write_text(
            json.dumps({"verdict": verdict, "reason": "x" * 60, "checkers": checkers}, indent=2)
        )
        (folder / "history.jsonl").touch()


def measured(name: str, opened: Callable[[], str]) -> None:
    """Print how long it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    page = opened()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{name:<32} {cpu:6.3f} s of CPU  {wall:6.3f} s on the wall  {len(page) / 1e3:6.0f} kB")


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        root = Path(folder) / "runs"
        make(root, number)
        runs_page(Links(), [], chosen=RunFilter())  # The templates are compiled by then, as in a server that is up.
        print(f"{number:,} runs, results of {RESULTS_BYTES // 1000} kB")

        def first() -> str:
            index = RunIndex([root])
            index.refresh()
            return runs_page(Links(), index.runs, chosen=RunFilter())

        measured("no index", first)
        measured("an index from another process", first)
        index = RunIndex([root])
        index.refresh()
        index._looked_s = float("-inf")

        def again() -> str:
            index.refresh()
            return runs_page(Links(), index.runs, chosen=RunFilter())

        measured("again, in the same server", again)
        measured(
            "filtered", lambda: runs_page(Links(), index.runs, chosen=RunFilter(words="registers kill", sort="slowest"))
        )


if __name__ == "__main__":
    main()
