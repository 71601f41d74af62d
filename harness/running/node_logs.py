"""Node logs: what nodes logged, kept in the run's folder as nodes/<node>/<name>.

A node is not trusted: its log names and contents may be forged.

1. A name is one plain word of bounded length: letters, digits, dots, dashes and underscores, and no dot at first.
2. Files are created new, in a folder that the harness opened, through no link: nothing that exists is overwritten.
3. Number and sizes are bounded. Each log that is not kept gets a sentence of explanation, and costs no verdict.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

LOGS_LIMIT = 32
"""The most logs of one node; a server writes one or two."""
LOG_LIMIT_BYTES = 16 << 20
"""The largest log. People read it beside the report, where older lines are of no use."""
NODE_LIMIT_BYTES = 128 << 20
"""The most for all logs of one node together."""
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", re.ASCII)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def plain(name: str) -> bool:
    """Whether a name may become a file's: rule 1.

    >>> [plain(name) for name in ("store.log", "../history.jsonl", "/etc/passwd", ".hidden", "")]
    [True, False, False, False, False]
    """
    return _PLAIN.fullmatch(name) is not None


def write(run: Path, node: str, logs: Mapping[str, bytes]) -> list[str]:
    """Keep a node's logs in the run's folder.

    run: the folder, which exists. logs: contents by name. Returns what was not kept and why, a sentence each.
    """
    if not plain(node):
        return [f"no log of node {shown(node)} is kept: its name is not plain"]
    notes, kept_bytes = [], 0
    try:
        folder = _opened(run, "nodes", node)
    except OSError as problem:
        return [f"no log of {node} is kept: {problem.strerror or problem}"]
    try:
        for number, (name, content) in enumerate(logs.items()):
            if number == LOGS_LIMIT:
                notes.append(f"{len(logs) - LOGS_LIMIT} logs of {node} are not kept: it names {len(logs)}")
                break
            if not plain(name):
                notes.append(f"a log of {node} is not kept: {shown(name)} is no plain name")
            elif kept_bytes + len(content) > NODE_LIMIT_BYTES or len(content) > LOG_LIMIT_BYTES:
                notes.append(f"log {name} of {node} is not kept: its {len(content):,} bytes are too many")
            else:
                kept_bytes += len(content)
                notes += _kept(folder, node, name, content)
    finally:
        os.close(folder)
    return notes


def shown(name: str) -> str:
    """A name for a message, whatever it holds: quoted, escaped and cut."""
    return ascii(name[:40] + "..." if len(name) > 40 else name)


def _opened(run: Path, *names: str) -> int:
    """A folder below the run's, made if it is missing, as a descriptor that no link led to."""
    folder = os.open(run, _FOLDER & ~os.O_NOFOLLOW)  # The run's own place is the user's to choose, links and all.
    for name in names:
        above = folder
        try:
            # It may be there, for another node; if it is no folder, opening it fails.
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=above)
            folder = os.open(name, _FOLDER, dir_fd=above)
        finally:
            os.close(above)
    return folder


def _kept(folder: int, node: str, name: str, content: bytes) -> list[str]:
    try:
        with os.fdopen(os.open(name, _NEW_FILE, 0o644, dir_fd=folder), "wb") as file:
            file.write(content)
    except OSError as problem:
        return [f"log {name} of {node} is not kept: {problem.strerror or problem}"]
    return []
