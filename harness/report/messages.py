"""Messages: what the message log of a run tells, by who talked to whom and by type.

1. Who talked is clients with nodes, nodes with each other, or nodes with the system's own hosts.
2. A message that was sent and neither arrived nor was read was lost: on a link that was cut, or otherwise.
3. A log whose last line was cut off is read up to there. Rows are bounded, and those that are left out are counted.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from splitbrain.harness.processes.message_log import NAME
from splitbrain.harness.sealed_files import NoSuchFile, opened

ROWS_LISTED = 40
BETWEEN = "between nodes"
CLIENTS = "clients and nodes"
OTHERS = "nodes and services"


class _Line(msgspec.Struct):
    """A line of the log, as far as it is counted."""

    event: str
    id: int = 0
    src: str = ""
    dest: str = ""
    body: msgspec.Raw = msgspec.Raw(b"{}")
    cut: bool = False
    name: str = ""


class _Typed(msgspec.Struct):
    """A body's type."""

    type: str = ""


@dataclass(slots=True)
class MessageRow:
    """Messages of one type on one kind of path. again: arrivals beyond the first. unread: nobody was there to read."""

    path: str
    type: str
    sent: int = 0
    cut: int = 0
    lost: int = 0
    unread: int = 0
    again: int = 0


@dataclass(slots=True)
class Messages:
    """The messages of a run: rows by number sent, how many rows are left out, and how many passed between nodes."""

    rows: list[MessageRow] = field(default_factory=list)
    rows_left: int = 0
    between: int = 0


def messages(folder: Path, nodes: Collection[str]) -> Messages | None:
    """What the log in a run's folder tells; None if there is none. O(n) in its lines, about 1 us each.

    nodes: their names.
    """
    try:
        file = opened(folder, NAME)
    except NoSuchFile:
        return None
    rows: dict[tuple[str, str], MessageRow] = {}
    under_way: dict[int, tuple[MessageRow, bool]] = {}
    arrived: set[int] = set()
    clients: set[str] = set()
    decode = msgspec.json.Decoder(_Line).decode
    with file:
        for text in file:
            try:
                line = decode(text)
            except msgspec.MsgspecError:
                continue
            match line.event:
                case "client":
                    clients.add(line.name)
                case "send":
                    path = _path({line.src, line.dest}, nodes, clients)
                    kind = _type(line.body)
                    row = rows.setdefault((path, kind), MessageRow(path, kind))
                    row.sent += 1
                    under_way[line.id] = row, line.cut
                case "receive" | "unread" if line.id in under_way:
                    row = under_way[line.id][0]
                    row.unread += line.event == "unread"
                    row.again += line.id in arrived
                    arrived.add(line.id)
    for number, (row, cut) in under_way.items():
        if number not in arrived:
            row.cut += cut
            row.lost += not cut
    ordered = sorted(rows.values(), key=lambda row: (-row.sent, row.path, row.type))
    between = sum(row.sent for row in ordered if row.path == BETWEEN)
    return Messages(ordered[:ROWS_LISTED], len(ordered[ROWS_LISTED:]), between)


def _path(ends: set[str], nodes: Collection[str], clients: Collection[str]) -> str:
    if ends <= set(nodes):
        return BETWEEN
    return CLIENTS if ends & set(clients) else OTHERS


def _type(body: msgspec.Raw) -> str:
    try:
        return msgspec.json.decode(body, type=_Typed).type[:60]
    except msgspec.MsgspecError:
        return ""
