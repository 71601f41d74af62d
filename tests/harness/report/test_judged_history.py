"""Any history as a page: what only a run has is not on it, and nothing stands in its place."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from splitbrain.checkers.registry import CHECKERS
from splitbrain.harness.doors.cli import command
from splitbrain.harness.doors.commands import Answered
from tests.house import ROOT

COMMAND = Path(sys.executable).parent / "splitbrain"
OWN = ("seed", "environment", "versions", "started", "changed from defaults")
"""Rows that only a run has."""
STALE = (ROOT / "examples" / "stale.jsonl").read_text()
LOG = """\
INFO [2024-01-01 10:00:00,000] jepsen worker 0 - jepsen.util 0\t:invoke\t:write\t1
INFO [2024-01-01 10:00:00,002] jepsen worker 0 - jepsen.util 0\t:ok\t:write\t1
INFO [2024-01-01 10:00:00,003] jepsen worker 1 - jepsen.util 1\t:invoke\t:read\tnil
INFO [2024-01-01 10:00:00,004] jepsen worker 1 - jepsen.util 1\t:ok\t:read\t2
"""
EDN = """\
{:process 0, :type :invoke, :f :write, :value 1}
{:process 0, :type :ok, :f :write, :value 1}
{:process 1, :type :invoke, :f :read, :value nil}
{:process 1, :type :ok, :f :read, :value 2}
"""


def checked(folder: Path, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "check", *arguments], cwd=folder, input=stdin, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    ("name", "text", "operations"),
    [("stale.jsonl", STALE, 3), ("history.edn", EDN, 2), ("jepsen.log", LOG, 2), ("-", STALE, 3)],
)
def test_a_history_of_every_format_has_a_page_like_a_run_s(tmp_path, name, text, operations):
    if name != "-":
        (tmp_path / name).write_text(text)
    done = checked(tmp_path, name, "--checker", "linearizable", "--report", "out.html", stdin=text)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1] == "report  out.html"
    page = (tmp_path / "out.html").read_text()
    shown = "standard input" if name == "-" else name
    assert f"<title>invalid: {shown} · splitbrain</title>" in page
    assert f'>{operations}</span><span class="title">operations</span>' in page
    assert 'id="anomaly-1"' in page and "linearizable" in page
    assert f"splitbrain check {name} --checker linearizable --report out.html" in page
    assert [row for row in OWN if f'<th scope="row">{row}</th>' in page] == []
    read = page.partition('<script type="application/json"')[0]
    words = ("Node logs", "run.json", "history.jsonl", "results.json", "Missing", "nodes;")
    assert [word for word in words if word in read] == []


@pytest.mark.parametrize("checker", sorted(CHECKERS))
def test_every_checker_s_verdict_is_on_the_page(tmp_path, checker, monkeypatch, capsys):
    """An empty history is one that each of them takes."""
    monkeypatch.chdir(tmp_path)
    Path("empty.jsonl").touch()
    arguments = ["check", "empty.jsonl", "--checker", checker, "--report", "out.html", "--json"]
    with pytest.raises(Answered):
        command().main(arguments, standalone_mode=False)
    told = json.loads(capsys.readouterr().out)
    page = (tmp_path / "out.html").read_text()
    assert f'class="banner {told["verdict"]}"' in page
    assert re.findall(r'<details class="checker" id="checker-\d+".*\n.*<b>(.*?)</b>', page) == [checker]


def test_a_run_s_folder_gives_its_facts_and_the_verdict_is_the_check_s(sample, tmp_path):
    folder = sample.sets(seconds=6).write(tmp_path / "run")
    done = checked(tmp_path, "run", "--checker", "latency", "--option", "sla_ms=100000", "--report", "out.html")
    page = (tmp_path / "out.html").read_text()
    verdict = {0: "valid", 2: "unknown"}[done.returncode]
    assert f"<title>{verdict}: sets on dynamo, sim · splitbrain</title>" in page
    assert "n3 ready, 12 partitions" in page and '<th scope="row">seed</th>' in page
    assert json.loads((folder / "results.json").read_text())["verdict"] == "invalid", "the run's own stay as they are"
    shutil.rmtree(folder / "nodes")
    (folder / "results.json").unlink()
    checked(tmp_path, "run", "--checker", "latency", "--report", "out.html")
    assert "Missing" not in (tmp_path / "out.html").read_text(), "the check needs none of the run's results"


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("nowhere/out.html", "there is no folder nowhere; make it, or give another file"),
        (".", "that is a folder; give a file, such as report.html"),
    ],
)
def test_a_page_that_can_t_be_written_is_refused_before_anything_is_judged(tmp_path, target, why):
    (tmp_path / "stale.jsonl").write_text(STALE)
    done = checked(tmp_path, "stale.jsonl", "--report", target)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == f"splitbrain: --report {target}: {why}\n"
