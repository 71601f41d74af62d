"""The index: every run once, read again only when it changed, and nothing trusted that a folder holds."""

from __future__ import annotations

import json
import os
import time

import pytest

from splitbrain.harness.running.experiment import UsageProblem
from splitbrain.harness.serving import run_index
from splitbrain.harness.serving.run_entry import UNFINISHED
from splitbrain.harness.serving.run_index import RunIndex
from tests.harness.serving.conftest import results


def looked(*roots) -> RunIndex:
    index = RunIndex(roots)
    index.refresh()
    return index


def test_a_run_is_listed_with_what_its_files_say(root, make):
    make(
        "sets/20261129T020932Z", {"config": {"conflicts": "lww"}, "command": "splitbrain run sets"}, results("invalid")
    )
    (run,) = looked(root).runs
    assert (run.id, run.workload, run.system, run.faults, run.seed) == (
        "runs/sets/20261129T020932Z", "sets", "etcd", ("kill",), 7,
    )  # fmt: skip
    assert (run.verdict, run.reason, run.p99_ms, run.ok_rate, run.operations) == (
        "invalid", "it is invalid", 12.5, 0.975, 44,
    )  # fmt: skip
    assert (run.when, run.config, run.damaged) == ("2026-11-29 02:09:32", {"conflicts": "lww"}, ())


def test_runs_are_listed_by_the_moment_in_their_names_the_newest_first(root, make):
    for name in ("sets/20261101T000000Z", "sets/20261103T000000Z-1", "sets/20261103T000000Z", "bank/20261102T000000Z"):
        make(name)
    names = [run.id.rpartition("/")[2] for run in looked(root).runs]
    assert names == ["20261103T000000Z-1", "20261103T000000Z", "20261102T000000Z", "20261101T000000Z"]


def test_links_are_not_followed_and_a_run_is_listed_once(root, make, tmp_path):
    folder = make("sets/20261101T000000Z")
    (root / "latest").symlink_to(folder)
    (root / "loop").symlink_to(root)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "run.json").write_text("{}")
    (root / "out").symlink_to(outside)
    assert [run.id for run in looked(root).runs] == ["runs/sets/20261101T000000Z"]


def test_the_root_may_be_a_run_s_folder_or_a_link(make, tmp_path):
    folder = make("sets/20261101T000000Z", results=results())
    (tmp_path / "latest").symlink_to(folder)
    index = looked(tmp_path / "latest")
    assert [(run.id, run.verdict) for run in index.runs] == [("20261101T000000Z", "valid")]
    assert index.run("20261101T000000Z") is not None


def test_roots_of_one_name_have_names_of_their_own(make, tmp_path):
    make("sets/20261101T000000Z")
    other = tmp_path / "other" / "runs"
    (other / "bank").mkdir(parents=True)
    (other / "bank" / "run.json").write_text("{}")
    index = looked(tmp_path / "runs", other)
    assert {run.id for run in index.runs} == {"runs/sets/20261101T000000Z", "runs-2/bank"}
    found = index.run("runs-2/bank")
    assert found is not None and found[1].root == other


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"workload": 5, "faults": "kill", "seed": "7", "config": [1]}', "\udcff"]
)
def test_a_run_whose_run_json_is_no_use_is_a_run_still(root, make, content):
    folder = make("sets/20261101T000000Z", results=results())
    (folder / "run.json").write_bytes(os.fsencode(content))
    (run,) = looked(root).runs
    assert (run.workload, run.faults, run.seed, run.config, run.verdict) == ("", (), None, {}, "valid")
    assert run.damaged == (() if content.startswith('{"workload') else ("run.json",))


@pytest.mark.parametrize(
    "content",
    ["", "{", '{"verdict": 5}', '{"verdict": "fine"}', '{"verdict": "valid", "checkers": 3}', "[" * 100_000],
)
def test_results_that_can_t_be_read_make_no_verdict(root, make, content):
    folder = make("sets/20261101T000000Z")
    (folder / "results.json").write_text(content)
    (run,) = looked(root).runs
    assert (run.verdict, run.damaged) == (UNFINISHED, ("results.json",))


def test_figures_of_another_type_are_left_out(root, make):
    wrong = results()
    wrong["checkers"]["latency"]["overall"] = {"p99": "fast"}
    wrong["checkers"]["availability"] |= {"ok_rate": True}
    wrong["checkers"]["evidence"] = [1]
    make("sets/20261101T000000Z", results=wrong)
    (run,) = looked(root).runs
    assert (run.verdict, run.p99_ms, run.ok_rate, run.operations) == ("valid", None, None, 40)


def test_what_did_not_change_is_not_read_again_and_what_did_is(root, make, monkeypatch):
    one, other = make("sets/20261101T000000Z", results=results()), make("sets/20261102T000000Z")
    index, read, real = looked(root), [], run_index.read_entry
    monkeypatch.setattr(run_index, "read_entry", lambda *asked: read.append(asked[1]) or real(*asked))
    monkeypatch.setattr(run_index, "FRESH_S", 0.0)
    index.refresh()
    assert read == []
    (other / "results.json").write_text(json.dumps(results("invalid")))
    index.refresh()
    assert read == ["sets/20261102T000000Z"]
    assert [run.verdict for run in index.runs] == ["invalid", "valid"]
    assert looked(root).runs == index.runs, "another process reads what this one kept"
    assert read == ["sets/20261102T000000Z"]
    (one / "run.json").unlink()
    (one / "history.jsonl").unlink()
    index.refresh()
    assert [run.id for run in index.runs] == ["runs/sets/20261102T000000Z"], "what is gone is listed no more"


@pytest.mark.parametrize("content", [b"", b"\x93", b"\xff" * 99, b"\x92\x01\x81\xa1a\xc0"])
def test_an_index_that_can_t_be_read_costs_nothing_but_time(root, make, cache, content):
    make("sets/20261101T000000Z", results=results())
    kept = looked(root).runs
    (file,) = cache.iterdir()
    file.write_bytes(content)
    assert looked(root).runs == kept


def test_where_nothing_can_be_kept_runs_are_listed_all_the_same(root, make, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    make("sets/20261101T000000Z")
    assert len(looked(root).runs) == 1
    assert sorted(path.name for path in root.iterdir()) == ["sets"], "nothing is written among the runs"


def test_a_run_is_under_way_while_its_history_is_written_to(root, make):
    make("sets/20261103T000000Z")
    old = make("sets/20261102T000000Z")
    make("sets/20261101T000000Z", results=results())
    for path in old.iterdir():
        os.utime(path, (time.time() - 3600,) * 2)
    index = looked(root)
    assert [index.live(run) for run in index.runs] == [True, False, False]


def test_campaigns_and_suites_are_found_and_their_runs_too(root, make):
    make("campaigns/20261101T000000Z/runs/000003", results=results("invalid"))
    (root / "campaigns/20261101T000000Z/campaign.json").write_text("{}")
    (root / "campaigns/20261101T000000Z/results.jsonl").write_text("")
    make("suites/20261101T000000Z/runs/sets/20261101T000000Z")
    (root / "suites/20261101T000000Z/results.jsonl").write_text("")
    index = looked(root)
    assert [found.id for found in index.campaigns()] == ["runs/campaigns/20261101T000000Z"]
    assert [found.id for found in index.suites()] == ["runs/suites/20261101T000000Z"]
    assert len(index.runs) == 2


def test_a_folder_that_is_not_there_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(UsageProblem, match="nowhere is no folder; give one with runs, such as runs/"):
        RunIndex([tmp_path / "nowhere"])


@pytest.mark.parametrize(
    "identity", ["", ".", "runs", "runs/", "runs/..", "runs/sets/../sets/20261101T000000Z", "/etc", "none/a"]
)
def test_an_id_is_one_that_is_listed_or_none(root, make, identity):
    make("sets/20261101T000000Z")
    assert looked(root).run(identity) is None
