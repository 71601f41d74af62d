"""Workers: real processes that die, eat memory, and never end."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from splitbrain.harness.campaigns.workers import Workers, dask, processes
from splitbrain.harness.running.experiment import UsageProblem
from tests.harness.campaigns.chores import Chore


@pytest.fixture
def workers() -> Iterator[Workers]:
    pool = Workers(processes(memory_mb=1500), 2)
    yield pool
    pool.close()


@pytest.mark.parametrize("how", ["exit", "kill", "spin"])
def test_a_process_that_dies_costs_its_own_task_and_no_other(workers: Workers, how: str) -> None:
    chores = [Chore(number, how if number == 2 else "say") for number in range(6)]
    done = sorted(workers.done(iter(chores)))
    assert [each for each in done if "failed" not in each] == [f"{number} done" for number in (0, 1, 3, 4, 5)]
    (failed,) = (each for each in done if "failed" in each)
    assert failed.startswith("2 failed: its worker's process ended")


def test_a_process_that_died_by_chance_costs_nothing(workers: Workers, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    assert list(workers.done(iter([Chore(0, "once", marks)]))) == ["0 done"]
    assert marks.read_bytes() == b"..", "it was done again"


def test_memory_is_limited(workers: Workers) -> None:
    done = sorted(workers.done(iter([Chore(0), Chore(1, "eat"), Chore(2)])))
    assert done == ["0 done", "1 failed: its worker failed, MemoryError", "2 done"]


def test_what_a_task_raises_is_told(workers: Workers) -> None:
    assert list(workers.done(iter([Chore(0, "raise")]))) == ["0 failed: its worker failed, ValueError: no such chore"]


def test_tasks_are_taken_only_when_a_worker_is_free() -> None:
    taken: list[int] = []

    def chores() -> Iterator[Chore]:
        for number in range(10):
            taken.append(number)
            yield Chore(number)

    def threads(jobs: int) -> Executor:
        return ThreadPoolExecutor(jobs)

    workers = Workers(threads, 2)
    first = next(workers.done(chores()))
    assert first in ("0 done", "1 done")
    assert taken == [0, 1]
    workers.close()


@pytest.mark.parametrize("address", ["localhost:8786", "dask://", "spark://localhost:1"])
def test_an_executor_of_another_kind_is_refused(address: str) -> None:
    with pytest.raises(UsageProblem, match="give dask://HOST:PORT"):
        dask(address)
