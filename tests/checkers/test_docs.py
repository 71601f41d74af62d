"""The page on checkers says what there is, and the README what a check prints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from splitbrain.checkers import check, read
from splitbrain.checkers.registry import CHECKERS
from splitbrain.harness.doors.commands import cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "checkers.md").read_text()
ROW = re.compile(r"^\| `([a-z-]+)` \|.*\|([^|]*)\|([^|]*)\|$", re.MULTILINE)


def test_the_page_lists_every_checker_with_all_its_options() -> None:
    listed = {name: set(re.findall(r"`(\w+)`", options)) for name, options, _ in ROW.findall(PAGE)}
    assert listed == {name: set(checker.options) for name, checker in CHECKERS.items()}


def test_its_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "history.edn").write_text(
        "{:process 0, :type :invoke, :f :txn, :value [[:append 1 1] [:r 1 nil]]}\n"
        "{:process 0, :type :ok, :f :txn, :value [[:append 1 1] [:r 1 [1]]]}\n"
    )
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    found: dict[str, Any] = {}
    exec(example, found)
    assert list(found["several"].parts) == ["stats"]
    assert list(found["plain"].parts) == ["stats", "unhandled-errors"]


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_a_page_imports_the_house_as_splitbrain(page: Path) -> None:
    # `from checkers import ...` finds a user's own folder of that name.
    wrong = re.findall(r"^(?:from|import) (?:checkers|harness|store|workloads)\b.*$", page.read_text(), re.MULTILINE)
    assert wrong == []


def test_the_rules_are_where_the_page_says() -> None:
    package = ROOT / "checkers"
    for _, _, places in ROW.findall(PAGE):
        for place in re.findall(r"`([\w/.]+)`", places):
            assert (package / place).exists(), place


def test_the_readme_shows_what_a_check_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    command, printed = re.findall(
        r"^```\n\$ splitbrain (check .*)\n([^`]*)```$", (ROOT / "README.md").read_text(), re.M
    )[0]
    assert CliRunner().invoke(cli, command.split()).output == printed


@pytest.mark.parametrize(("at", "name", "outcome"), [(0, "kafka", "valid"), (1, "lock", "unknown")])
def test_the_histories_on_the_page_are_what_their_checkers_read(at: int, name: str, outcome: str) -> None:
    shown = re.findall(r"```jsonl\n(.*?)```", PAGE, re.DOTALL)[at]
    assert check(name, read(line.encode() for line in shown.splitlines(keepends=True))).outcome == outcome
