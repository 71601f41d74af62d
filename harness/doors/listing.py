"""What `splitbrain list` shows: everything that can be named on the command line, with what it is.

1. A package that can't be imported is named with the reason, and the others are shown all the same.
2. A workload says which interface it needs, a system which ones it offers: those that match can be run together.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from splitbrain.checkers.registry import find
from splitbrain.checkers.registry import names as checker_names
from splitbrain.harness.catalogue import SYSTEMS, WORKLOADS, UnknownName, names, system, workload
from splitbrain.harness.nemesis import catalogue as faults
from splitbrain.harness.running.environments import ENVIRONMENTS
from splitbrain.harness.running.interrupts import interrupting, located
from splitbrain.harness.system import defects_of

WIDTH_MOST = 120
"""Wider lines are hard to read, and a pipe has no width."""


@dataclass
class Listing:
    """Everything there is. sections: title -> entries, each by its fields. broken: those that can't be had, and why."""

    sections: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    broken: list[dict[str, str]] = field(default_factory=list)

    @classmethod
    def collect(cls) -> Listing:
        """Look everything up. A broken package raises nothing here."""
        listing = cls()
        listing.sections = {
            "workloads": listing._loaded("workload", names(WORKLOADS), _of_workload),
            "systems": listing._loaded("system", names(SYSTEMS), _of_system),
            "faults": _described(faults()),
            "environments": _described({name: kind.summary for name, kind in ENVIRONMENTS.items()}),
            "checkers": listing._loaded("checker", list(checker_names()), _of_checker),
        }
        return listing

    def _loaded(self, kind: str, known: list[str], entry: Callable[[str], dict[str, Any]]) -> list[dict[str, Any]]:
        entries = []
        for name in known:
            try:
                entries.append(entry(name))
            except BaseException as problem:  # Importing it runs foreign code, which may raise anything.
                if interrupting(problem):
                    raise
                known_why = isinstance(problem, UnknownName)
                reason = str(problem) if known_why else f"{located(problem)}; correct its package"
                self.broken.append({"kind": kind, "name": name, "reason": reason})
        return entries

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**self.sections, "broken": self.broken}

    def lines(self) -> list[str]:
        """For people, in columns as wide as the terminal allows."""
        width = min(WIDTH_MOST, shutil.get_terminal_size((WIDTH_MOST, 24)).columns)
        lines = []
        for title, entries in self.sections.items():
            lines += [title, *_table([_row(entry) for entry in entries], width), ""]
        for entry in self.sections["systems"]:
            rows: list[tuple[str, ...]] = [(name, defect["summary"]) for name, defect in entry["defects"].items()]
            lines += [f"defects of {entry['name']}", *_table(rows, width), ""] if rows else []
        for each in self.broken:
            lines.append(f"! {each['kind']} {each['name']} can't be loaded: {each['reason']}")
        return lines if self.broken else lines[:-1]


def _of_workload(name: str) -> dict[str, Any]:
    found = workload(name)
    return {"name": name, "needs": found.interface, "summary": found.summary, "config": dict(found.config)}


def _of_system(name: str) -> dict[str, Any]:
    found = system(name)
    return {
        "name": name,
        "offers": sorted(found.interfaces),
        "config": dict(found.config),
        "defects": {defect: asdict(mutant) for defect, mutant in defects_of(found).items()},
    }


def _of_checker(name: str) -> dict[str, Any]:
    return {"name": name, "summary": find(name).summary}


def _described(entries: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "summary": summary} for name, summary in entries.items()]


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    cells = [str(entry["name"])]
    if "needs" in entry:
        cells.append(f"needs {entry['needs']}")
    if "offers" in entry:
        cells.append(f"offers {', '.join(entry['offers'])}")
    if "summary" in entry:
        cells.append(str(entry["summary"]))
    return tuple(cells)


def _table(rows: list[tuple[str, ...]], width: int) -> list[str]:
    """Rows in columns; what is too long for the last one goes on below its beginning."""
    lines = []
    widths = [max(16, *(len(row[at]) for row in rows)) for at in range(max(map(len, rows), default=1) - 1)]
    for row in rows:
        head = "  ".join(cell.ljust(size) for cell, size in zip(row[:-1], widths, strict=False))
        begin = f"  {head}  " if head else "  "
        below = " " * len(begin)
        wrapped = textwrap.wrap(row[-1], max(width, len(begin) + 20), initial_indent=begin, subsequent_indent=below)
        lines += wrapped or [begin.rstrip()]
    return lines
