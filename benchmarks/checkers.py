"""What the checkers cost, beside what their peers were measured to take on a machine like it.

    python -m benchmarks.checkers [WORDS OF A ROW ...]

Each row runs in a process of its own: it makes its history, then times the check alone, and how much memory the process
held at most beyond what it held before the check. Histories are generated from seeds; recorded ones are used where
SPLITBRAIN_HISTORIES names their folder. Ratios are what to look at: times depend on the machine.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

# This file has the name of the package it measures: its folder must not come first.
sys.path[0] = str(Path(__file__).parents[1])

from benchmarks.kv_histories import kv_history
from benchmarks.register_histories import distinct_writes, register_history, with_cas
from benchmarks.transaction_histories import list_append, rw_register
from splitbrain.checkers import History, check, read
from splitbrain.checkers.budget import Budget
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.linearizable import MODELS, judge

RECORDED = Path(os.environ.get("SPLITBRAIN_HISTORIES", Path(__file__).parents[2] / "shared" / "histories"))


class Measured(msgspec.Struct):
    """outcome: what was said. seconds and megabytes: of the check alone."""

    outcome: str
    seconds: float
    megabytes: float


@dataclass(frozen=True)
class Row:
    """work: what is judged. limit: what it may take (s, and MB where there is a limit). peer: what a peer took.
    expected: the outcome. make: prepares; what it returns is timed, and returns the outcome."""

    work: str
    limit_s: float
    limit_mb: float | None
    peer: str
    expected: str
    make: Callable[[], Callable[[], str]]


def _linearizable(history: History, model: str) -> Callable[[], str]:
    return lambda: check("linearizable", history, model=model).outcome.value


def _transactions(history: History, consistency: str, **options: str) -> Callable[[], str]:
    return lambda: check("transactions", history, consistency=consistency, **options).outcome.value


def _weak(make: Callable[..., History], consistency: str) -> Callable[[], str]:
    return _transactions(make(400_000, seed=1), consistency)


def _recorded(names: str, model: str, *, explained: bool) -> Callable[[], str]:
    """All files of those names in one go: judged only, or with the witness of each that is invalid."""
    histories = []
    for path in sorted((RECORDED / "porcupine").glob(names)):
        with path.open("rb") as lines:
            histories.append(read(lines))
    for history in histories:
        _ = history.columns.operations

    def judged(history: History) -> bool:
        if explained:
            return check("linearizable", history, model=model).outcome == "valid"
        parts = calls_of(history, MODELS[model])
        return all(judge(calls, MODELS[model], Budget()).linearizable for calls in parts.values())

    return lambda: f"{sum(map(judged, histories))} of {len(histories)} valid"


def _register(clients: int, operations: int, *, stale: bool = False) -> Callable[[], str]:
    return _linearizable(register_history(clients, operations, distinct_writes, seed=1, stale=stale), "register")


def _cas(clients: int, operations: int) -> Callable[[], str]:
    return _linearizable(register_history(clients, operations, with_cas, seed=1), "cas-register")


ROWS = (
    Row(
        "the 51 recorded etcd logs, verdicts",
        0.025,
        None,
        "Porcupine, 102 logs: 547 ms",
        "10 of 51 valid",
        lambda: _recorded("etcd_*.log", "cas-register", explained=False),
    ),
    Row(
        "the same, with the witness of each that is invalid",
        1.0,
        None,
        "",
        "10 of 51 valid",
        lambda: _recorded("etcd_*.log", "cas-register", explained=True),
    ),
    Row(
        "recorded kv c10-ok",
        0.003,
        None,
        "Porcupine 0.78 ms",
        "1 of 1 valid",
        lambda: _recorded("c10-ok*", "kv", explained=False),
    ),
    Row("recorded kv c10-bad", 0.003, None, "", "0 of 1 valid", lambda: _recorded("c10-bad*", "kv", explained=False)),
    Row(
        "kv, 10 clients, 10 keys, 1k",
        0.05,
        None,
        "",
        "valid",
        lambda: _linearizable(kv_history(10, 1000, 10, seed=1), "kv"),
    ),
    Row(
        "the same, an append lost",
        0.1,
        None,
        "",
        "invalid",
        lambda: _linearizable(kv_history(10, 1000, 10, seed=1, lost=True), "kv"),
    ),
    Row(
        "register, distinct writes, 10 clients, 100k",
        0.2,
        150,
        "Porcupine 15.5 s, 10.7 GB",
        "valid",
        lambda: _register(10, 100_000),
    ),
    Row(
        "the same, one stale read near the end",
        0.2,
        150,
        "Porcupine: out of 16 GB",
        "invalid",
        lambda: _register(10, 100_000, stale=True),
    ),
    Row(
        "register, distinct writes, 30 clients, 1M",
        2.5,
        None,
        "Porcupine, 10k: out of memory",
        "valid",
        lambda: _register(30, 1_000_000),
    ),
    Row("register with 20% cas, 10 clients, 100k", 3, 300, "Porcupine 3.4 s, 5 GB", "valid", lambda: _cas(10, 100_000)),
    Row("register with 20% cas, 30 clients, 1k", 0.5, None, "Porcupine 3.4 s, 385 MB", "valid", lambda: _cas(30, 1000)),
    Row(
        "list-append, 100k, strictly serializable",
        2,
        1000,
        "Elle 2.4 s, 1.3 GB",
        "valid",
        lambda: _transactions(list_append(100_000, seed=1), "strict-serializable"),
    ),
    Row(
        "list-append, 100k, snapshot isolation (G2-item)",
        2,
        1000,
        "Elle 4.3 s, 1.6 GB",
        "invalid",
        lambda: _transactions(list_append(100_000, seed=1, store="snapshot-isolation"), "serializable"),
    ),
    Row(
        "list-append, 1M, strictly serializable",
        20,
        4000,
        "Elle 28.7 s, 5.8 GB",
        "valid",
        lambda: _transactions(list_append(1_000_000, seed=1), "strict-serializable"),
    ),
    Row(
        "list-append, 10k, reads may miss a suffix",
        1,
        None,
        "Elle 3.0 s, a search timed out",
        "invalid",
        lambda: _transactions(list_append(10_000, store="suffix", seed=1), "strict-serializable"),
    ),
    Row(
        "rw-register, sequential keys, 10k",
        1,
        None,
        "Elle 2.7 s",
        "valid",
        lambda: _transactions(rw_register(10_000, seed=1), "strict-serializable", keys="sequential"),
    ),
    *(
        Row(
            f"{name}, 1M micro-operations, {consistency}",
            10,
            2000,
            "",
            "valid",
            partial(_weak, make, consistency),
        )
        for name, make in (("list-append", list_append), ("rw-register", rw_register))
        for consistency in ("read-committed", "monotonic-atomic-view", "read-atomic", "causal")
    ),
)


def _measure(row: Row) -> Measured:
    timed = row.make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    best, outcome = float("inf"), ""
    # A short check is timed several times: the first run pays for what is loaded and looked up once.
    began = time.perf_counter()
    while not outcome or time.perf_counter() - began < 1.0:
        start = time.perf_counter()
        outcome = timed()
        best = min(best, time.perf_counter() - start)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return Measured(outcome, best, grown)


def _chosen(words: Iterable[str]) -> list[int]:
    return [number for number, row in enumerate(ROWS) if all(word in row.work for word in words)]


def main(arguments: list[str]) -> int:
    """Print the table. Returns 1 if a verdict is wrong: a figure missed is a figure, not a failure."""
    if arguments[:1] == ["--row"]:
        sys.stdout.buffer.write(msgspec.json.encode(_measure(ROWS[int(arguments[1])])))
        return 0
    print(f"{'work':<52} {'verdict':<15} {'time':>9} {'at most':>9} {'memory':>8} {'at most':>8}  peer")
    wrong = 0
    for number in _chosen(arguments):
        row = ROWS[number]
        if "recorded" in row.work and not RECORDED.is_dir():
            print(f"{row.work:<52} skipped: no recorded histories in {RECORDED}")
            continue
        command = [sys.executable, __file__, "--row", str(number)]
        found = msgspec.json.decode(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout, type=Measured)
        wrong += found.outcome != row.expected
        mark = "" if found.outcome == row.expected else f" (expected {row.expected})"
        most = f"{row.limit_mb:,.0f} MB" if row.limit_mb else ""
        print(
            f"{row.work:<52} {found.outcome + mark:<15} {found.seconds * 1e3:>6,.1f} ms {row.limit_s * 1e3:>6,.0f} ms "
            f"{found.megabytes:>5,.0f} MB {most:>8}  {row.peer}",
            flush=True,
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
