"""Run folders: what is missing is named, and nothing unfinished looks finished."""

from __future__ import annotations

import os

import pytest

from splitbrain.harness import report
from splitbrain.harness.report import ReportError, write


def test_the_face_is_exactly_this():
    assert sorted(report.__all__) == ["ReportError", "render", "write"]


def test_a_report_is_written_beside_the_run(sample, tmp_path):
    target = write(sample.sets(seconds=8).write(tmp_path))
    assert target == tmp_path / "report.html"
    assert target.read_text().startswith("<!doctype html>")
    assert not list(tmp_path.glob("*.partial"))


def test_the_same_run_gives_the_same_bytes(sample, tmp_path):
    first = write(sample.sets(seconds=8).write(tmp_path / "a")).read_bytes()
    assert write(sample.sets(seconds=8).write(tmp_path / "b")).read_bytes() == first


def test_a_folder_without_run_json_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(ReportError, match=r"run\.json does not exist.*give the folder of a run, such as runs/latest"):
        write(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[1]", "\udcff"])
def test_a_broken_run_json_is_refused_by_name(sample, tmp_path, content):
    folder = sample.sets(seconds=2).write(tmp_path)
    (folder / "run.json").write_bytes(os.fsencode(content))
    with pytest.raises(ReportError, match=r"run\.json .*run the test again"):
        write(folder)


def test_a_folder_without_a_history_is_refused(sample, tmp_path):
    folder = sample.sets(seconds=2).write(tmp_path)
    (folder / "history.jsonl").unlink()
    with pytest.raises(ReportError, match=r"history\.jsonl does not exist"):
        write(folder)


def test_a_history_that_breaks_its_rules_is_refused_by_line(sample, tmp_path):
    folder = sample.sets(seconds=2).write(tmp_path)
    lines = (folder / "history.jsonl").read_text().splitlines(keepends=True)
    (folder / "history.jsonl").write_text("".join(lines[:5] + lines[6:]))
    with pytest.raises(ReportError, match="line 6"):
        write(folder)


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
