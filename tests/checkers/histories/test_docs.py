"""docs/histories.md does what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from splitbrain.checkers.histories.formats import read
from splitbrain.harness.doors.commands import cli

TEXT = (Path(__file__).parents[3] / "docs" / "histories.md").read_text()
BLOCKS = dict(re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL))
LINES = re.findall(r"^    splitbrain (check [^\n\[]*)$", TEXT, re.MULTILINE)
SHELL = [shlex.split(line, comments=True) for line in LINES]


def test_its_examples_are_histories() -> None:
    lines = {
        kind: [line.encode() for line in BLOCKS[kind].splitlines(keepends=True)] for kind in ("jsonl", "edn", "log")
    }
    assert [len(read(lines[kind]).events) for kind in ("jsonl", "edn", "log")] == [5, 3, 4]
    edn, log = list(read(lines["edn"]).events), list(read(lines["log"]).events)
    assert edn[1].error in TEXT.replace("`", "")
    assert edn[1].error == "no-client: Connection refused"
    assert log[2].error == "mismatch: the value was not 1"
    assert (log[3].error, log[3].value) == ("timed-out", None)


def test_its_conversion_works_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "history.edn").write_text(BLOCKS["edn"])
    exec(BLOCKS["python"], {})
    histories = []
    for name in ("history.edn", "history.jsonl", "again.edn"):
        with (tmp_path / name).open("rb") as lines:
            histories.append(list(read(lines).events))
    assert histories[0] == histories[1] == histories[2]


def test_its_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splitbrain.harness.doors.commands.gc.freeze", lambda: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jepsen/store/latest").mkdir(parents=True)
    (tmp_path / "jepsen/store/latest/history.edn").write_text(BLOCKS["edn"])
    (tmp_path / "history.jsonl").write_text(BLOCKS["jsonl"])
    (tmp_path / "etcd.log").write_text(BLOCKS["log"])
    assert len(SHELL) == 5
    for words in SHELL:
        read_from = BLOCKS["log"] if "<" in words else None
        done = CliRunner().invoke(cli, words[: words.index("<")] if "<" in words else words, input=read_from)
        assert done.exception is None or isinstance(done.exception, SystemExit), (words, done)
        assert done.exit_code in (0, 1, 2), (words, done)


def test_every_option_it_names_exists_and_every_one_of_check_is_named() -> None:
    options = {word for option in cli.commands["check"].params for word in option.opts if word.startswith("--")}
    assert options == {*re.findall(r"(--[a-z]+)", TEXT)} - {"--help"}
