"""The documents name files, folders and modules that exist."""

from __future__ import annotations

import re

import pytest

from tests.house import FLOORS, ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BASES = [ROOT, *(ROOT / package for package in FLOORS)]
"""Where a path may begin: a table about one package names its files from there."""

QUOTED = re.compile(r"`([\w.*-]+(?:/[\w.*-]+)*(?:/|\.py))`")
"""In backquotes, a folder with its slash or a Python file."""
ROOTED = re.compile(
    r"(?<![\w./-])(?:store|checkers|harness|workloads|tests|docs|docker|benchmarks|examples)/[\w./*-]*\w"
)
"""Anywhere, what begins with a folder of the repository."""
LINKED = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")
MADE = {"anomalies.md", "gallery.md"}
"""Pages that are made when the site is built: `test_docs_site.py` looks that the links to them lead there."""
RUN = re.compile(r"python -m ([\w.]+)")


def names(text: str) -> set[str]:
    """The paths that a document names, links apart."""
    return {*QUOTED.findall(text), *ROOTED.findall(text)}


def exists(path: str) -> bool:
    return any(any(base.glob(path.rstrip("/"))) for base in BASES)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_that_a_document_names_exists(document):
    missing = sorted(path for path in names(document.read_text()) if not exists(path))
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_links_to_exists(document):
    links = LINKED.findall(document.read_text())
    assert [link for link in links if link not in MADE and not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_module_that_a_document_has_one_run_exists(document):
    modules = [
        name
        for name in RUN.findall(document.read_text())
        if name.split(".")[0] in {"splitbrain", "tests", "benchmarks"}
    ]
    assert [name for name in modules if not (ROOT / f"{name.replace('.', '/')}.py").exists()] == []


def test_the_paths_of_a_text_are_found():
    text = "See `node.py`, `versions/`, store/ring/ring.py, grep store/*.py; not jepsen/store/latest or `I/O`."
    assert names(text) == {"node.py", "versions/", "store/ring/ring.py", "store/*.py"}
    assert not exists("store/no_such_file.py")


def test_the_paper_s_page_names_the_files_of_every_room_of_the_store():
    named = names((ROOT / "docs" / "dynamo.md").read_text())
    rooms = {path.parent.name for path in (ROOT / "store").glob("*/*.py")} - {"cli"}
    assert {room for room in rooms if not any(f"store/{room}/" in path for path in named)} == set()
