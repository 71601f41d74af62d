"""The public face: exactly these names, each of which is there, and none of which is loaded before it is asked for."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import splitbrain

ROOT = Path(__file__).parent.parent
# fmt: off
FACE = [
    "CLIENTS", "AnomalyFound", "Call", "Checker", "Client", "Completion", "Conditions", "Connection",
    "Environment", "EnvironmentFailure", "Event", "Experiment", "Failure", "FaultFamily", "History", "HistoryError",
    "Invocation", "Machine", "Model", "Mutant", "NodeImage", "Operation", "OperationFailed", "Outcome",
    "Plan", "Program", "ReplicaAnswer", "ReplicaState", "Result", "Schema", "Service", "Session", "Siblings", "Strike",
    "System", "Targets", "UsageProblem", "Verdict", "VersionedStore", "Witness", "Workload", "__version__",
    "asyncio_program", "check", "check_all", "final_reads", "generators", "observed", "poll_replicas", "read",
    "run", "store",
]
# fmt: on
HEAVY = ("numpy", "scipy", "networkx", "paramiko", "docker", "click", "rich", "jinja2", "cryptography", "msgspec")


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh Python holds after the statement."""
    script = f"{statement}\nimport sys\nprint(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_face_is_these_names_and_no_more():
    assert splitbrain.__all__ == FACE


@pytest.mark.parametrize("name", FACE)
def test_each_name_of_the_face_is_there(name):
    assert getattr(splitbrain, name) is not None
    assert name in dir(splitbrain)


def test_type_checkers_see_the_same_names_from_the_same_modules():
    tree = ast.parse(Path(splitbrain.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {}
    for statement in block.body:
        if isinstance(statement, ast.ImportFrom) and statement.module.startswith("splitbrain"):
            seen |= {alias.name: statement.module for alias in statement.names}
    values = {name: f"splitbrain.{home}" for name, home in splitbrain._HOME.items()}
    modules = {name: home.rpartition(".")[0] for name, home in splitbrain._MODULES.items()}
    assert seen == values | modules
    assert {*seen, "__version__"} == set(FACE)


def test_the_version_is_that_of_the_installed_package():
    assert splitbrain.__version__ == version("splitbrain")


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'splitbrain' has no attribute 'Experment'"):
        splitbrain.Experment  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Experment'"):
        exec("from splitbrain import Experment")


def test_importing_the_face_loads_nothing_else():
    loaded = loaded_by("import splitbrain")
    assert {name for name in loaded if name.startswith("splitbrain.")} == set()
    assert loaded.isdisjoint(HEAVY)


def test_importing_the_store_loads_no_harness_and_no_checkers():
    loaded = loaded_by("import splitbrain.store")
    floors = {name.split(".")[1] for name in loaded if name.startswith("splitbrain.")}
    assert floors == {"store"}
    assert loaded.isdisjoint({"numpy", "scipy", "networkx", "paramiko", "docker", "click", "jinja2"})


def test_a_verdict_needs_no_harness():
    loaded = loaded_by("from splitbrain import check, read, Model")
    assert {name.split(".")[1] for name in loaded if name.startswith("splitbrain.")} == {"checkers"}


def test_a_run_needs_only_an_experiment(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    experiment = splitbrain.Experiment("sets", faults=("partition",), seed=7, time_limit_s=10)
    result = splitbrain.run(experiment)
    result.require_valid()
    assert result.folder.is_relative_to("runs")
    assert (tmp_path / "runs" / "latest" / "history.jsonl").is_file()
    assert capsys.readouterr() == ("", "")
    with (result.folder / "history.jsonl").open("rb") as lines:
        assert splitbrain.check("lost-writes", splitbrain.read(lines)).outcome is splitbrain.Outcome.VALID
