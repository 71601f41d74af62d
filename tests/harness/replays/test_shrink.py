"""Shrinking, and the test that it writes, in a pytest of its own."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from splitbrain.harness.doors.check import workers
from splitbrain.harness.nemesis import Strike
from splitbrain.harness.replays import simpler_operations, simpler_strikes
from splitbrain.harness.replays.finding import Finding, findings
from splitbrain.harness.replays.recorded import recorded
from splitbrain.harness.replays.replay import replay
from splitbrain.harness.replays.scripted import ScriptedOperation
from splitbrain.harness.replays.shrink import Shrinking, failure
from splitbrain.harness.replays.shrunk_folder import ShrunkFolder, workspace
from splitbrain.harness.replays.trials import BudgetUsed, Trials
from splitbrain.harness.running.experiment import Experiment, UsageProblem
from splitbrain.harness.running.results import ResultsError
from splitbrain.harness.running.run import run
from splitbrain.harness.terminal import Progress

pytest_plugins = ["pytester"]

QUIET = Progress(quiet=True)
WRONG = {"defect": "context-of-one-sibling", "unsafe": "true"}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that failed, under faults that its defect does not need."""
    experiment = Experiment("registers", nodes=5, faults=("partition", "kill"), time_limit_s=8, seed=1, config=WRONG)
    return run(experiment, out=tmp_path_factory.mktemp("runs"), report=False).folder


@pytest.fixture(scope="module")
def finding(failed: Path) -> Finding:
    """What was found in it."""
    return failure(recorded(failed))


def shrunk(folder: Path, kept: str = "shrunk", **how: Any) -> Shrinking:
    before = recorded(folder)
    with workspace(folder) as place:
        trials = Trials(failure(before), place, 60.0, **how)
        shrinking = Shrinking(before, trials, ShrunkFolder(folder / kept), QUIET)
        shrinking.go()
    return shrinking


@pytest.fixture(scope="module")
def smallest(failed: Path) -> Shrinking:
    return shrunk(failed)


def test_what_is_left_is_a_few_operations_and_no_fault(smallest: Shrinking) -> None:
    # A value, a sibling of it, a read of both under the context of one, and a write that should replace both, or a
    # delete.
    assert smallest.operations <= 6 and smallest.strikes == 0 and smallest.best.nodes <= 3
    assert smallest.operations_before > 500 and smallest.strikes_before >= 2
    assert smallest.trials.cpu_s < 60


def test_the_smallest_run_is_a_run_like_any_other_that_fails_in_the_same_way(
    smallest: Shrinking, finding: Finding, tmp_path: Path
) -> None:
    run_of = recorded(smallest.kept.path)
    assert finding in findings(run_of.results())
    again = replay(run_of, environment=None, out=tmp_path, progress=QUIET)
    assert again.difference is None and again.reproduced
    command = json.loads((smallest.kept.path / "run.json").read_bytes())["command"]
    assert command == f"splitbrain replay {smallest.kept.path}"


def test_nothing_of_the_trials_is_left(smallest: Shrinking) -> None:
    folder = smallest.kept.path.parent
    assert not [path for path in folder.iterdir() if path.name.startswith(".trials-")]


def test_no_single_operation_of_the_smallest_run_can_go(smallest: Shrinking, finding: Finding, tmp_path: Path) -> None:
    operations = smallest.best.operations or ()
    for gone in operations:
        left = replace(smallest.best, operations=tuple(each for each in operations if each is not gone))
        assert finding not in findings(run(left, out=tmp_path, report=False).as_dict())


def test_its_test_fails_and_shows_why_and_passes_once_the_defect_is_gone(
    smallest: Shrinking, pytester: pytest.Pytester
) -> None:
    assert smallest.kept.test is not None
    text = smallest.kept.test.read_text()
    assert len(text.splitlines()) <= 20
    pytester.makepyfile(**{smallest.kept.test.stem: text})
    failing = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    failing.assert_outcomes(failed=1)
    failing.stdout.fnmatch_lines(["*AnomalyFound: INVALID: *", "*witness (*", "*replay  splitbrain replay *"])
    mended = text.replace('"defect": "context-of-one-sibling", ', "")
    assert mended != text
    pytester.makepyfile(**{smallest.kept.test.stem: mended})
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_the_result_does_not_hang_on_how_many_processes_work_on_it(failed: Path, smallest: Shrinking) -> None:
    with workers(2) as executor:
        again = shrunk(failed, kept="shrunk-again", executor=executor, jobs=2)
    assert again.best == smallest.best


def test_the_best_so_far_is_kept_when_the_budget_is_used_up(failed: Path, finding: Finding) -> None:
    class Short(Trials):
        """So many trials, whatever they take: seconds are not the same everywhere."""

        def _check(self) -> None:
            if self.made >= 6:
                raise BudgetUsed

    before = recorded(failed)
    with workspace(failed) as place:
        shrinking = Shrinking(before, Short(finding, place, 60), ShrunkFolder(failed / "shrunk-early"), QUIET)
        shrinking.go()
    assert shrinking.kept.made and 0 < shrinking.operations < shrinking.operations_before
    assert finding in findings(recorded(shrinking.kept.path).results())


def test_a_valid_run_has_nothing_to_shrink(tmp_path: Path) -> None:
    folder = run(Experiment("registers", nodes=3, time_limit_s=1, rate=50), out=tmp_path, report=False).folder
    with pytest.raises(UsageProblem, match="is valid: there is nothing to shrink; give the folder of an invalid run"):
        failure(recorded(folder))


def test_a_run_that_was_not_judged_is_refused(failed: Path, tmp_path: Path) -> None:
    for name in ("run.json", "schedule.json"):
        shutil.copy(failed / name, tmp_path / name)
    with pytest.raises(ResultsError, match="the run did not come to its end"):
        failure(recorded(tmp_path))


def test_a_failure_that_does_not_come_again_in_simulation_is_told_so(failed: Path, tmp_path: Path) -> None:
    """As of a run in containers whose timing no simulation has: here of a defect that is mended meanwhile."""
    for name in ("run.json", "schedule.json", "history.jsonl", "results.json"):
        shutil.copy(failed / name, tmp_path / name)
    described = json.loads((tmp_path / "run.json").read_bytes())
    del described["config"]["defect"]
    (tmp_path / "run.json").write_text(json.dumps(described))
    shrinking = shrunk(tmp_path)
    assert not shrinking.kept.made and shrinking.as_dict()["reproduced"] is False
    assert "did not come again in simulation" in shrinking.lines()[0]


SCRIPT = (
    ScriptedOperation(0.1234, 3, "put", "r7", {"write": 40, "seen": [12, 7]}, "n5"),
    ScriptedOperation(2.0, 9, "read", "r2", None, "n3"),
    ScriptedOperation(9.0, 3, "put", "r7", {"write": 41}, "n5"),
)
STRIKE = Strike(2, "kill", 3.0, 4.5, {"nodes": ["n1", "n3", "n5"]})
CUT = Strike(0, "partition", 1.0, 1.0, {"shape": "halves", "cut": [["n1", "n2"], ["n2", "n1"], ["n1", "n3"]]})


def test_a_strike_is_held_for_less_and_hits_less() -> None:
    assert [strike.for_s for strike in simpler_strikes.shorter(STRIKE)] == [0.5, 1.0, 2.0, 4.0]
    assert list(simpler_strikes.shorter(Strike(0, "kill", 0.0, 0.5))) == []
    assert [strike.how["nodes"] for strike in simpler_strikes.narrower(STRIKE)] == [["n1"], ["n3"], ["n5"], ["n1"]]
    cuts = [strike.how["cut"] for strike in simpler_strikes.narrower(CUT)]
    assert cuts == [[["n1", "n3"]], [["n1", "n2"]], [["n1", "n2"], ["n2", "n1"]]]
    assert all(strike.how["shape"] == "halves" and strike.number == 0 for strike in simpler_strikes.narrower(CUT))


def test_operations_get_simpler_and_none_of_them_goes() -> None:
    (merged,) = simpler_operations.merged(SCRIPT)
    assert [(each.process, each.node) for each in merged] == [(3, "n5"), (3, "n5"), (3, "n5")]
    assert [each.process for each in simpler_operations.renumbered(SCRIPT)] == [0, 1, 0]
    spaced = [[each.at_s for each in script] for script in simpler_operations.evenly_spaced(SCRIPT, ())]
    assert spaced == [[0.0, 0.1, 0.2], [0.0, 0.01, 0.02], [0.1, 2.0, 9.0], [0.12, 2.0, 9.0], [0.123, 2.0, 9.0]]
    small = simpler_operations.with_small_values(SCRIPT)
    assert [each.value for each in small] == [{"write": 2, "seen": [1, 0]}, None, {"write": 3}]
    renamed, keys = simpler_operations.with_first_keys(SCRIPT)
    assert [each.key for each in renamed] == ["r1", "r0", "r1"] and keys == 2
    others = [ScriptedOperation(0.0, 0, "put", key) for key in ("r7", "r-rest-3", "plain", "r9", None)]
    renamed, keys = simpler_operations.with_first_keys(tuple(others))
    assert [each.key for each in renamed] == ["r0", "r-rest-0", "plain", "r1", None] and keys == 2


def test_dead_time_is_taken_out_of_operations_and_strikes_together() -> None:
    operations, strikes = simpler_operations.condensed(SCRIPT, [STRIKE])
    # Of 0.1234, 2.0, 3.0 (strike), 7.5 (its end), 9.0 every gap is half a second at most.
    assert [each.at_s for each in operations] == [0.1234, 0.6234, 2.1234]
    assert [(each.at_s, each.for_s) for each in strikes] == [(1.1234, 0.5)]


def test_nodes_get_other_names_wherever_they_occur() -> None:
    names = {"n1": "n3", "n2": "n2", "n3": "n1", "n5": "n5"}
    operations, strikes = simpler_operations.with_names(SCRIPT, [CUT], names)
    assert [each.node for each in operations] == ["n5", "n1", "n5"]
    assert strikes[0].how == {"shape": "halves", "cut": [["n3", "n2"], ["n2", "n3"], ["n3", "n1"]]}
