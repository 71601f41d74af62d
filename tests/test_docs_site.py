"""The site of the documents: it builds without a warning, needs no network, and shows what is so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

import splitbrain
from docs.site.anomalies import ANOMALIES, kind_of
from docs.site.drawing import drawn
from splitbrain import Outcome
from tests.house import ROOT

API = (ROOT / "docs" / "api.md").read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it."""
    for needed in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(needed)
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def test_every_page_loads_from_the_site_alone(site):
    """No font, script, style or picture of another host: what is only linked may be anywhere."""
    loads = re.compile(r"<(?:script|img|iframe|source|video|link)\b[^>]*?(?:src|href)=[\"']?((?:https?:)?//[^\"' >]+)")
    assert len(pages(site)) > 30
    assert {path.name: loads.findall(path.read_text()) for path in pages(site) if loads.search(path.read_text())} == {}
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert re.findall(r"url\([\"']?(?:https?:)?//", styles) == []


def test_every_document_is_a_page_in_the_navigation(site):
    home = (site / "index.html").read_text()
    named = {path.with_suffix(".html").name for path in (ROOT / "docs").glob("*.md")} - {"index.html"}
    assert {name for name in named if f'href="{name}"' not in home} == set()


def test_every_link_between_pages_leads_to_a_file(site):
    missing = set()
    for path in pages(site):
        if "reports" in path.parts:
            continue
        for link in re.findall(r'<a\b[^>]*?href="([^"#?]+)', path.read_text()):
            target = unescape(link)
            if (
                not re.match(r"\w+:", target)
                and path.name != "404.html"
                and not (path.parent / target).resolve().exists()
            ):
                missing.add((path.name, target))
    assert missing == set()


def test_the_gallery_has_reports_of_runs_that_came_out_as_it_says(site):
    page = (site / "gallery.html").read_text()
    rows = re.findall(r'<a href="(reports/[\w-]+\.html)">.*?<strong>(\w+)</strong>', page, re.DOTALL)
    assert {verdict for _, verdict in rows} == {"valid", "invalid"} and len(rows) == 7
    for name, verdict in rows:
        report = (site / name).read_text()
        assert f"<title>{verdict}: " in report
        command = re.search(r'<pre id="command">(.*?)</pre>', report)
        assert command is not None and f"<code>{command[1]}</code>" in page


def test_the_api_page_has_the_whole_public_face(site):
    said = re.findall(r"^::: ([\w.]+)$", API, re.MULTILINE)
    whole = {f"splitbrain.{home}.{name}" for name, home in splitbrain._HOME.items()} | {*splitbrain._MODULES.values()}
    assert sorted(said) == sorted(whole)
    page = (site / "api.html").read_text()
    assert {each for each in said if f'id="{each}"' not in page} == set()


@pytest.mark.parametrize("anomaly", ANOMALIES, ids=lambda anomaly: anomaly.slug)
def test_each_history_shows_the_anomaly_that_it_stands_for(anomaly):
    verdict = anomaly.verdict()
    assert (verdict.outcome, kind_of(verdict)) == (Outcome.INVALID, anomaly.kind), verdict.reason
    events = len(anomaly.lines().splitlines())
    assert events <= 12, "the smallest that shows it"
    drawing = drawn(anomaly.history(), verdict, anomaly.title)
    assert drawing.count("<rect") == len(anomaly.steps)
    assert 1 <= drawing.count('h-told"') + drawing.count("h-told h-fail") <= len(anomaly.steps)


@pytest.mark.parametrize("name", ["G0", "G1c", "G-single", "G2-item"])
def test_a_cycle_of_transactions_has_an_arrow_for_each_edge(name):
    (anomaly,) = [each for each in ANOMALIES if each.kind == name]
    verdict = anomaly.verdict()
    assert verdict.witness is not None
    edges = verdict.witness.data["edges"]
    drawing = drawn(anomaly.history(), verdict, anomaly.title)
    assert re.findall(r'class="h-why"[^>]*>(\w\w) (\w)<', drawing) == [(each["type"], each["key"]) for each in edges]


def test_each_anomaly_s_page_has_its_drawing_its_verdict_and_the_command_that_gives_it(site):
    page = unescape((site / "anomalies.html").read_text())
    assert page.count('role="img"') == len(ANOMALIES)
    for anomaly in ANOMALIES:
        assert (site / "anomalies" / f"{anomaly.slug}.jsonl").read_text() == anomaly.lines()
        assert anomaly.command in page
