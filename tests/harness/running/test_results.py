"""What a run leaves in its folder and says at its end."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from splitbrain.checkers import Verdict, Witness
from splitbrain.checkers.compose import compose
from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.results import Result, RunFolder
from splitbrain.harness.running.run import run

LONG = "partition took effect, " * 40


def splitbrain(*words: str, cwd: Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "splitbrain.harness.doors.cli",
        "run",
        "sets",
        "--seed",
        "1",
        "--nodes",
        "3",
        *words,
    ]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload,no-any-return]


def test_runs_on_threads_of_one_process_that_start_together_each_have_a_folder_and_leave_one_link(
    tmp_path: Path,
) -> None:
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: RunFolder.create(tmp_path, "sets"), range(400)))
    assert len({folder.path for folder in folders}) == 400
    assert (tmp_path / "latest").resolve() in {folder.path.resolve() for folder in folders}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "sets"]


def test_the_end_of_a_run_cut_the_evidence_off() -> None:
    verdict = compose({"sets": Verdict.valid("all there"), "evidence": Verdict.valid(LONG.strip())}, {})
    lines = Result("valid", verdict.reason, verdict, Path("runs/x"), "splitbrain run sets").lines()
    assert f"  ✓ evidence: {LONG.strip()}" in lines


def test_the_end_of_a_run_has_the_percentiles_of_the_latencies() -> None:
    latency = Verdict.valid("fast", overall={"p50": 1.5, "p99": 2000, "max": 2500.25})
    lines = Result("valid", "fast", compose({"latency": latency}, {}), Path("runs/x"), "splitbrain run sets").lines()
    assert "  ✓ latency: fast (p50 1.5 ms, p99 2,000 ms, max 2,500.25 ms)" in lines


@pytest.mark.parametrize("notes", [0, 3, 30])
@pytest.mark.parametrize("passed", [2, 30])
def test_the_end_of_a_run_has_20_lines_and_counts_what_they_do_not_hold(passed: int, notes: int) -> None:
    lost = Verdict.invalid("one\nlost", Witness("\n".join(f"step {step}" for step in range(50)), ()))
    parts = {**{f"v{number}": Verdict.valid("fine") for number in range(passed)}, "lost": lost}
    verdict = compose(parts, {"mine": "KeyError: 'boo'"})
    told = tuple(f"note {number}" for number in range(notes))
    lines = Result("invalid", verdict.reason, verdict, Path("runs/x"), "splitbrain run sets", told).lines()
    assert len(lines) <= 20 and not any("\n" in line for line in lines)
    assert lines[-1] == "replay  splitbrain run sets"
    assert "  ✗ lost: one lost" in lines and "  ! mine failed: KeyError: 'boo'" in lines
    shown = [line for line in lines if line.startswith(("  ✓", "  ✗", "  !"))]
    left = passed + 2 + notes - len(shown)
    assert [line for line in lines if "more in" in line] == (
        [f"  … ({left} more in runs/x/results.json)"] if left else []
    )


def test_a_full_disk_was_an_internal_error_without_a_verdict(tmp_path: Path) -> None:
    done = splitbrain("--time-limit", "20", cwd=tmp_path, preexec_fn=_small_files)
    assert done.returncode == 3
    assert "internal error" not in done.stderr and "Traceback" not in done.stderr
    (folder,) = (tmp_path / "runs/sets").iterdir()
    history = folder.relative_to(tmp_path) / "history.jsonl"
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"BROKEN: can't write {history} (File too large); make room there")
    # What was recorded is judged, and ends with a whole line.
    assert any(line.startswith("  ✓ availability: ") for line in lines)
    recorded = (tmp_path / history).read_bytes()
    assert recorded.endswith(b"}\n") and 90_000 < len(recorded) <= 100_000
    assert json.loads((folder / "results.json").read_text())["verdict"] == "broken"


def _small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_verdict_whose_file_could_not_be_written_is_no_exit_code_of_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run = RunFolder.write_run

    def in_the_way(folder: RunFolder, facts: Mapping[str, Any]) -> None:
        write_run(folder, facts)
        (folder.path / "results.json").mkdir()

    monkeypatch.setattr(RunFolder, "write_run", in_the_way)
    result = run(Experiment("sets", nodes=3, time_limit_s=2.0, seed=1), out=tmp_path)
    assert (result.status, result.exit_code) == ("broken", 3)
    assert f"can't write {result.folder}/results.json (Is a directory)" in result.reason
    assert "it would say: valid" in result.reason


def test_an_output_in_ascii_lost_the_verdict_for_a_tick(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = splitbrain("--time-limit", "2", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("VALID: ")
    assert "  \\u2713 lost-writes: " in done.stdout


@pytest.mark.parametrize("made", [Path.mkdir, Path.touch])
def test_a_folder_called_latest_stopped_every_run(tmp_path: Path, made: object) -> None:
    made(tmp_path / "latest")  # type: ignore[operator]
    folder = RunFolder.create(tmp_path, "sets")
    assert folder.path.is_dir()
    assert not (tmp_path / "latest").is_symlink()
    assert folder.note == f"{tmp_path}/latest is no link, so it was left as it is; rename it"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["latest", "sets"]


def test_latest_points_to_the_newest_run(tmp_path: Path) -> None:
    for _ in range(2):
        folder = RunFolder.create(tmp_path, "sets")
        assert folder.note == ""
        assert (tmp_path / "latest").resolve() == folder.path
