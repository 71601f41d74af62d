"""Nodes for tests, as files: each is one program with the marked answers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from splitbrain.harness.processes import ProcessesEnvironment
from splitbrain.harness.seeds import split
from splitbrain.harness.systems.maelstrom import SYSTEM, Maelstrom
from splitbrain.harness.systems.maelstrom.maelstrom_client import MaelstromConnection

FRAME = """#!{python}
import json, sys
me, asked = "", []
def tell(dest, **body):
    print(json.dumps({{"src": me, "dest": dest, "body": body}}), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    request = message["body"]
    asked.append(request)
    if request["type"] == "init":
        me = request["node_id"]
    print(line, end="", file=sys.stderr, flush=True)
    def answer(kind=None, **fields):
        kind = kind or request["type"] + "_ok"
        tell(message["src"], **{{"type": kind, "in_reply_to": request["msg_id"], **fields}})
    if request["type"] in ("init", "topology") and {polite}:
        answer()
        continue
{answers}
"""


def node(folder: Path, answers: str, *, polite: bool = True) -> str:
    """A program that does this with each request but `init` and `topology`. Returns its path.

    answers: lines of Python, which know `request`, `asked`, `message`, `me`, and `answer`. polite: it answers `init`.
    """
    path = folder / "node.py"
    lines = "\n".join(f"    {line}" for line in answers.splitlines())
    path.write_text(FRAME.format(python=sys.executable, answers=lines, polite=polite))
    path.chmod(0o755)
    return str(path)


def configured(program: str, **config: str) -> Maelstrom:
    settings: Mapping[str, str] = {"bin": program, **config}
    return SYSTEM.configure(settings, seed=split(1, "system"), nodes=3)


async def started(environment: ProcessesEnvironment, system: Maelstrom) -> MaelstromConnection:
    """A connection to n1, once all nodes are started."""
    for machine in environment.machines.values():
        await system.start(environment, machine)
    return await system.connect(environment, "n1")
