"""Coverage by folder, as the table in CONTRIBUTING.md has it: `make coverage`, or `python -m tests.coverage_by_folder`.

A folder's share is that of its own statements, without those of the folders in it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any


def table(report: Mapping[str, Any]) -> list[str]:
    """The lines of the table. report: what `coverage json` writes."""
    statements: Counter[str] = Counter()
    covered: Counter[str] = Counter()
    for name, file in report["files"].items():
        folder = PurePath(name).parent.as_posix()
        statements[folder] += file["summary"]["num_statements"]
        covered[folder] += file["summary"]["covered_lines"]
    rows = [
        (f"`{folder}/`", covered[folder], statements[folder]) for folder in sorted(statements) if statements[folder]
    ]
    rows.append(("all", covered.total(), statements.total()))
    head = ["| folder | statements | covered |", "| --- | --- | --- |"]
    return [*head, *(f"| {name} | {of:,} | {part / of:.1%} |" for name, part, of in rows)]


def main() -> int:
    command = [sys.executable, "-m", "coverage", "json", "--quiet", "-o", "-"]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"no coverage to tell of ({done.stdout.strip() or done.stderr.strip()}); run `make coverage`")
        return 1
    print("\n".join(table(json.loads(done.stdout))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
