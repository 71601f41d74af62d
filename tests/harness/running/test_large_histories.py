"""Histories larger than anybody wants: refused in one line, before they take the memory."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from splitbrain.harness.running.results import ResultsError, read_history

EVENT = b'{"index":0,"time":1,"process":0,"type":"invoke","f":"read"}\n'


def bomb(path: Path, text: bytes, megabytes: int) -> Path:
    """A gzip file that unpacks to so much of this text, again and again."""
    block = text * (1_000_000 // len(text))
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(megabytes):
            file.write(block)
    return path


def check(folder: Path, *words: str, limit_mb: int, **options: object) -> subprocess.CompletedProcess[str]:
    """`splitbrain check`, in so much of address space."""
    command = (
        f"ulimit -v {limit_mb * 1024}; exec {sys.executable} -m splitbrain.harness.doors.cli check {' '.join(words)}"
    )
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        ["sh", "-c", command],
        cwd=folder,
        env={"OPENBLAS_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )


@pytest.mark.parametrize("text", [b"\n", EVENT], ids=["one blank after the other", "events"])
def test_a_small_file_that_unpacks_to_a_large_one_took_its_memory(tmp_path: Path, text: bytes) -> None:
    path = bomb(tmp_path / "bomb.jsonl.gz", text, 100)
    done = check(tmp_path, path.name, "--largest", "90", limit_mb=900)
    assert done.returncode == 64
    assert done.stderr == (
        "splitbrain: bomb.jsonl.gz has more than 90 MB unpacked; if you trust it, give more with --largest\n"
    )


def test_without_an_option_a_gigabyte_is_the_most(tmp_path: Path) -> None:
    path = bomb(tmp_path / "bomb.jsonl.gz", b" " * 1_000_000, 1030)
    assert path.stat().st_size < 6_000_000
    done = check(tmp_path, path.name, limit_mb=900)
    assert done.returncode == 64 and "has more than 1,024 MB unpacked" in done.stderr


def test_from_standard_input_it_is_refused_on_the_way(tmp_path: Path) -> None:
    path = bomb(tmp_path / "bomb.gz", b" " * 999 + b"\n", 30)
    with path.open("rb") as file:
        done = check(tmp_path, "-", "--largest", "20", limit_mb=900, stdin=file)
    assert done.returncode == 64
    assert "splitbrain: - has more than 20 MB unpacked; if you trust it" in done.stderr


def test_a_line_longer_than_a_sixteenth_is_refused_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(EVENT + b'{"index":1,"value":"' + b"x" * 2_000_000)
    with pytest.raises(ResultsError, match=r"line 2 has more than 1 MB; if you trust it, give more with --largest"):
        read_history(path, largest_mb=16)
    assert read_history(path, largest_mb=64).truncated


def test_what_fits_is_read_whether_it_is_looked_at_first_or_not(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl.gz"
    path.write_bytes(gzip.compress(EVENT))
    for largest_mb in (0.01, 1, 1024):
        assert len(read_history(path, largest_mb=largest_mb).events) == 1
    # A plain file is as large as it looks.
    plain = tmp_path / "history.jsonl"
    plain.write_bytes(EVENT + b"\n" * 3_000)
    assert len(read_history(plain, largest_mb=0.002).events) == 1


def test_where_memory_is_short_one_line_says_so(tmp_path: Path) -> None:
    values = b",".join([b"0"] * 25_000_000)
    (tmp_path / "big.jsonl").write_bytes(EVENT[:-2] + b',"value":[' + values + b"]}\n")
    done = check(tmp_path, "big.jsonl", "--checker", "stats", limit_mb=500)
    assert done.returncode in (3, 64), done.stderr
    assert "memory" in done.stderr and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
