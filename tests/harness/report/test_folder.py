"""Run folders: what is missing is named, and nothing unfinished looks finished."""

from __future__ import annotations

import json
import os
import random
import re
import shutil

import pytest

from splitbrain.harness import report
from splitbrain.harness.report import ReportError, write


def test_the_face_is_exactly_this():
    assert sorted(report.__all__) == ["ReportError", "render", "write", "write_judged"]


def test_a_report_is_written_beside_the_run(sample, tmp_path):
    target = write(sample.sets(seconds=8).write(tmp_path))
    assert target == tmp_path / "report.html"
    assert target.read_text().startswith("<!doctype html>")
    assert not list(tmp_path.glob("*.partial"))


def test_the_same_run_gives_the_same_bytes(sample, tmp_path):
    first = write(sample.sets(seconds=8).write(tmp_path / "a")).read_bytes()
    assert write(sample.sets(seconds=8).write(tmp_path / "b")).read_bytes() == first


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_holds_nothing_of_a_run_is_refused_with_a_remedy(tmp_path, there):
    what = "holds nothing of a run" if there else "does not exist"
    with pytest.raises(ReportError, match=rf"{what}; give the folder of a run, such as runs/latest"):
        write(tmp_path if there else tmp_path / "run")


def missing(page: str) -> list[str]:
    return re.findall(r'<p class="note missing"><b>Missing\.</b> (.*?)\.</p>', page)


@pytest.mark.parametrize("content", [None, "", "{", "[1]", "\udcff"])
def test_a_run_without_a_usable_run_json_is_drawn_and_says_what_is_not_known(sample, tmp_path, content):
    folder = sample.sets(seconds=8).write(tmp_path / "20261129T000000Z")
    whole = write(folder).read_text()
    (folder / "run.json").unlink()
    if content is not None:
        (folder / "run.json").write_bytes(os.fsencode(content))
    page = write(folder).read_text()
    assert [each.partition(": how")[2] for each in missing(page)] == [" the run was started is not known"]
    assert "<title>invalid: 20261129T000000Z · splitbrain</title>" in page
    assert "dynamo" not in page and "?" not in re.findall(r"<h1>.*</h1>", page)[0]
    operations = r"<script type=\"application/json\" id=\"data\">(.*?)</script>"
    assert re.findall(operations, page) == re.findall(operations, whole), "everything else is drawn as before"


def test_a_field_of_run_json_that_is_of_the_wrong_type_is_left_out_by_name(sample, tmp_path):
    made = sample.sets(seconds=4, sane=True)
    made.run |= {"nodes": 5, "config": ["lww"], "versions": {"splitbrain": "0.2.0"}}
    page = write(made.write(tmp_path)).read_text()
    assert [each.partition(" is left out")[0] for each in missing(page)] == ["run.json: nodes", "run.json: config"]
    assert "sets on dynamo, sim" in page and "splitbrain 0.2.0" in page


def test_a_run_without_a_history_shows_its_verdict_and_its_facts(sample, tmp_path):
    folder = sample.sets(seconds=8).write(tmp_path)
    (folder / "history.jsonl").unlink()
    page = write(folder).read_text()
    assert missing(page) == ["history.jsonl is missing: there are no operations to draw"]
    assert 'class="banner invalid"' in page and "resolver" in page and "0 events" in page


def test_a_history_that_breaks_its_rules_is_drawn_up_to_there(sample, tmp_path):
    folder = sample.sets(seconds=2).write(tmp_path)
    lines = (folder / "history.jsonl").read_text().splitlines(keepends=True)
    (folder / "history.jsonl").write_text("".join(lines[:5] + lines[6:]))
    page = write(folder).read_text()
    (told,) = missing(page)
    assert told.startswith("history.jsonl, line 6: ") and told.endswith("; the 5 lines before that are drawn")
    assert "5 events in history.jsonl" in page


def test_a_log_that_is_a_link_is_named_and_not_followed(sample, tmp_path):
    folder = sample.sets(seconds=2).write(tmp_path)
    log = folder / "nodes" / "n2" / "splitbrain-store.log"
    log.unlink()
    log.symlink_to(folder / "nodes" / "n1" / "splitbrain-store.log")
    page = write(folder).read_text()
    assert missing(page) == ["nodes/n2/splitbrain-store.log is a link, or no regular file"]
    assert "n3 ready, 12 partitions" in page


@pytest.mark.parametrize("name", ["run.json", "history.jsonl", "results.json", "messages.jsonl", "nodes/n1", "nodes"])
def test_nothing_that_a_link_leads_to_is_on_the_page(sample, tmp_path, name):
    elsewhere = sample.sets(seconds=4, seed=9).write(tmp_path / "elsewhere")
    for path in elsewhere.rglob("*"):
        if path.is_file():
            path.write_text(
                path.read_text().replace("s1", "SECRET").replace("ready", "SECRET").replace("valid", "SECRET")
            )
    folder = sample.sets(seconds=4).write(tmp_path / "run")
    target = folder / name
    shutil.rmtree(target, ignore_errors=True)
    target.unlink(missing_ok=True)
    target.symlink_to(elsewhere / name)
    assert "SECRET" not in write(folder).read_text()


@pytest.mark.parametrize("seed", range(60))
def test_no_damage_to_a_folder_stops_its_report(sample, tmp_path, seed):
    """Bytes lost, added or changed, in one file or in all: the page comes, and says `invalid` or says what is missing."""
    rng = random.Random(seed)
    folder = sample.sets(seconds=6, seed=3).write(tmp_path)
    struck = [
        folder / "run.json",
        folder / "history.jsonl",
        folder / "results.json",
        folder / "nodes/n1/splitbrain-store.log",
    ]
    for path in rng.sample(struck, rng.randint(1, len(struck))):
        text = bytearray(path.read_bytes())
        match rng.randrange(4):
            case 0:
                del text[rng.randrange(len(text)) :]
            case 1:
                at = rng.randrange(len(text))
                del text[at : at + rng.choice((1, 9, 4096))]
            case 2:
                for _ in range(rng.choice((1, 20))):
                    text[rng.randrange(len(text))] = rng.randrange(256)
            case 3:
                path.unlink()
                continue
        path.write_bytes(text)
    page = write(folder).read_text()
    assert page.rstrip().endswith("</html>")
    results = folder / "results.json"
    if missing(page) == []:
        assert 'class="banner invalid"' in page or json.loads(results.read_bytes())["verdict"] != "invalid"
    else:
        assert 'class="banner valid"' not in page


@pytest.mark.parametrize(
    "results",
    [
        {"verdict": "valid", "checkers": [1]},
        {"verdict": "valid", "checkers": {"sets": {"verdict": None}}},
        {"verdict": "invalid", "checkers": {"sets": {"verdict": "invalid", "witness": {"events": 5}}}},
        {"verdict": "valid", "broken": {"sets": 3}},
        {"verdict": ["valid"]},
    ],
)
def test_results_of_another_shape_are_no_results(sample, tmp_path, results):
    made = sample.sets(seconds=2)
    made.results = results
    page = write(made.write(tmp_path)).read_text()
    assert 'class="banner unknown"' in page
    assert missing(page)[0].startswith("There are no results: its results.json holds no verdict (Expected `")


@pytest.mark.parametrize("content", [None, "", '{"verdict": "val', "[]", '{"reason": "?"}'])
def test_a_run_without_usable_results_is_unknown_and_says_that_it_did_not_finish(sample, tmp_path, content):
    folder = sample.sets(seconds=4, sane=True).write(tmp_path)
    (folder / "results.json").unlink()
    if content is not None:
        (folder / "results.json").write_text(content)
    page = write(folder).read_text()
    assert "<title>unknown:" in page
    assert "the run did not finish" in page
    assert "nothing was checked" in page
    assert [each.partition(":")[0] for each in missing(page)] == ["There are no results"]
    assert 'class="banner unknown"' in page


def test_a_history_cut_off_in_mid_line_is_shown_up_to_there(sample, tmp_path):
    folder = sample.killed().write(tmp_path)
    path = folder / "history.jsonl"
    path.write_bytes(path.read_bytes()[:-7])
    assert "The history is cut off" in write(folder).read_text()


def test_the_end_of_a_long_log_is_shown_and_unreadable_bytes_are_replaced(sample, tmp_path):
    folder = sample.sets(seconds=2).write(tmp_path)
    log = folder / "nodes" / "n1" / "splitbrain-store.log"
    log.write_bytes(b"first line\n" + b"x" * 99 + b"\n" * 90_000 + b"\xff last line\n")
    page = write(folder).read_text()
    assert "\ufffd last line" in page
    assert "first line" not in page


def test_an_empty_history_still_makes_a_page(sample, tmp_path):
    folder = sample.sets(seconds=2).write(tmp_path)
    (folder / "history.jsonl").write_text("")
    assert "The operations name no keys" in write(folder).read_text()
