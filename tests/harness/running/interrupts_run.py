"""Interrupts at random moments of simulated runs: python -m tests.harness.running.interrupts_run [HOW_MANY [SEED]]

1. A strike is SIGINT, SIGTERM, or a signal whose handler raises what is no Exception, as a test's time limit does; at a
   moment drawn from the seed, anywhere in the run, between any two bytecodes of it.
2. The run has to raise exactly that, soon; what was recorded has to be judged and no verdict lost; no thread, no open
   file and no handler may be left.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.run import run
from splitbrain.harness.terminal import Progress

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)


class TimeIsUp(BaseException):
    """What pytest-timeout raises is no Exception either."""


@dataclass(frozen=True, slots=True)
class Strike:
    """What came of one. ended: the name of what the run raised, or its status. after_s: from the signal to the run's end,
    None if there was none. recorded: whether there is a history. verdict: in results.json, None if there is none."""

    number: signal.Signals
    ended: str
    after_s: float | None
    recorded: bool
    verdict: str | None


def ring(number: int, frame: Any) -> None:
    raise TimeIsUp


def strike(number: signal.Signals, delay_s: float, experiment: Experiment, out: Path) -> Strike:
    """Run the experiment, and strike it so many seconds after its start."""
    over, struck = threading.Event(), []

    def hit() -> None:
        if not over.wait(delay_s):
            struck.append(time.monotonic())
            signal.pthread_kill(threading.main_thread().ident or 0, number)

    thread = threading.Thread(target=hit)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        try:
            thread.start()
            ended = run(experiment, out=out, progress=Progress(quiet=True)).status
        finally:
            over.set()
            at = time.monotonic()
            thread.join()
    except (KeyboardInterrupt, TimeIsUp) as problem:
        ended = type(problem).__name__
    finally:
        signal.signal(signal.SIGALRM, before)
    results = out / "latest" / "results.json"
    verdict = json.loads(results.read_text())["verdict"] if results.exists() else None
    return Strike(
        number, ended, at - struck[0] if struck else None, results.with_name("history.jsonl").exists(), verdict
    )


def left() -> tuple[Any, ...]:
    """What a run must leave as it was."""
    files = sum(1 for _ in Path("/proc/self/fd").iterdir()) if Path("/proc/self/fd").exists() else 0
    return threading.active_count(), files, tuple(signal.getsignal(number) for number in SIGNALS)


def wrong(strike: Strike) -> str | None:
    """What must not have come of it; None if all is well."""
    if strike.after_s is None:
        return None if strike.ended in ("valid", "unknown") else f"ended as {strike.ended} by itself"
    expected = "TimeIsUp" if strike.number == signal.SIGALRM else "RunInterrupted"
    if strike.ended != expected:
        return f"swallowed: {strike.ended}"
    if strike.recorded and strike.verdict is None:
        return "what was recorded was not judged"
    return None


def main(count: int, seed: int) -> int:
    rng = random.Random(seed)
    experiment = Experiment("sets", nodes=3, faults=("partition",), time_limit_s=3.0, rate=50.0, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        began = time.monotonic()
        run(experiment, out=out / "whole", progress=Progress(quiet=True))
        whole_s = time.monotonic() - began
        before, tally, slowest_s, failures = left(), Counter[str](), 0.0, 0
        for number in range(count):
            done = strike(rng.choice(SIGNALS), rng.random() * whole_s, experiment, out / str(number))
            problem = wrong(done) or (f"left {left()}, there was {before}" if left() != before else None)
            if problem:
                failures += 1
                print(f"strike {number}: {done}: {problem}", flush=True)
            tally["too late" if done.after_s is None else f"{done.number.name}, judged {done.verdict}"] += 1
            slowest_s = max(slowest_s, done.after_s or 0.0)
    print(f"{count} interrupts, seed {seed}: {failures} failures; the slowest end {slowest_s:.2f} s after it")
    for what, times in sorted(tally.items()):
        print(f"  {times:5} {what}")
    return 1 if failures else 0


if __name__ == "__main__":
    words = [int(word) for word in sys.argv[1:]]
    sys.exit(main(words[0] if words else 1000, words[1] if len(words) > 1 else 0))
