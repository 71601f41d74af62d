"""The walk of docs/maelstrom.md, followed literally: its files written, its commands run, its answers seen."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.house import ROOT

PAGE = (ROOT / "docs" / "maelstrom.md").read_text()
WALK = PAGE[PAGE.index("## Ten minutes") : PAGE.index("## The workloads")]
FILE = re.compile(r"Write \*\*([\w.]+)\*\*:\n\n```python\n(.*?)```", re.DOTALL)
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)


def steps() -> Iterator[tuple[str, str, str]]:
    """In the order of the page: ("file", name, contents), or ("run", command, what it answers)."""
    found = [(match.start(), ("file", match[1], match[2])) for match in FILE.finditer(WALK)]
    for match in CONSOLE.finditer(WALK):
        for number, said in enumerate(match[1].split("$ ")[1:]):
            command, _, answer = said.partition("\n")
            found.append((match.start() + number, ("run", command, answer.strip())))
    return (step for _, step in sorted(found))


def test_the_walk_comes_out_as_the_page_says(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ran = 0
    for what, name, rest in steps():
        if what == "file":
            (tmp_path / name).write_text(rest)
            continue
        done = subprocess.run(
            name, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        answered = done.stdout.splitlines()[:1]
        if rest:
            assert re.fullmatch(re.escape(rest).replace("…", ".+"), "".join(answered)), done.stdout + done.stderr
        assert done.returncode == (1 if rest.startswith("INVALID") else 0), done.stdout + done.stderr
        ran += 1
    assert ran >= 8
    assert (tmp_path / "runs" / "latest" / "nodes" / "n1" / "node.log").is_file()


def test_the_page_has_every_error_code_service_and_setting() -> None:
    from splitbrain.harness.systems.maelstrom import SYSTEM
    from splitbrain.harness.systems.maelstrom.error_codes import ERROR_CODES
    from splitbrain.harness.systems.maelstrom.service_hosts import NAMES

    codes = re.findall(r"^\| (\d+) \| `([\w-]+)` \| (yes|no) \|$", PAGE, re.MULTILINE)
    assert {int(code): (name, definite == "yes") for code, name, definite in codes} == {
        code: (each.name, each.definite) for code, each in ERROR_CODES.items()
    }
    assert {name for name in NAMES if f"| `{name}` |" in PAGE} == set(NAMES)
    settings = PAGE[PAGE.index("## Settings") : PAGE.index("## Faults")]
    assert {key for key in SYSTEM.config if f"`{key}`" in settings} == set(SYSTEM.config)
