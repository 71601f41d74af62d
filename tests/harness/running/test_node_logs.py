from __future__ import annotations

from pathlib import Path

import pytest

from splitbrain.harness.running import node_logs
from splitbrain.harness.running.node_logs import write


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with a history, and a file beside it."""
    folder = tmp_path / "runs" / "sets" / "now"
    folder.mkdir(parents=True)
    (folder / "history.jsonl").write_text("recorded")
    (tmp_path / "precious").write_text("precious")
    return folder


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def test_logs_are_kept_by_node_and_name(run: Path) -> None:
    assert write(run, "n1", {"store.log": b"one", "core_2.log": b"\xff"}) == []
    assert write(run, "n2", {"store.log": b"two"}) == []
    assert (run / "nodes/n1/store.log").read_bytes() == b"one"
    assert (run / "nodes/n1/core_2.log").read_bytes() == b"\xff"
    assert (run / "nodes/n2/store.log").read_bytes() == b"two"


@pytest.mark.parametrize(
    "name",
    [
        "../../history.jsonl",
        "../../../../../precious",
        "/tmp/absolute",
        "..",
        ".",
        "",
        ".hidden",
        "a/b",
        "a\\b",
        "a\x00b",
        "a\nb",
        "\x1b[2Kb",
        "-rf",
        "\u202egol",
        "n" * 101,
        "n" * 100_000,
    ],
)
def test_a_name_that_is_not_plain_is_reported_and_never_written(run: Path, name: str) -> None:
    before = files(run.parents[2])
    [note] = write(run, "n1", {name: b"forged", "store.log": b"kept"})[:1]
    assert note.startswith("a log of n1 is not kept: ")
    assert note.isprintable() and len(note) < 300
    assert files(run.parents[2]) == sorted([*before, "runs/sets/now/nodes/n1/store.log"])
    assert (run / "history.jsonl").read_text() == "recorded"


def test_a_nodes_own_name_is_plain_too(run: Path) -> None:
    before = files(run)
    assert write(run, "../n1", {"store.log": b"forged"}) == ["no log of node '../n1' is kept: its name is not plain"]
    assert files(run) == before


def test_no_link_is_followed_and_nothing_that_exists_is_written_over(run: Path) -> None:
    precious = run.parents[2] / "precious"
    (run / "nodes/n1").mkdir(parents=True)
    (run / "nodes/n1/store.log").symlink_to(precious)
    (run / "nodes/n1/dangling.log").symlink_to(run / "made-by-a-link")
    (run / "nodes/n1/there.log").write_text("first")
    notes = write(run, "n1", {"store.log": b"x", "dangling.log": b"x", "there.log": b"x"})
    assert [note.rpartition(": ")[0] for note in notes] == [
        "log store.log of n1 is not kept",
        "log dangling.log of n1 is not kept",
        "log there.log of n1 is not kept",
    ]
    assert precious.read_text() == "precious"
    assert not (run / "made-by-a-link").exists()
    (run / "nodes/n2").symlink_to(run.parents[2])
    assert write(run, "n2", {"precious": b"x"})[0].startswith("no log of n2 is kept: ")
    assert precious.read_text() == "precious"


def test_number_and_sizes_are_bounded_and_the_excess_is_reported(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = {f"{number}.log": b"" for number in range(10_000)}
    assert write(run, "n1", logs) == ["9968 logs of n1 are not kept: it names 10000"]
    assert len(files(run / "nodes/n1")) == node_logs.LOGS_LIMIT
    monkeypatch.setattr(node_logs, "LOG_LIMIT_BYTES", 4)
    monkeypatch.setattr(node_logs, "NODE_LIMIT_BYTES", 6)
    notes = write(run, "n2", {"a": b"1234", "b": b"12345", "c": b"123", "d": b"12"})
    assert notes == [
        "log b of n2 is not kept: its 5 bytes are too many",
        "log c of n2 is not kept: its 3 bytes are too many",
    ]
    assert files(run / "nodes/n2") == ["a", "d"]
