"""SECURITY.md and the decisions name files that exist, and the index of decisions all of them."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
PAPERS = [ROOT / "SECURITY.md", ROOT / "docs" / "decisions" / "README.md", *DECISIONS]
FLOORS = ("checkers", "docker", "docs", "examples", "harness", "store", "tests", "workloads")
PLACE = re.compile(rf"`((?:{'|'.join(FLOORS)})/[\w./-]*)`")
SECTIONS = ["Context", "Decision", "Consequences", "Measured"]


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_every_place_a_paper_names_is_there(paper):
    assert [place for place in PLACE.findall(paper.read_text()) if not (ROOT / place).exists()] == []


def test_the_papers_point_at_code():
    assert len(PLACE.findall((ROOT / "SECURITY.md").read_text())) > 20


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda decision: decision.name)
def test_a_decision_has_its_sections_and_its_date(decision):
    text = decision.read_text()
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert re.match(rf"# {int(decision.name[:4])}\. .+\n\nTaken \d{{4}}-\d\d-\d\d\.\n", text)


def test_the_index_names_every_decision_with_its_date():
    index = (DECISIONS[0].parent / "README.md").read_text()
    listed = re.findall(r"^\| \[(\d+)\]\((.+\.md)\) \| .+ \| ([\d-]+) \|$", index, re.MULTILINE)
    dates = {paper.name: re.findall(r"^Taken (.*)\.$", paper.read_text(), re.MULTILINE) for paper in DECISIONS}
    assert [(name, [date]) for _, name, date in listed] == list(dates.items())
    assert [int(number) for number, _, _ in listed] == list(range(1, len(DECISIONS) + 1))


def test_the_version_is_the_same_in_the_package_the_changelog_and_the_citation():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    newest = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    (cited,) = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert (newest, cited) == (version, version)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name
)
def test_what_a_page_imports_of_splitbrain_is_there(page):
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert {module.split(".")[0] for module in modules}.isdisjoint(FLOORS), ast.unparse(node)
            if any(module.split(".")[0] == "splitbrain" for module in modules):
                exec(ast.unparse(node), {})
