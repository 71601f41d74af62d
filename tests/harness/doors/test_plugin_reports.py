"""What a pytest session leaves of its runs: paths at its end, properties in JUnit XML, links in pytest-html's page."""

from __future__ import annotations

import html
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

TEST = """
    import pytest

    @pytest.mark.jepsen(nodes=5, faults="partition", seed=7, time_limit_s=5)
    def test_siblings(cluster, record_property):
        record_property("verdict", "mine")
        cluster.run("sets", rate=30)
        cluster.run("registers", rate=30, faults=())

    @pytest.mark.jepsen(nodes=5, faults="partition", seed=7, time_limit_s=10)
    def test_last_write_wins(cluster):
        cluster.run("sets", rate=30, config={"conflicts": "lww"}).require_valid()

    def test_without_a_run():
        pass
"""


@pytest.fixture
def inner(pytester):
    pytester.makepyfile(TEST)
    return lambda *words: pytester.runpytest_subprocess("-p", "no:cacheprovider", *words)


def paths(told: str) -> list[Path]:
    return [
        Path(each)
        for each in re.findall(r"^(?:VALID|INVALID|UNKNOWN) +\w+  (runs/\S+/report\.html)$", told, re.MULTILINE)
    ]


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n", "2")])
def test_the_end_of_a_session_names_each_run_s_report_and_what_is_wrong_first(inner, pytester, workers):
    done = inner(*workers)
    done.assert_outcomes(passed=2, failed=1)
    told = done.stdout.str()
    assert len(paths(told)) == 3
    assert [path for path in paths(told) if not (pytester.path / path).is_file()] == []
    section = told[told.index("= splitbrain =") :].splitlines()[1:4]
    assert section[0].split()[:2] == ["INVALID", "sets"]
    assert sorted(line.split()[1] for line in section) == ["registers", "sets", "sets"]


def test_junit_xml_carries_each_run_s_verdict_report_and_replay_line(inner, pytester):
    inner("--junit-xml=junit.xml")
    cases = {case.get("name"): case for case in ET.parse(pytester.path / "junit.xml").iter("testcase")}
    told = {
        name: [(each.get("name"), each.get("value")) for each in case.iter("property")] for name, case in cases.items()
    }
    assert told["test_without_a_run"] == []
    assert [name for name, _ in told["test_siblings"]] == ["verdict"] + ["splitbrain.workload", "splitbrain.verdict", "splitbrain.report", "splitbrain.replay"] * 2  # fmt: skip
    failed = dict(told["test_last_write_wins"])
    assert failed["splitbrain.verdict"] == "invalid"
    assert re.fullmatch(r"splitbrain run sets .*--seed 7 .*--config conflicts=lww", failed["splitbrain.replay"])
    assert Path(failed["splitbrain.report"]).is_file()


def test_pytest_html_links_the_reports_from_where_its_page_is(inner, pytester):
    pytest.importorskip("pytest_html")
    inner("--html=out/page.html", "--self-contained-html")
    page = (pytester.path / "out" / "page.html").read_text()
    data = json.loads(html.unescape(re.search(r'data-jsonblob="([^"]*)"', page)[1]))
    links = [
        (extra["name"], extra["content"]) for runs in data["tests"].values() for run in runs for extra in run["extras"]
    ]
    assert sorted(name for name, _ in links) == ["registers valid", "sets invalid", "sets valid"]
    assert [link for _, link in links if not (pytester.path / "out" / link).is_file()] == []


def test_a_session_without_runs_says_nothing_of_them(inner):
    assert "splitbrain" not in inner("-k", "test_without_a_run", "-q", "--no-header").stdout.str()
