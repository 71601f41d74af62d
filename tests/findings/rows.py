"""The rows of rows.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from splitbrain.harness.suites.suite_file import Case, cases_of

ROWS = Path(__file__).with_name("rows.toml")
OWN = ("id", "made_of", "published", "source", "ci", "known")


@dataclass(frozen=True)
class Row:
    """One finding. cases: its runs, a seed each. ci: `make test` does the first of them too. known: why it does not come
    out as published; "" if it does.
    """

    id: str
    title: str
    made_of: tuple[str, ...]
    published: str
    source: str
    cases: tuple[Case, ...]
    ci: bool
    known: str


def read_rows() -> list[Row]:
    """All rows. Raises UsageProblem."""
    said = tomllib.loads(ROWS.read_text("utf-8"))
    rows = []
    for table in said["rows"]:
        runs = {key: value for key, value in {**said["defaults"], **table}.items() if key not in OWN}
        rows.append(
            Row(
                table["id"],
                table["title"],
                tuple(name.strip() for name in table["made_of"].split(",")),
                table["published"],
                table["source"],
                tuple(cases_of(ROWS, table["id"], runs)),
                table.get("ci", False),
                table.get("known", ""),
            )
        )
    return rows
