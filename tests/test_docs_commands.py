"""The commands that documents show: every one is understood, and those of the tutorial come out as it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from splitbrain.harness.doors.cli import command
from tests.house import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").glob("**/*.md"))]
TUTORIAL = ROOT / "docs" / "tutorial.md"
SHOWN = re.compile(r"^(?: {4}|\$ |    \$ )(splitbrain [^\n]*?)(?:\s+#.*|\s*)$", re.MULTILINE)
"""A line of a block: indented or after a prompt, without the comment behind it."""
STEP = re.compile(r"Write \*\*([\w.]+)\*\*:\n\n```python\n(.*?)```|```console\n\$ (.*?)\n(.*?)\n?```", re.DOTALL)


def shown(text: str) -> list[str]:
    """The commands of `splitbrain` in a document's blocks, lines that go on joined."""
    return [each for each in SHOWN.findall(text.replace("\\\n", " ")) if "..." not in each and "…" not in each]


def understood(words: list[str]) -> None:
    """Have click parse the words as the command would, without running it. Raises ClickException."""
    group = command()
    name, rest = words[1], words[2:]
    if name.startswith("-"):
        return
    found = group.get_command(click.Context(group), name)
    assert found is not None, f"there is no command {name}"
    with found.make_context(name, [word for word in rest if word not in ("|", "<", ">", "2>&1")]):
        pass


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_that_a_document_shows_is_understood(document):
    for line in shown(document.read_text()):
        words = shlex.split(re.split(r" (?:\||<|>|&&|;) ", line)[0])
        try:
            understood(words)
        except click.ClickException as problem:
            pytest.fail(f"{line}: {problem.format_message()}")


def test_commands_are_found_and_a_wrong_one_is_not_understood():
    text = "    splitbrain run sets --faults partition   # comment\n\n$ splitbrain check a.jsonl\nsplitbrain run is prose\n"
    assert shown(text) == ["splitbrain run sets --faults partition", "splitbrain check a.jsonl"]
    assert sum(len(shown(document.read_text())) for document in DOCUMENTS) > 100
    with pytest.raises(click.ClickException):
        understood(["splitbrain", "run", "sets", "--fautls", "partition"])


def steps(text: str) -> Iterator[tuple[str, str, str]]:
    """In the order of the page: ("file", name, contents), or ("run", command, its answer's first line)."""
    for file, content, line, answer in STEP.findall(text):
        yield ("file", file, content) if file else ("run", line, answer)


def test_the_tutorial_comes_out_as_it_says(tmp_path):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ran = []
    for what, name, rest in steps(TUTORIAL.read_text()):
        if what == "file":
            (tmp_path / name).write_text(rest)
            continue
        done = subprocess.run(
            name, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        first = done.stdout.strip().partition("\n")[0].rstrip()
        assert re.fullmatch(re.escape(rest.strip()).replace("…", ".*"), first), f"{name}\n{done.stdout}{done.stderr}"
        assert done.returncode == (1 if rest.startswith(("INVALID", "F")) else 0), done.stdout + done.stderr
        ran.append(name.split()[:2])
    assert ran == [
        ["splitbrain", "run"], ["splitbrain", "run"], ["splitbrain", "compare"], ["splitbrain", "replay"],
        ["splitbrain", "check"], ["splitbrain", "shrink"], ["pytest", "-q"], ["pytest", "-q"],
    ]  # fmt: skip
    assert (tmp_path / "lost.html").is_file() and (tmp_path / "runs" / "latest" / "report.html").is_file()


def test_the_tutorial_says_what_the_report_s_witness_says():
    said = re.search(r"process \d+ was told at [\d.]+ s", (ROOT / "README.md").read_text())
    added = re.search(r"that \d+ was added to s\d", (ROOT / "README.md").read_text())
    assert said and added, "the README shows the same run, held by the example's test"
    assert f"{said[0]} {added[0]}" in " ".join(TUTORIAL.read_text().split())
