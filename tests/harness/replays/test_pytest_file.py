from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from splitbrain.harness.nemesis import Strike
from splitbrain.harness.replays.finding import Finding
from splitbrain.harness.replays.pytest_file import test_of as written
from splitbrain.harness.replays.scripted import ScriptedOperation
from splitbrain.harness.running.experiment import Experiment

CUT = [[one, other] for one in ("n1", "n2", "n3") for other in ("n4", "n5", "n6", "n7")]
EXPERIMENT = Experiment(
    "sets",
    nodes=3,
    seed=7,
    concurrency=2,
    time_limit_s=4,
    config={"keys": "1"},
    faults=("partition",),
    operations=(
        ScriptedOperation(0.1, 0, "add", "s0", 0, "n1"),
        ScriptedOperation(0.2, 1, "say", 'a "word"', {"all": [1, None], "it's": True}, None),
    ),
    strikes=(
        Strike(0, "partition", 0.05, 0.5, {"shape": "halves", "cut": CUT}),
        Strike(4, "partition", 1.0, 0.5, {"shape": "one-way", "cut": CUT[:1]}),
    ),
)


def test_a_test_is_named_after_what_was_found_and_says_all_that_the_run_is() -> None:
    name, text = written(EXPERIMENT, Finding("lost-writes", "lost"))
    assert name == "test_sets_lost_writes_lost.py"
    lines = text.splitlines()
    assert '@pytest.mark.jepsen(nodes=3, seed=7, config={"keys": "1"})' in lines
    assert '        (0.1, 0, "add", "s0", 0, "n1"),' in lines
    assert lines[-1] == '    cluster.script("sets", operations, strikes).require_valid()'


def test_what_it_says_is_what_the_run_was() -> None:
    text = written(EXPERIMENT, Finding("lost-writes", "lost"))[1]
    said: dict = {}

    class Cluster:
        def script(self, workload, operations, strikes):
            said.update(workload=workload, operations=operations, strikes=strikes)
            return self

        def require_valid(self):
            said["required"] = True

    space: dict = {}
    exec(compile(text, "written", "exec"), space)
    space["test_sets_lost_writes_lost"](Cluster())
    assert said["workload"] == "sets" and said["required"]
    assert [ScriptedOperation(*row) for row in said["operations"]] == list(EXPERIMENT.operations)
    strikes = [Strike(**{"number": number, **row}) for number, row in enumerate(said["strikes"])]
    assert strikes == list(EXPERIMENT.strikes)


def test_a_formatter_leaves_it_as_it_is(tmp_path: Path) -> None:
    name, text = written(EXPERIMENT, Finding("lost-writes", "lost"))
    (tmp_path / name).write_text(text)
    words = ["--isolated", "--line-length", "120", str(tmp_path / name)]
    for command in (["format", "--check"], ["check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + text
