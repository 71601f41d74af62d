"""CI runs what a person runs: the Makefile's targets, on the Pythons that are promised."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z][\w-]*):", MAKEFILE, re.MULTILINE))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CALLED = re.compile(r"\bmake((?:\s+[A-Z]+=\S+)*(?:\s+[a-z][a-z-]*)+)")
"""`make` and its targets, in a line that runs it; variables are given before them."""


def targets(line: str) -> list[str]:
    """The targets of every `make` in a line."""
    return [word for words in CALLED.findall(line) for word in words.split() if "=" not in word]


def steps(path: Path) -> list[str]:
    """What the workflow's steps run."""
    return re.findall(r"^\s*(?:- )?run: (.*)$", path.read_text(), re.MULTILINE)


def test_there_is_a_workflow_for_each_occasion():
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "nightly.yml", "release.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_make_of_a_workflow_names_a_target_of_the_makefile(path):
    named = [target for line in steps(path) for target in targets(line)]
    assert named
    assert set(named) <= TARGETS


@pytest.mark.parametrize(
    "path", [".ci/run", "README.md", "CONTRIBUTING.md", ".github/PULL_REQUEST_TEMPLATE.md"], ids=lambda path: path
)
def test_every_make_that_is_told_of_is_a_target_of_the_makefile(path):
    text = (ROOT / path).read_text()
    quoted = re.findall(r"`(make [^`]+)`", text) + re.findall(r"^\s*(make [a-z-]+)", text, re.MULTILINE)
    named = [target for line in quoted for target in targets(line)]
    assert named
    assert set(named) <= TARGETS


def test_every_target_is_phony():
    # `store`, `examples` and so on are folders here: a target of such a name would be up to date for ever.
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert set(phony.split()) == TARGETS


def test_ci_begins_with_the_oldest_python_that_is_promised():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    oldest = re.findall(r'^\s*python: \["([\d.]+)"', text, re.MULTILINE)
    assert [f">={version}" for version in oldest] == [project["requires-python"]]
