"""What no command may do, whatever it is given to run."""

from __future__ import annotations

import re
from pathlib import Path

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters and marks of direction. Lines and tabs are the command's own."""


def files_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder and every link, by path: its mode and content, or where it leads."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path)] = (-1, str(path.readlink()).encode())
        elif path.is_file():
            found[str(path)] = (path.stat().st_mode, path.read_bytes())
    return found


def kept(
    code: int,
    output: str,
    errors: str,
    before: dict[str, tuple[int, bytes]],
    after: dict[str, tuple[int, bytes]],
    runs: Path,
) -> None:
    """Fails if a promise was broken. before, after: what there was around the command; runs: where it may write."""
    told = any(line.startswith("VALID: ") for line in output.splitlines()[:1])
    assert (code == 0) == told, f"exit code {code}, and it printed: {output[:200]}"
    assert code in (0, 1, 2, 3, 64, 130)
    everything = output + errors
    assert "Traceback (most recent call last)" not in everything, everything
    assert not _UNSEEN.search(everything), repr(everything)
    assert code in (0, 1) or everything.strip(), "it said nothing"
    written = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    outside = {path for path in written if not Path(path).is_relative_to(runs)}
    assert not outside, f"written outside of {runs}: {outside}"
