"""Interrupts at random moments of container runs:
python -m tests.harness.running.container_interrupts_run [HOW_MANY [SEED]]

1. A strike is SIGINT or SIGTERM to the command `splitbrain run --env docker`, at a moment drawn from the seed.
2. The command has to end with exit code 130 and within `END_S`, what was recorded has to be judged, and no container,
   network or volume of its own may be left.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from splitbrain.harness.hosts.containers.engine import connect
from splitbrain.harness.hosts.containers.leftovers import OWNER_LABEL

START_S = 1.0
"""Before, the interpreter itself may be starting, and ends as it likes."""
END_S = 60.0
"""To judge (up to 5 s), and to remove containers, which takes a busy engine tens of seconds."""
RUN = ("run", "sets", "--env", "docker", "--nodes", "3", "--faults", "partition", "--time-limit", "6", "--rate", "50")


def command(out: Path) -> subprocess.Popen[bytes]:
    """The run, as a process of its own, whose output goes to `out`/output."""
    words = [sys.executable, "-m", "splitbrain.harness.doors.cli", *RUN, "--seed", "1", "--out", str(out)]
    out.mkdir()
    with (out / "output").open("wb") as output:
        return subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT)


def left(client: Any, pid: int) -> list[str]:
    """What a process has made in the engine and not removed."""
    wanted = {"filters": {"label": OWNER_LABEL}}
    containers = [(each.name, each.labels) for each in client.containers.list(all=True, **wanted)]
    networks = [(each.name, each.attrs.get("Labels") or {}) for each in client.networks.list(**wanted)]
    volumes = [(each.name, each.attrs.get("Labels") or {}) for each in client.volumes.list(**wanted)]
    made = [*containers, *networks, *volumes]
    return [name for name, marks in made if marks.get(OWNER_LABEL, "").split(" ")[0] == str(pid)]


def strike(client: Any, number: signal.Signals, delay_s: float, out: Path) -> tuple[str, float, str | None]:
    """What came of a strike after so many seconds: what it was, seconds to the end, and what is wrong with it."""
    run = command(out)
    output = out / "output"
    try:
        run.wait(timeout=delay_s)
        return "too late", 0.0, None
    except subprocess.TimeoutExpired:
        answered = b"replay  splitbrain run" in output.read_bytes()
        run.send_signal(number)
    at = time.monotonic()
    try:
        run.wait(timeout=END_S)
    except subprocess.TimeoutExpired:
        run.kill()
        run.wait()
        return "hung", END_S, f"it was not over {END_S:g} s after {number.name}"
    took_s = time.monotonic() - at
    results = out / "latest" / "results.json"
    judged = json.loads(results.read_text())["verdict"] if results.exists() else None
    what = f"{number.name}, judged {judged}"
    if answered and judged is not None:
        return "too late: it had answered", took_s, None
    if run.returncode != 130:
        return what, took_s, f"exit code {run.returncode}: {output.read_text()[-300:]}"
    if results.with_name("history.jsonl").exists() and judged is None:
        return what, took_s, "what was recorded was not judged"
    if things := left(client, run.pid):
        return what, took_s, f"left {', '.join(things)}"
    return what, took_s, None


def main(count: int, seed: int) -> int:
    rng = random.Random(seed)
    client = connect()
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        whole = command(Path(folder) / "whole")
        whole.wait()
        whole_s = time.monotonic() - began
        print(f"a whole run takes {whole_s:.1f} s and ends with {whole.returncode}", flush=True)
        tally, slowest_s, failures = Counter[str](), 0.0, 0
        for at in range(count):
            delay_s = START_S + rng.random() * max(0.0, whole_s - START_S)
            number = rng.choice((signal.SIGINT, signal.SIGTERM))
            what, took_s, problem = strike(client, number, delay_s, Path(folder) / str(at))
            tally[what] += 1
            slowest_s = max(slowest_s, took_s)
            if problem:
                failures += 1
                print(f"strike {at}, {number.name} after {delay_s:.2f} s: {problem}", flush=True)
    print(f"{count} interrupts, seed {seed}: {failures} failures; the slowest end {slowest_s:.2f} s after it")
    for what, times in sorted(tally.items()):
        print(f"  {times:5} {what}")
    return 1 if failures else 0


if __name__ == "__main__":
    words = [int(word) for word in sys.argv[1:]]
    sys.exit(main(words[0] if words else 100, words[1] if len(words) > 1 else 0))
