"""`splitbrain new`: begin something of one's own from a skeleton that works."""

from __future__ import annotations

import re
from pathlib import Path

import click

from splitbrain.harness.doors import words
from splitbrain.harness.running.experiment import UsageProblem
from splitbrain.harness.terminal import say

SKELETON = Path(__file__).parents[1] / "skeleton"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}", re.ASCII)


@click.group(cls=words.Group)
def new() -> None:
    """Begin something of your own from a skeleton that works."""


@new.command("system", cls=words.Command)
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="The folder to write into; by default one of that name.")
def new_system(name: str, out: Path | None) -> None:
    """Write a system under test, a server that stands for yours, and a test that passes.

    NAME: of the system: small letters, digits, dashes.
    """
    if not _NAME.fullmatch(name):
        raise UsageProblem(f"{name!r} can't be a system's name; use small letters, digits and dashes, a letter first")
    folder = out or Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageProblem(f"{folder} is there already and not empty; give another folder with --out")
    module = name.replace("-", "_")
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(SKELETON.iterdir()):
            if path.is_file():
                text = path.read_text("utf-8").replace("MyDb", _class(name)).replace('"mydb"', f'"{name}"')
                target = folder / path.name.replace("mydb", module)
                target.write_text(_renamed(text, name, module), "utf-8")
                written.append(str(target))
    except OSError as problem:
        raise UsageProblem(f"can't write into {folder} ({problem.strerror}); give another folder with --out") from None
    lines = [f"wrote {', '.join(written)}", "", "next:", f"  cd {folder}", "  pytest"]
    lines.append(
        f"  splitbrain run linearizable-register --system {module}.py:SYSTEM --nodes 3 --faults partition,kill"
    )
    say("\n".join(lines))


def _class(name: str) -> str:
    return "".join(part.capitalize() for part in re.split("[-_]", name))


def _renamed(text: str, name: str, module: str) -> str:
    # Names of distributions and entry points may have dashes, those of modules may not.
    text = text.replace("mydb-splitbrain", f"{name}-splitbrain").replace("mydb = ", f"{name} = ")
    return text.replace("mydb", module)
