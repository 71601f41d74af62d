"""Every example does what its opening says, run by the command that it gives."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import ROOT
from tests.installed import install

EXAMPLES = Path(__file__).parent.parent / "examples"
FILES = sorted(path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*") if path.is_file())
FILES = [name for name in FILES if "__pycache__" not in name and ".egg-info" not in name]
DATA = {"stale.jsonl", "semaphore.jsonl", "usernames/granted-twice.jsonl"}
"""JSONL has no comments: the README and the example that they belong to say what they show."""
GUIDES = {f"../docs/{name}.md" for name in ("your-own-system", "simulating-your-program", "ci", "maelstrom")}
VALID, INVALID = 0, 1


@pytest.fixture
def ran(tmp_path, request):
    """Runs a command that an example's opening gives, as its user would; other changes are made to what it names.

    The examples' packages are there as if they were installed.
    """
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder)
    paths = [path for package in ("usernames", "raft") for path in install(folder / package, tmp_path / "site")]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
    }

    def run(name: str, command: str) -> subprocess.CompletedProcess[str]:
        assert f"    {command}\n" in opening(name), f"{name} opens without this command"
        words = shlex.split(command)
        return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)

    return run


def opening(name: str) -> str:
    """What a file says before its code: the docstring, or the comment at its beginning."""
    text = (EXAMPLES / name).read_text()
    if name.endswith(".py"):
        return (ast.get_docstring(ast.parse(text)) or "") + "\n"
    if name.endswith(".c"):
        return text[: text.index("*/")]
    lines = re.match(r"(?:[#;].*\n)*", text)
    assert lines is not None
    return re.sub(r"^[#;] ?", "", lines.group(), flags=re.MULTILINE)


def test_the_readme_names_every_example():
    named = set(re.findall(r"\]\(([\w/.-]+)\)", (EXAMPLES / "README.md").read_text())) - GUIDES
    assert named == set(FILES) - {"README.md"}


@pytest.mark.parametrize("name", sorted(set(FILES) - DATA - {"README.md"}))
def test_an_example_opens_with_what_it_shows_and_a_command(name):
    assert re.search(r"^ {4}(pip|pytest|splitbrain) ", opening(name), re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".py")])
def test_an_example_imports_the_public_face_alone(name):
    for node in ast.walk(ast.parse((EXAMPLES / name).read_text())):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert [module for module in modules if module.startswith("splitbrain.")] == []


def test_the_pytest_example_passes_with_siblings_and_finds_what_last_write_wins_loses(ran):
    done = ran("test_siblings.py", "pytest -m jepsen test_siblings.py")
    assert "1 failed, 1 passed" in done.stdout
    assert re.search(r"FAILED test_siblings.py::test_last_write_wins_loses_nothing", done.stdout)
    assert re.search(r"AnomalyFound: INVALID: lost-writes: \d+ of [\d,]+ acknowledged adds lost", done.stdout)
    assert re.search(r"replay  splitbrain run sets .* --config conflicts=lww", done.stdout)
    # The README shows this very run: the same seed finds the same writes.
    told = re.findall(r"^E +(.*\S)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(told) == 6
    assert [line for line in told if line not in done.stdout] == []


@pytest.mark.parametrize("more", ["", " --config lock=true --faults partition"])
def test_the_workload_example_grants_names_twice(ran, more):
    done = ran("usernames/usernames.py", f"splitbrain run usernames --seed 7 --time-limit 20{more}")
    assert done.returncode == INVALID, done.stdout + done.stderr
    assert re.search(r"INVALID: granted-once: \d+ of \d+ names were granted to more than one user", done.stdout)
    assert re.search(r"name\d+ was granted to \d+ users:\n +user \d+ by process \d+", done.stdout)


def test_the_workload_example_with_a_lock_and_no_fault_grants_each_name_once(ran):
    done = ran("usernames/usernames.py", "splitbrain run usernames --seed 7 --time-limit 20 --config lock=true")
    assert done.returncode == VALID, done.stdout + done.stderr
    assert re.search(r"✓ granted-once: each of \d+ names was granted to one user at most", done.stdout)


def test_the_fault_example_takes_effect_and_siblings_lose_nothing(ran):
    done = ran(
        "two_regions.py", "splitbrain run registers --faults two_regions.py:TWO_REGIONS --seed 1 --time-limit 20"
    )
    assert done.returncode == VALID, done.stdout + done.stderr
    assert re.search(r"two-regions took effect (once|\d+ times) and overlapped \d+ operations", done.stdout)


def test_the_checker_example_judges_a_recorded_history(ran):
    command = "splitbrain check usernames/granted-twice.jsonl --checker granted-once"
    done = ran("usernames/granted_once.py", command)
    assert done.returncode == INVALID
    assert done.stdout.splitlines() == [
        "INVALID: 1 of 1 names were granted to more than one user",
        "ada was granted to 2 users:",
        "  user 1 by process 0, from 0.000 s to 0.002 s",
        "  user 2 by process 1, from 0.001 s to 0.003 s",
    ]


RAFT = "splitbrain run swaps --system raft --nodes 3"


@pytest.mark.parametrize("name", ["raft/raft_server.py", "raft/raft_splitbrain.py"])
def test_the_raft_example_is_linearizable_under_partitions_kills_and_pauses(ran, name):
    done = ran(name, f"{RAFT} --faults partition,kill,pause --seed 1 --time-limit 20")
    assert done.returncode == VALID, done.stdout + done.stderr
    assert re.search(r"✓ linearizable: linearizable as a cas-register: [\d,]+ operations on 4 keys", done.stdout)


@pytest.mark.parametrize(
    ("run", "mistake"),
    [
        ("--faults partition --seed 1 --time-limit 20", "stale"),
        ("--faults storm --seed 4 --time-limit 12", "no-fsync"),
    ],
)
def test_the_mistakes_planted_in_the_raft_example_are_found(ran, run, mistake):
    done = ran("raft/raft_splitbrain.py", f"{RAFT} {run} --config mistake={mistake}")
    assert done.returncode == INVALID, done.stdout + done.stderr
    assert re.search(r"INVALID: linearizable: \d of 4 keys not linearizable as a cas-register", done.stdout)


def test_the_packaging_of_the_raft_example_registers_the_system_and_the_workload(ran):
    done = ran("raft/pyproject.toml", "splitbrain list")
    assert re.search(r"^  swaps +needs RaftRegister ", done.stdout, re.MULTILINE)
    assert re.search(r"^  raft +RaftRegister$|^  raft\b", done.stdout, re.MULTILINE)


def test_the_packaging_example_registers_both_under_their_names(ran):
    done = ran("usernames/pyproject.toml", "splitbrain list")
    assert re.search(r"^  usernames +needs VersionedStore +names claimed by reading", done.stdout, re.MULTILINE)
    assert re.search(r"^  granted-once +no name is granted to two users$", done.stdout, re.MULTILINE)


def test_the_model_example_finds_the_permit_that_was_never_there(ran):
    done = ran("semaphore.py", "splitbrain check semaphore.jsonl --checker linearizable --model semaphore:Semaphore")
    assert done.returncode == INVALID
    assert "not linearizable as a semaphore" in done.stdout
    assert "just before event 9" in done.stdout
    assert "2 of 2 permits taken" in done.stdout


@pytest.mark.parametrize(
    ("consistency", "code", "verdict"),
    [
        ("serializable", INVALID, "INVALID: not serializable: G2-item (2)"),
        ("snapshot-isolation", VALID, "VALID: nothing against snapshot-isolation"),
    ],
)
def test_the_edn_example_is_write_skew(ran, consistency, code, verdict):
    command = f"splitbrain check write-skew.edn --checker transactions --consistency {consistency}"
    done = ran("write-skew.edn", command)
    assert (done.returncode, done.stdout.startswith(verdict)) == (code, True), done.stdout


def test_the_workflow_example_runs_a_command_that_passes_on_a_good_test(ran, tmp_path):
    test = tmp_path / "examples" / "test_siblings.py"
    test.write_text(test.read_text().split("@pytest.mark")[0] + GOOD)
    done = ran("ci.yml", "pytest -m jepsen --time-limit 20")
    assert re.search(r"=== 1 passed in ", done.stdout), done.stdout
    runs = re.findall(r"run: (pytest .*)", (EXAMPLES / "ci.yml").read_text())
    assert "pytest -m jepsen --time-limit 20" in runs


GOOD = """
@pytest.mark.jepsen(nodes=3, faults="kill", seed=1)
def test_a_kill_loses_nothing(cluster):
    cluster.run("registers").require_valid()
"""
