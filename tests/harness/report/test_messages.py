"""The report's table of messages counts what the log has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from splitbrain.harness.report.folder import write
from splitbrain.harness.report.messages import ROWS_LISTED, MessageRow, messages

NODES = ("n1", "n2")


def logged(folder: Path, *lines: dict[str, Any] | str) -> None:
    texts = [line if isinstance(line, str) else json.dumps({"at_ns": 1, **line}) + "\n" for line in lines]
    (folder / "messages.jsonl").write_text("".join(texts))


def sent(number: int, src: str, dest: str, kind: Any = "tell", **more: Any) -> dict[str, Any]:
    return {"event": "send", "id": number, "src": src, "dest": dest, "body": {"type": kind}, **more}


def test_each_message_is_counted_by_who_talked_and_by_what_became_of_it(tmp_path: Path) -> None:
    logged(
        tmp_path,
        {"event": "client", "name": "c1", "user": "process 0"},
        sent(1, "c1", "n1", "read"),
        {"event": "receive", "id": 1},
        sent(2, "n1", "n2"),
        {"event": "receive", "id": 2},
        {"event": "receive", "id": 2},
        sent(3, "n1", "n2", cut=True),
        sent(4, "n2", "n1"),
        {"event": "damaged", "src": "n2"},
        sent(5, "n2", "n1"),
        {"event": "unread", "id": 5},
        sent(6, "n1", "lin-kv", "write"),
        {"event": "receive", "id": 6},
        sent(7, "n1", "n2", ["no", "word"]),
        '{"at_ns": 2, "event": "rece',
    )
    found = messages(tmp_path, NODES)
    assert found is not None
    assert found.rows == [
        MessageRow("between nodes", "tell", sent=4, cut=1, lost=1, unread=1, again=1),
        MessageRow("between nodes", "", sent=1, lost=1),
        MessageRow("clients and nodes", "read", sent=1),
        MessageRow("nodes and services", "write", sent=1),
    ]
    assert (found.between, found.rows_left) == (5, 0)


def test_rare_types_are_left_out_and_counted(tmp_path: Path) -> None:
    logged(tmp_path, *(sent(number, "n1", "n2", f"t{number % 50}") for number in range(60)))
    found = messages(tmp_path, NODES)
    assert found is not None
    assert (len(found.rows), found.rows_left, found.between) == (ROWS_LISTED, 50 - ROWS_LISTED, 60)
    assert {row.sent for row in found.rows[:10]} == {2}


def test_a_run_without_a_log_has_no_such_table(tmp_path: Path) -> None:
    assert messages(tmp_path, NODES) is None


def test_the_page_shows_the_table_where_there_is_a_log(sample: Any, tmp_path: Path) -> None:
    folder = sample.sets(seconds=8).write(tmp_path / "run")
    assert 'id="messages"' not in write(folder).read_text()
    logged(folder, sent(1, "n1", "n2", "<b>tell</b>"))
    page = write(folder).read_text()
    assert 'id="messages"' in page
    assert "<code>&lt;b&gt;tell&lt;/b&gt;</code>" in page
