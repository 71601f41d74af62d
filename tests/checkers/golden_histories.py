"""Golden histories by the name of their folder and file."""

from __future__ import annotations

from pathlib import Path

from splitbrain.checkers.histories.history import History

GOLDEN = Path(__file__).parent / "golden"


def load(name: str) -> History:
    """The history of that name: `sessions/distinct-flicker`."""
    with (GOLDEN / f"{name}.jsonl").open("rb") as lines:
        return History.parse(lines)


def names_in(folder: str) -> set[str]:
    """The names of all golden histories in a folder."""
    return {f"{folder}/{path.stem}" for path in (GOLDEN / folder).glob("*.jsonl")}
