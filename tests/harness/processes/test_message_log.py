"""The message log has a line for each thing that happened to a message, and is bounded."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from splitbrain.harness.processes import message_log
from splitbrain.harness.processes.message_log import MessageLog


def test_each_event_is_a_line_with_its_time(tmp_path: Path) -> None:
    log = MessageLog(tmp_path / "messages.jsonl")
    log.note(0.5, "send", id=1, src="n1", dest="n2", body=msgspec.Raw(b'{"type":"x"}'))
    log.note(0.501, "receive", id=1)
    before = (tmp_path / "messages.jsonl").read_bytes()
    log.close()
    assert (tmp_path / "messages.jsonl").read_bytes() == before
    log.note(0.6, "receive", id=1)  # Too late: what is closed stays as it is.
    lines = [msgspec.json.decode(line) for line in (tmp_path / "messages.jsonl").read_bytes().splitlines()]
    assert lines == [
        {"at_ns": 500_000_000, "event": "send", "id": 1, "src": "n1", "dest": "n2", "body": {"type": "x"}},
        {"at_ns": 501_000_000, "event": "receive", "id": 1},
    ]


def test_a_log_that_is_full_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_log, "LIMIT_BYTES", 200)
    log = MessageLog(tmp_path / "messages.jsonl")
    for number in range(100):
        log.note(0.0, "receive", id=number)
    log.close()
    lines = (tmp_path / "messages.jsonl").read_text().splitlines()
    assert lines[-1] == '{"event":"full"}'
    assert 2 < len(lines) < 10
    assert all("receive" in line for line in lines[:-1])


def test_a_log_that_can_not_be_written_ends_and_disturbs_nobody() -> None:
    log = MessageLog(Path("/dev/full"))
    for number in range(3):
        log.note(0.0, "receive", id=number)
    log.close()


def test_nothing_is_kept_without_a_path() -> None:
    log = MessageLog(None)
    log.note(0.0, "receive", id=1)
    log.close()
