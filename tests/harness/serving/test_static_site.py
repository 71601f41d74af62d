"""The pages as files: every link leads to a file that is there, and nothing is left out in silence."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import unquote, urlsplit

import pytest

from splitbrain.harness.running.experiment import UsageProblem
from splitbrain.harness.serving import static_site
from splitbrain.harness.serving.static_site import write_site
from tests.harness.serving.conftest import results


@pytest.fixture
def some(make):
    make("sets/20261101T000000Z", {"seed": 1}, results("invalid"))
    make("sets/20261102T000000Z", {"seed": 2}, results())
    make("sets/20261103T000000Z", {"seed": 3}, results())
    make("sets/20261104T000000Z", {"seed": 4, "faults": ["partition"]}, results())
    make("bank/a folder with <odd> & 100% names#x", {"workload": "bank"}, results("unknown"))


def links(page: str) -> set[str]:
    """Where a page leads, without the parts of pages."""
    found = {unquote(urlsplit(unescape(each)).path) for each in re.findall(r'(?:href|src|action)="([^"]*)"', page)}
    return {each for each in found if each and not each.startswith(",")}


def test_every_link_of_every_page_leads_to_a_file(some, root, tmp_path):
    site = write_site([root], tmp_path / "site")
    assert (site.home, site.runs, site.without_report) == (tmp_path / "site" / "index.html", 5, 0)
    pages = [path for path in (tmp_path / "site").rglob("*.html") if path.name != "report.html"]
    assert len(pages) == 5, "runs, campaigns, suites, and two pairs"
    for path in pages:
        assert [each for each in links(path.read_text()) if not (path.parent / each).is_file()] == []


def test_a_run_is_beside_the_one_before_of_the_same_faults(some, root, tmp_path):
    write_site([root], tmp_path / "site")
    pairs = {
        tuple(re.findall(r'<a href="[^"]*">(runs/sets/\d+T\d+Z)</a>', path.read_text()))
        for path in (tmp_path / "site" / "compare").iterdir()
    }
    assert pairs == {
        ("runs/sets/20261101T000000Z", "runs/sets/20261102T000000Z"),
        ("runs/sets/20261102T000000Z", "runs/sets/20261103T000000Z"),
    }


def test_reports_are_those_of_failures_first_and_what_is_left_out_is_counted(some, root, tmp_path, monkeypatch):
    monkeypatch.setattr(static_site, "REPORTS", 2)
    site = write_site([root], tmp_path / "site")
    assert site.without_report == 3
    there = {path.parent.name for path in (tmp_path / "site" / "runs").rglob("report.html")}
    assert there == {"20261101T000000Z", "a folder with <odd> & 100% names#x"}
    assert len(re.findall(r'href="runs/[^"]*/report.html"', site.home.read_text())) == 2


def test_the_site_of_the_same_runs_is_the_same_byte_for_byte(some, root, tmp_path):
    for name in ("one", "other"):
        write_site([root], tmp_path / name)
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert [
        name for name in files if (tmp_path / "one" / name).read_bytes() != (tmp_path / "other" / name).read_bytes()
    ] == []


def test_a_folder_that_can_t_be_written_is_refused_in_a_line(some, root, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        UsageProblem, match=r"can't write .*file \(Not a directory\); give another folder with --static"
    ):
        write_site([root], tmp_path / "file")
