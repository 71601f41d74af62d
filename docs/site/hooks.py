"""What is made when the site is built: the page of anomalies with their histories, and the gallery with its reports.

1. What the pages link to in the repository, outside of docs/, is either a page of the site or no link at all.
2. `SPLITBRAIN_GALLERY=0` leaves the runs of the gallery out, for who writes pages and builds the site again and again.
3. The site needs no network: the theme's shim, by which a page on `file://` can be searched, is a file of it.
"""

from __future__ import annotations

import os
import posixpath
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from docs.site.anomalies import ANOMALIES
from docs.site.drawing import drawn
from docs.site.gallery import EXHIBITS, shown

ROOT = Path(__file__).parents[2]
TAKEN = {"README.md": "readme.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md",
         "SECURITY.md": "security-policy.md", "examples/README.md": "examples.md"}  # fmt: skip
"""Documents outside of docs/ that are pages of the site, by the names that they have there."""
VENDORED = Path(__file__).parent / "vendored"
_ELSEWHERE, _SHIM = "https://unpkg.com/iframe-worker/shim", "assets/iframe-worker.js"
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add what is made."""
    for name, content in _made(gallery=os.environ.get("SPLITBRAIN_GALLERY") != "0"):
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Rule 1."""
    source = next((name for name, target in TAKEN.items() if target == page.file.src_uri), f"docs/{page.file.src_uri}")

    def led(match: re.Match[str]) -> str:
        words, link = match.groups()
        path, mark, part = link.partition("#")
        if not path or re.match(r"\w+:", path):
            return match[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        inside = TAKEN.get(target, target.removeprefix("docs/"))
        if files.get_file_from_path(inside) is None:
            return words
        here = posixpath.relpath(inside, posixpath.dirname(page.file.src_uri) or ".")
        return f"{match[0][: match.start(2) - match.start()]}{here}{mark}{part})"

    return _IMAGE.sub(led, _LINK.sub(led, markdown))


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Rule 3."""
    return output.replace(_ELSEWHERE, posixpath.relpath(_SHIM, posixpath.dirname(page.url) or "."))


def on_post_template(output_content: str, template_name: str, config: Any) -> str:
    """Rule 3, for the page of addresses that are none."""
    return output_content.replace(_ELSEWHERE, _SHIM)


def _made(*, gallery: bool) -> Iterator[tuple[str, str | bytes]]:
    for source, target in TAKEN.items():
        yield target, (ROOT / source).read_text(encoding="utf-8")
    yield _SHIM, (VENDORED / "iframe-worker.js").read_bytes()
    yield f"{_SHIM}.LICENSE", (VENDORED / "iframe-worker.LICENSE").read_bytes()
    yield "anomalies.md", _anomalies()
    for anomaly in ANOMALIES:
        yield f"anomalies/{anomaly.slug}.jsonl", anomaly.lines()
    yield from _gallery(made=gallery)


def _anomalies() -> str:
    parts = [
        "# Anomalies, drawn",
        "The smallest history for each, as its checker judges it. Filled: the operations that the witness tells of. In "
        "transactions `x+1` appends 1 to the list `x`, and `x=[1]` reads it so. An arrow says which transaction must "
        "come before which, and why. ww: the later one overwrote what the earlier one wrote. wr: it read that. rw: it "
        "overwrote what the earlier one had read.",
    ]
    for anomaly in ANOMALIES:
        verdict = anomaly.verdict()
        witness = verdict.witness
        assert witness is not None, anomaly.title
        told = "\n".join(
            f"    {line}" for each in (verdict.reason, *witness.text.splitlines()) for line in _wrapped(each)
        )
        parts.append(
            f"## {anomaly.title}\n\n{anomaly.says} Described by {anomaly.source}; judged by "
            f"[`{anomaly.checker}`](checkers.md).\n\n"
            f"{drawn(anomaly.history(), verdict, f'{anomaly.title}: {verdict.reason}')}\n\n{told}\n\n"
            f"`{anomaly.command}` ([the history](anomalies/{anomaly.slug}.jsonl))"
        )
    return "\n\n".join(parts) + "\n"


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, 80, subsequent_indent="    ") or [""]


def _gallery(*, made: bool) -> Iterator[tuple[str, str | bytes]]:
    rows = ["| run | verdict | what one sees | the same again |", "| --- | --- | --- | --- |"]
    for exhibit in EXHIBITS if made else ():
        result, page = shown(exhibit)
        if result.status != exhibit.verdict:
            raise RuntimeError(f"{exhibit.name} is {result.status}, not {exhibit.verdict}: {result.reason}")
        yield f"reports/{exhibit.name}.html", page
        link = f'<a href="reports/{exhibit.name}.html">{exhibit.name}</a>'
        rows.append(f"| {link} | **{result.status}** | {exhibit.says} | `{result.command}` |")
    words = (
        "Reports of runs that were done when these pages were built, in simulation: the commands give the same, byte "
        "for byte. Each report is one file that needs no network."
        if made
        else "The runs of the gallery were left out of this build."
    )
    yield "gallery.md", "\n".join(["# Gallery", "", words, "", *(rows if made else [])]) + "\n"
