"""The page on checkers says what there is, and the README what a check prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from splitbrain.checkers.registry import CHECKERS
from splitbrain.harness.doors.commands import cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "checkers.md").read_text()
ROW = re.compile(r"^\| `([a-z-]+)` \|.*\|([^|]*)\|([^|]*)\|$", re.MULTILINE)


def test_the_page_lists_every_checker_with_all_its_options() -> None:
    told = {name: set(re.findall(r"`(\w+)`", options)) for name, options, _ in ROW.findall(PAGE)}
    assert told == {name: set(checker.options) for name, checker in CHECKERS.items()}


def test_the_rules_are_where_the_page_says() -> None:
    package = ROOT / "checkers"
    for _, _, places in ROW.findall(PAGE):
        for place in re.findall(r"`([\w/.]+)`", places):
            assert (package / place).exists(), place


def test_the_readme_shows_what_a_check_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    command, told = re.findall(r"^```\n\$ splitbrain (check .*)\n([^`]*)```$", (ROOT / "README.md").read_text(), re.M)[0]
    assert CliRunner().invoke(cli, command.split()).output == told
