"""`make findings`: run every row, and write docs/findings.md with what came out.

    python -m tests.findings.table [ID...]     only these rows; the others stay as they are in the table
    python -m tests.findings.table --first     the first seed of each row alone
    python -m tests.findings.table --write     no run: the table anew, from the runs that there are

What a run came to is kept in docs/findings.jsonl, which is part of the repository, and is not done again: `make findings` goes
on where it was, on another day and another machine too. Remove that file to begin anew. Histories and reports are in
runs/findings/.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from splitbrain.harness.suites.suite import RESULTS, CaseOutcome, go, read_outcomes
from splitbrain.harness.suites.suite_file import SuiteFile
from splitbrain.harness.terminal import Progress
from tests.findings.rows import Row, read_rows
from tests.findings.versions import versions

FOLDER = Path("runs/findings")
TABLE = Path("docs/findings.md")
KEPT = Path("docs/findings.jsonl")
HEAD = """\
# Found again

What others have published or documented of systems that people run, and what comes out here. Every row is a run in
containers on Debian's own packages: `make findings` does them all and writes this page, `pytest -m findings` holds each to
its verdict. No verdict is tuned: a row that does not come out as published says so, and why.

"""


def main(words: Sequence[str]) -> int:
    wanted = [word for word in words if not word.startswith("-")]
    rows = read_rows()
    if unknown := set(wanted) - {row.id for row in rows}:
        print(f"no row is called {', '.join(sorted(unknown))}; known: {', '.join(row.id for row in rows)}")
        return 64
    FOLDER.mkdir(parents=True, exist_ok=True)
    if KEPT.exists():
        keep(rows)  # What a killed run has done is in the folder alone.
        (FOLDER / RESULTS).write_bytes(KEPT.read_bytes())
    if "--write" not in words:
        most = 1 if "--first" in words else None
        chosen = [case for row in rows if not wanted or row.id in wanted for case in row.cases[:most]]
        with Progress(quiet=False) as progress:
            summary = go(SuiteFile(tuple(chosen)), FOLDER, progress)
        keep(rows)
        if summary.interrupted:
            return 130
    outcomes = {outcome.command: outcome for outcome in read_outcomes(FOLDER)}
    TABLE.write_text(page(rows, outcomes), "utf-8")
    print(f"wrote {TABLE}")
    failed = [each for row in rows for each in told(row, outcomes) if not each.passed]
    return 1 if failed else 0


def keep(rows: Sequence[Row]) -> None:
    """Keep what is known of the runs that the rows have today, in their order, each once."""
    known = {outcome.command: outcome for outcome in [*_kept(), *read_outcomes(FOLDER)]}
    wanted = dict.fromkeys(case.experiment.command for row in rows for case in row.cases)
    lines = [msgspec.json.encode(known[command]) + b"\n" for command in wanted if command in known]
    KEPT.write_bytes(b"".join(lines))


def _kept() -> list[CaseOutcome]:
    lines = KEPT.read_bytes().splitlines() if KEPT.exists() else []
    return [msgspec.json.decode(line, type=CaseOutcome) for line in lines]


def told(row: Row, outcomes: Mapping[str, CaseOutcome]) -> list[CaseOutcome]:
    """What its runs came to, those that were done."""
    return [outcomes[case.experiment.command] for case in row.cases if case.experiment.command in outcomes]


def page(rows: Sequence[Row], outcomes: Mapping[str, CaseOutcome]) -> str:
    """The page, in Markdown."""
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    lines = [HEAD, f"Last run on {date}.\n", "| system | published | came out here | |", "| --- | --- | --- | --- |"]
    for row in rows:
        found = told(row, outcomes)
        lines.append(
            f"| [{_cell(row.title)}](#{row.id}) | {_cell(row.published)} | {_counted(found)} | {_mark(row, found)} |"
        )
    known = versions(sorted({name for row in rows for name in row.made_of}))
    for row in rows:
        lines += [
            "",
            f"## {row.id}",
            "",
            f"{row.title}: {', '.join(known.get(name, name) for name in row.made_of)}.",
            "",
        ]
        lines += [f"Published: {row.published} ({row.source})", ""]
        found = told(row, outcomes)
        lines.append(f"Here: {_counted(found)}.{' ' + row.known if row.known else ''}")
        shown = next((each for each in found if each.witness), found[0] if found else None)
        if shown is not None:
            lines += ["", f"    {shown.command}", "", f"> {shown.reason}"]
            lines += [">", f"> {shown.witness}"] if shown.witness else []
    return "\n".join(lines) + "\n"


def _counted(found: Sequence[CaseOutcome]) -> str:
    if not found:
        return "not run"
    return ", ".join(
        f"{status} in {number} of {len(found)}"
        for status, number in Counter(each.status for each in found).most_common()
    )


def _mark(row: Row, found: Sequence[CaseOutcome]) -> str:
    if not found:
        return ""
    if row.known:
        return "not as published"
    return "as published" if all(each.passed for each in found) else "open"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
