"""`splitbrain serve` and `splitbrain compare`: what is there of runs that are over, or under way."""

from __future__ import annotations

import json
from pathlib import Path

import click

from splitbrain.harness.doors import words
from splitbrain.harness.running.experiment import UsageProblem
from splitbrain.harness.terminal import printable, say

USUAL = ("runs", "campaigns", "suites")
"""Where the commands that make runs leave them."""
_WIDTH = 110


@click.command(cls=words.Command)
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on; others can read then.")
@click.option("--port", default=8760, show_default=True, type=words.Whole(0, 65_535), help="The port; 0 for any.")
@click.option("--static", type=click.Path(path_type=Path), metavar="DIR", help="Write the pages there, and serve none.")
def serve(folders: tuple[Path, ...], host: str, port: int, static: Path | None) -> None:
    """Show all runs in FOLDERS in a browser: by workload, system, faults and seed; two of them side by side; campaigns,
    suites, and runs under way.

    FOLDERS: those of runs/, campaigns/ and suites/ that are here by default.
    """
    roots = folders or tuple(Path(name) for name in USUAL if Path(name).is_dir())
    if not roots:
        raise UsageProblem(f"none of {', '.join(USUAL)} is here; name a folder with runs")
    from splitbrain.harness.serving import serve as serve_pages
    from splitbrain.harness.serving import write_site

    if static is not None:
        site = write_site(roots, static)
        left = f", {site.without_report:,} of them without a report" if site.without_report else ""
        say(f"{site.home}  ({site.runs:,} runs{left})")
        return
    serve_pages(roots, host, port, lambda address: say(f"{address}  (Ctrl-C ends it)"))


@click.command(cls=words.Command)
@click.argument("one", type=click.Path(path_type=Path))
@click.argument("other", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def compare(one: Path, other: Path, as_json: bool) -> None:
    """Set two runs' folders side by side: what differs in configuration, verdicts and figures, and the first event that
    does.
    """
    from splitbrain.harness.serving.comparison import compared
    from splitbrain.harness.serving.run_entry import read_entry
    from splitbrain.harness.serving.run_index import Found

    pair = []
    for folder in (one, other):
        if not any((folder / name).is_file() for name in ("run.json", "history.jsonl")):
            raise UsageProblem(f"{folder} is no run's folder; give one such as runs/latest")
        pair.append((read_entry(folder, ".", str(folder), 0.0), Found(folder, ".", str(folder))))
    found = compared(pair[0], pair[1])
    if as_json:
        say(json.dumps(found.as_dict()))
        return
    lines = [f"A  {found.one.verdict.upper()}  {one}", f"B  {found.other.verdict.upper()}  {other}"]
    for title, rows in (("configuration", found.settings), ("verdicts", found.verdicts), ("figures", found.figures)):
        lines += ["", f"{title}:" if rows else f"{title}: nothing differs"]
        lines += [_short(f"  {each.name}: {each.one or '-'} | {each.other or '-'}") for each in rows]
    lines.append("")
    parting = found.parting
    if found.without_history:
        lines.append(f"no history in {' and '.join(found.without_history)}")
    elif parting is None:
        lines.append(f"the histories are the same, line by line ({found.lines:,})")
    else:
        lines.append(f"the first event that differs is on line {parting.line:,} of history.jsonl:")
        lines += [_short(f"  A  {parting.one or 'has ended'}"), _short(f"  B  {parting.other or 'has ended'}")]
    say(printable("\n".join(lines)))


def _short(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"
