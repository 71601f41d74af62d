"""The commands of `docs/defects.md`: with the defect the harness calls the run invalid, without it valid."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from splitbrain.harness.doors.commands import cli
from tests.store.defects.test_stories import STORIES

DOCS = (Path(__file__).parents[3] / "docs" / "defects.md").read_text()
COMMANDS = re.findall(r"^\| `([a-z0-9-]+)` \|.*`(run [^`]+)` \|$", DOCS, re.MULTILINE)
CHECKERS = {story.defect: story.checker for story in STORIES}


def splitbrain(command, *more, out):
    """Exit code and answer."""
    done = CliRunner().invoke(cli, [*command.split(), *more, "--out", str(out), "--json"])
    return done.exit_code, json.loads(done.stdout)


def test_there_are_commands():
    assert len(COMMANDS) >= 7


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_the_run_is_invalid_with(name, command, tmp_path):
    code, answer = splitbrain(command, "--config", f"defect={name}", "--config", "unsafe=true", out=tmp_path)
    assert (code, answer["verdict"]) == (1, "invalid")
    assert answer["checkers"][CHECKERS[name]]["verdict"] == "invalid"


@pytest.mark.parametrize("command", sorted({command for _, command in COMMANDS}))
def test_the_run_is_valid_without(command, tmp_path):
    code, answer = splitbrain(command, out=tmp_path)
    assert (code, answer["verdict"]) == (0, "valid"), answer["reason"]


def test_a_run_with_a_defect_is_refused_without_unsafe(tmp_path):
    done = CliRunner().invoke(cli, ["run", "sets", "--config", "defect=reused-dot", "--out", str(tmp_path)])
    assert done.exit_code
    assert "give unsafe=true too" in str(done.exception)


def test_the_log_of_every_node_of_a_run_says_that_it_has_a_defect(tmp_path):
    command = "run sets --nodes 3 --time-limit 1 --seed 1"
    _, answer = splitbrain(command, "--config", "defect=reused-dot", "--config", "unsafe=true", out=tmp_path)
    logs = sorted(tmp_path.glob("sets/*/nodes/*/*.log"))
    assert len(logs) == 3
    assert all("WARNING: defect=reused-dot is on." in log.read_text() for log in logs)
