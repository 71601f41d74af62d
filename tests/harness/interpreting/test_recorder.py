from __future__ import annotations

from pathlib import Path

import pytest

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from splitbrain.harness.interpreting.recorder import HistoryWriter


def test_a_line_can_be_read_before_the_file_is_closed(tmp_path: Path) -> None:
    writer = HistoryWriter(tmp_path / "history.jsonl")
    event = Event(0, 5, 1, "invoke", "read", "k", None, "n1")
    writer.write(event)
    with (tmp_path / "history.jsonl").open("rb") as lines:
        assert list(History.parse(lines).events) == [event]
    writer.close()
    writer.close()


def test_a_history_is_never_written_over(tmp_path: Path) -> None:
    HistoryWriter(tmp_path / "history.jsonl").close()
    with pytest.raises(FileExistsError):
        HistoryWriter(tmp_path / "history.jsonl")
