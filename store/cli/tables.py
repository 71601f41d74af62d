"""Tables: what a person sees of a cluster, from the reports that programs get.

1. A table is data: a title, column names and cells. `draw` alone renders it: with colours and boxes on a terminal, as
   aligned text that is never cut off into a file or a pipe.
2. What a node reports and this version doesn't know is shown as it is. What it doesn't report is left out.
3. Cells come from other machines: unprintable characters are escaped, and markup is not interpreted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

VERBOSE = ("config", "merkle")
"""Parts of a status that fill a screen, shown with `--verbose` only."""
BY_COLUMN = ("ring", "merkle")


@dataclass(frozen=True)
class Table:
    """A table as data. title: "" for none. rows: each with one cell a column."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table of anything; None is an empty cell."""
    return Table(title, tuple(columns), tuple(tuple(cell(value) for value in row) for row in rows))


def cell(value: object) -> str:
    """A value as a line of printable characters."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, list | tuple):
        return ", ".join(map(cell, value)) or "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{cell(name)}={cell(each)}" for name, each in value.items()) or "-"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))


def draw(tables: Iterable[Table]) -> None:
    """Render tables to standard output."""
    drawn = [each for each in tables if each.rows]
    if sys.stdout.isatty():
        _draw_rich(drawn)
    elif drawn:
        print("\n\n".join(map(_plain, drawn)))


def status_tables(report: Mapping[str, Any], *, verbose: bool) -> list[Table]:
    """A node's status: what it is, then each of its parts."""
    shown = {name: part for name, part in report.items() if verbose or name not in VERBOSE}
    single = {name: part for name, part in shown.items() if not isinstance(part, Mapping)}
    config = report.get("config", {})
    quorum = {name: config[name] for name in ("n", "r", "w") if name in config}
    tables = [table("node", ("", ""), {**single, **quorum}.items())]
    for name, part in shown.items():
        if isinstance(part, Mapping):
            tables += _part(name.replace("_", " "), part)
    return tables


def _part(title: str, part: Mapping[str, Any]) -> list[Table]:
    """One part of a status: its single values, then its values by node."""
    single = {name: value for name, value in part.items() if not isinstance(value, Mapping)}
    nested = {name: value for name, value in part.items() if isinstance(value, Mapping)}
    tables = [table(title, ("", ""), single.items())] if single else []
    if not nested:
        return tables
    if set(nested) == {"nodes"}:  # balance: rows within rows
        return [*tables, matrix("" if single else title, nested["nodes"])]
    # Ring and trees map nodes or partitions for each of their columns; other parts have columns for each of their rows.
    return [*tables, matrix("" if single else title, _turned(nested) if title in BY_COLUMN else nested)]


def matrix(title: str, rows: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row for each name; a column for everything that any row has."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    return table(title, ("", *columns), ([name, *map(row.get, columns)] for name, row in rows.items()))


def _turned(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    return {name: {title: column.get(name) for title, column in columns.items()} for name in names}


def _plain(each: Table) -> str:
    lines = [row for row in (each.columns, *each.rows) if any(row)]
    widths = [max(len(row[i]) for row in lines) for i in range(len(each.columns))]
    text = ["  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip() for row in lines]
    return "\n".join([each.title, *text] if each.title else text)


def _draw_rich(tables: Iterable[Table]) -> None:
    # Slow to import, and needed only on a terminal.
    from rich.console import Console
    from rich.table import Table as Drawing
    from rich.text import Text

    console = Console()
    for each in tables:
        title = Text(each.title) if each.title else None
        drawing = Drawing(title=title, title_justify="left", show_header=any(each.columns))
        for name in each.columns:
            drawing.add_column(Text(name), overflow="fold")
        for row in each.rows:
            drawing.add_row(*(Text(value, style=_style(value)) for value in row))
        console.print(drawing)


def _style(value: str) -> str:
    return {"suspected": "red", "gone": "red", "leaving": "yellow", "out of balance": "yellow"}.get(value, "")
