"""The served pages: what they show, what they refuse, and that nothing in a folder becomes markup."""

from __future__ import annotations

import builtins
import json
import os
import re
import shutil

import pytest

pytest.importorskip("starlette")

from starlette.testclient import TestClient

from splitbrain.harness.running.experiment import UsageProblem
from splitbrain.harness.serving import run_index
from splitbrain.harness.serving.run_index import RunIndex
from splitbrain.harness.serving.web_app import web_app
from splitbrain.harness.serving.web_server import _names
from tests.harness.serving.conftest import EVENTS, results

ONE, OTHER = "sets/20261101T000000Z", "sets/20261102T000000Z"
HOSTILE = "<img src=x onerror=alert(1)>'\"&{{7*7}}\u202e"


@pytest.fixture
def client(root, monkeypatch):
    monkeypatch.setattr(run_index, "FRESH_S", 0.0)
    return TestClient(web_app(RunIndex([root]), _names("127.0.0.1")), base_url="http://127.0.0.1:8760")


def rows(page: str) -> list[str]:
    """The runs in a list, by their moments."""
    return re.findall(r'class="when">([\d :-]+)<', page)


def test_runs_are_listed_with_a_link_to_each_report(client, make):
    make(ONE, results=results("invalid"))
    page = client.get("/").text
    assert '<a href="/runs/runs/sets/20261101T000000Z/report.html">sets</a>' in page
    assert rows(page) == ["2026-11-01 00:00:00"]
    assert "it is invalid" in page and "12.5" in page and "97.5%" in page


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("", 3), ("q=sets", 2), ("q=LWW+2026-11", 0), ("q=conflicts%3Dlww", 1), ("q=is+invalid", 1), ("workload=bank", 1),
        ("workload=sets&fault=kill", 2), ("fault=partition", 1), ("verdict=valid", 2), ("seed=7", 1), ("seed=77", 0),
        ("system=none", 0), ("page=99", 3), ("page=-1", 3), ("sort=worst", 3), ("sort=nothing", 3),
    ],
)  # fmt: skip
def test_a_filter_leaves_what_it_says(client, make, query, left):
    make(ONE, {"config": {"conflicts": "lww"}}, results("invalid"))
    make(OTHER, {"seed": 8}, results())
    make("bank/20261103T000000Z", {"workload": "bank", "faults": ["partition"], "seed": 9}, results())
    page = client.get(f"/?{query}").text
    assert len(rows(page)) == left
    assert f'<span id="found">{left}</span>' in page


@pytest.mark.parametrize(
    ("sort", "first"),
    [("newest", "02"), ("oldest", "01"), ("worst", "01"), ("slowest", "02"), ("least available", "01"), ("seed", "01")],
)
def test_runs_are_sorted_as_asked(client, make, sort, first):
    make(ONE, {"seed": 1}, results("invalid", p99=5, ok_rate=0.5))
    make(OTHER, {"seed": 2}, results("valid", p99=50, ok_rate=0.9))
    assert rows(client.get("/", params={"sort": sort}).text)[0].startswith(f"2026-11-{first}")


def test_a_long_list_has_pages_that_keep_the_filter(client, make):
    for number in range(201):
        make(f"sets/20261101T00{number // 60:02d}{number % 60:02d}Z", results=results())
    first = client.get("/?q=sets&sort=oldest").text
    assert len(rows(first)) == 200 and "page 1 of 2" in first
    (link,) = re.findall(r'rel="next" href="([^"]+)"', first)
    assert rows(client.get("/" + link.replace("&amp;", "&")).text) == ["2026-11-01 00:03:20"]


def test_two_runs_are_compared_and_the_first_event_that_differs_is_shown(client, make):
    make(ONE, {"config": {"r": "1"}}, results("invalid"))
    folder = make(OTHER, {"config": {"r": "2"}, "seed": 8}, results())
    lines = list(EVENTS)
    lines[1] = lines[1].replace('"value":0', '"value":5')
    (folder / "history.jsonl").write_text("\n".join(lines) + "\n")
    page = client.get("/compare.html", params={"run": [f"runs/{ONE}", f"runs/{OTHER}"]}).text
    assert "Line 2, after 1 that is the same." in page
    told = re.findall(r'<th scope="row">([^<]+)</th><td>([^<]*)</td><td>([^<]*)</td>', page)
    assert ("value", "0", "5") in told and ("config.r", "1", "2") in told and ("seed", "7", "8") in told
    assert ("verdict", "invalid", "valid") in told and ("latency", "invalid", "valid") in told
    assert page.count('<svg class="chart"') == 6


@pytest.mark.parametrize(
    ("asked", "status"),
    [([], 400), ([f"runs/{ONE}"], 400), ([f"runs/{ONE}"] * 3, 400), ([f"runs/{ONE}", "runs/none"], 404)],
)
def test_a_comparison_of_other_than_two_runs_is_refused_in_words(client, make, asked, status):
    make(ONE)
    answer = client.get("/compare.html", params={"run": asked})
    assert answer.status_code == status
    assert "tick two in the list" in answer.text or "runs/none is no run" in answer.text


def test_a_report_is_served_as_it_is_and_drawn_where_there_is_none(client, make):
    folder = make(ONE, results=results())
    drawn = client.get(f"/runs/runs/{ONE}/report.html")
    assert drawn.status_code == 200 and "sets on etcd, sim" in drawn.text
    assert not (folder / "report.html").exists(), "it only reads"
    (folder / "report.html").write_text("as it was")
    assert client.get(f"/runs/runs/{ONE}/report.html").text == "as it was"


def test_files_of_a_run_are_plain_text(client, make):
    folder = make(ONE)
    (folder / "nodes" / "n1").mkdir(parents=True)
    (folder / "nodes" / "n1" / "x.log").write_text("<b>log</b>")
    for name, text in (("history.jsonl", "\n".join(EVENTS) + "\n"), ("nodes/n1/x.log", "<b>log</b>")):
        answer = client.get(f"/runs/runs/{ONE}/{name}")
        assert (answer.status_code, answer.text) == (200, text)
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


SECRET = "the secret of somebody else"


@pytest.fixture
def escapes(root, make, tmp_path):
    """A run whose folder is full of ways out."""
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("history.jsonl", "results.json", "run.json", "report.html", "x.log", "schedule.json"):
        (outside / name).write_text(json.dumps({"verdict": "valid", "workload": SECRET, "reason": SECRET}))
    folder = make(ONE)
    for name in ("report.html", "schedule.json"):
        (folder / name).symlink_to(outside / name)
    (folder / "nodes" / "n2").mkdir(parents=True)
    (folder / "nodes" / "n1").symlink_to(outside)
    (folder / "nodes" / "n2" / "x.log").symlink_to(outside / "x.log")
    linked = make(OTHER)
    for name in ("run.json", "results.json"):
        (linked / name).unlink(missing_ok=True)
        (linked / name).symlink_to(outside / name)
    (root / "out").symlink_to(outside)
    return outside


WAYS_OUT = [
    "", "/", "..", "../", "../../outside/run.json", "..%2f..%2foutside%2frun.json", "%2e%2e/%2e%2e/outside/run.json",
    "..%252f..%252foutside/run.json", "....//....//outside/run.json", "..\\..\\outside\\run.json", "%00", "run.json%00.html",
    "nodes/n1/x.log", "nodes/n2/x.log", "nodes/../../../../outside/x.log", "nodes/%2e%2e/%2e%2e/%2e%2e/%2e%2e/outside/x.log",
    "schedule.json", "report.html", "traceback.txt", "report.html.partial", "/etc/passwd", "//etc/passwd", "nodes//etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize(
    "base", [f"/runs/runs/{ONE}/", f"/runs/runs/{OTHER}/", "/runs/runs/out/", "/runs/", "/", "/live/", "/events/"]
)
def test_there_is_no_way_out_of_a_run_s_folder(client, escapes, base, way):
    # The bytes of the address as they are: a client may not tidy it up.
    answer = client.get("http://127.0.0.1:8760" + base + way)
    assert SECRET not in answer.text and "root:" not in answer.text
    assert answer.status_code in (200, 404)


def test_no_file_but_a_run_s_is_served(client, make, root):
    make(ONE)
    (root / "notes.txt").write_text(SECRET)
    (root / ONE / "notes.txt").write_text(SECRET)
    for path in ("runs/notes.txt", f"runs/{ONE}/notes.txt", f"runs/{ONE}/.", f"runs/{ONE}"):
        assert client.get(f"/runs/{path}").status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", ""])
def test_it_answers_to_its_own_names_alone(client, make, host):
    make(ONE)
    answer = client.get("/", headers={"host": host})
    assert answer.status_code == 400 and "sets" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8760", "localhost:8760", "[::1]:8760", "LOCALHOST"])
def test_it_answers_to_loopback(client, make, host):
    assert client.get("/", headers={"host": host}).status_code == 200


def test_who_listens_everywhere_is_asked_by_any_name():
    assert (_names("0.0.0.0"), _names("::")) == (("*",), ("*",))
    assert "10.0.0.1" in _names("10.0.0.1") and "*" not in _names("10.0.0.1")


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch", "options"])
def test_it_only_reads(client, make, method):
    make(ONE)
    for path in ("/", f"/runs/runs/{ONE}/run.json", "/compare.html"):
        assert getattr(client, method)(path).status_code == 405


def test_every_page_has_a_policy_that_names_its_scripts_and_style(client, make):
    make(ONE, results=results())
    for path in ("/", "/campaigns.html", "/suites.html", "/none", f"/live/runs/{ONE}"):
        answer = client.get(path)
        header, meta = (
            answer.headers["content-security-policy"],
            re.findall(r'Security-Policy" content="([^"]*)"', answer.text)[0],
        )
        for policy in (header, meta.replace("&#39;", "'")):
            assert (
                "default-src 'none'" in policy
                and "unsafe" not in policy
                and "'self'" not in policy.partition("script-src")[2].partition(";")[0]
            )
        assert "frame-ancestors 'none'" in header
        assert not re.findall(r"(?:src|href)=[\"'](?!/|#|data:|\?)", answer.text), "it loads nothing from elsewhere"
        assert " style=" not in answer.text and " onclick" not in answer.text


def test_a_report_is_in_a_sandbox(client, make):
    folder = make(ONE)
    (folder / "report.html").write_text("<script>fetch('/')</script>")
    policy = client.get(f"/runs/runs/{ONE}/report.html").headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts") and "allow-same-origin" not in policy
    assert "default-src 'none'" in policy and "connect-src" not in policy


def test_hostile_values_stay_text(client, make):
    make(ONE, {"workload": HOSTILE, "system": HOSTILE, "faults": [HOSTILE], "config": {HOSTILE: HOSTILE}},
         {**results("invalid"), "reason": HOSTILE, "checkers": {HOSTILE: {"verdict": HOSTILE}}})  # fmt: skip
    folder = make(OTHER, results=results())
    event = json.dumps(
        {
            "index": 0,
            "time": 0,
            "process": "nemesis",
            "type": "info",
            "f": HOSTILE,
            "value": {"fault": HOSTILE, "phase": "start"},
        }
    )
    (folder / "history.jsonl").write_text(f"{event}\n")
    pair = {"run": [f"runs/{ONE}", f"runs/{OTHER}"]}
    for page in (
        client.get("/").text,
        client.get("/", params={"q": HOSTILE, "seed": HOSTILE}).text,
        client.get("/compare.html", params=pair).text,
        client.get(f"/live/runs/{OTHER}").text,
        client.get(f"/runs/{HOSTILE}").text,
        client.get("/compare.html", params={"run": [HOSTILE, HOSTILE]}).text,
    ):
        assert "<img" not in page and "{{7*7}}" in page.replace("{{7*7}}\u202e", "{{7*7}}")
        assert "&lt;img src=x onerror=alert(1)&gt;" in page or "%3Cimg" in page


def test_a_run_under_way_is_told_second_by_second_until_its_end(client, make):
    folder = make(ONE)
    (folder / "history.jsonl").write_text("\n".join(EVENTS[:3]) + "\n")
    assert f'href="/live/runs/{ONE}"' in client.get("/").text
    events = []
    with client.stream("GET", f"/events/runs/{ONE}") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        kind = ""
        for line in stream.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            if line.startswith("data: "):
                events.append((kind, json.loads(line.removeprefix("data: "))))
                if kind == "pulse" and len(events) == 1:
                    with (folder / "history.jsonl").open("a") as file:
                        file.write(f"{EVENTS[3]}\n")
                if kind == "pulse" and len(events) == 2:
                    (folder / "results.json").write_text(json.dumps(results("invalid")))
    assert [kind for kind, _ in events] == ["pulse", "pulse", "end"]
    assert [told["counts"] for kind, told in events if kind == "pulse"] == [
        {"ok": 1, "fail": 0, "info": 0, "open": 1},
        {"ok": 1, "fail": 0, "info": 1, "open": 0},
    ]
    assert events[-1][1] == {"verdict": "invalid", "reason": "it is invalid"}


def test_a_run_that_vanished_meanwhile_is_no_longer_there(client, make):
    folder = make(ONE)
    assert client.get(f"/runs/runs/{ONE}/run.json").status_code == 200
    shutil.rmtree(folder)
    assert client.get(f"/runs/runs/{ONE}/run.json").status_code == 404


def test_without_the_extra_the_error_names_it(root, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "starlette":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageProblem, match=r"needs starlette; install it with pip install 'splitbrain\[serve\]'"):
        web_app(RunIndex([root]), ("*",))


def test_a_hostile_name_of_a_folder_is_a_link_that_leads_there(client, root, make):
    make(f"sets/{HOSTILE.replace('/', '')}")
    page = client.get("/").text
    (link,) = re.findall(r'<a href="(/runs/[^"]*report.html)"', page)
    assert client.get(link).status_code == 200
    assert os.sep not in link.removeprefix("/runs/runs/sets/").removesuffix("/report.html")
