"""The installed package, in a project of somebody's own whose folders have the names of ours."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from docker.client import DockerClient

from tests.house import ROOT, SOURCES

TEST = """
import pytest

import store
import tests


@pytest.mark.jepsen(nodes=3, faults="partition", seed=7, time_limit_s=8)
def test_nothing_acknowledged_is_lost(cluster):
    assert store.OURS == tests.OURS == "the user's own"
    result = cluster.run("sets")
    assert result.valid, result.reason
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # From what git knows of the tree: a `build/` that lies about must not get in.
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name, follow_symlinks=False)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(source)]
    subprocess.run(pip, check=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment in which nothing but the wheel and pytest was asked for."""
    folder = tmp_path_factory.mktemp("project")
    subprocess.run([sys.executable, "-m", "venv", str(folder / ".venv")], check=True)
    subprocess.run([str(folder / ".venv/bin/pip"), "install", "--quiet", str(wheel), "pytest"], check=True)
    for name in ("store", "harness", "checkers", "workloads", "tests"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text('OURS = "the user\'s own"\n')
    (folder / "docker").mkdir()
    (folder / "docker" / "Dockerfile").write_text("FROM scratch\n")
    (folder / "test_project.py").write_text(TEST)
    return folder


def pytest_in(project: Path, *arguments: str) -> str:
    words = [str(project / ".venv/bin/python"), "-m", "pytest", "-m", "jepsen", "-q", "test_project.py", *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
    done = subprocess.run(words, cwd=project, env=environment, capture_output=True, text=True, timeout=300)
    return done.stdout + done.stderr


def test_the_wheel_holds_nothing_but_splitbrain(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"splitbrain"}
    modules = {f"splitbrain/{path.relative_to(ROOT).as_posix()}" for path in SOURCES}
    assert modules <= names
    layers = {f"splitbrain/harness/hosts/layers/{path.name}" for path in (ROOT / "harness/hosts/layers").iterdir()}
    assert layers <= names


def test_a_wheel_lists_what_it_needs_and_installs_with_that(wheel: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(wheel, tmp_path))
    for _ in range(2):  # The second one takes the place of the first.
        subprocess.run([sys.executable, str(ROOT / ".ci" / "sbom"), str(copy)], check=True, capture_output=True)
    with zipfile.ZipFile(copy) as packed:
        (name,) = (each for each in packed.namelist() if each.endswith("/sboms/splitbrain.cdx.json"))
        bom = json.loads(packed.read(name))
        metadata = packed.read(name.replace("sboms/splitbrain.cdx.json", "METADATA")).decode()
        rows = packed.read(name.replace("sboms/splitbrain.cdx.json", "RECORD")).decode().splitlines()
    digest = hashlib.sha256(zipfile.ZipFile(copy).read(name)).digest()
    named = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert [row for row in rows if row.startswith(name)] == [
        f"{name},sha256={named},{len(zipfile.ZipFile(copy).read(name))}"
    ]
    assert bom["bomFormat"] == "CycloneDX"
    assert bom["metadata"]["component"]["name"] == "splitbrain"
    needs = [line.partition(": ")[2] for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    told = {each["name"]: each["properties"][0]["value"] for each in bom["components"]}
    assert sorted(told.values()) == sorted(need for need in needs if "extra ==" not in need)
    assert {"msgspec", "numpy", "cryptography"} <= set(told) and "pytest" not in told
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(tmp_path / "there"),
        str(copy),
    ]
    subprocess.run(pip, check=True)
    assert (tmp_path / "there" / name).exists()


def test_a_project_with_folders_of_our_names_runs_its_tests_in_simulation(project: Path) -> None:
    output = pytest_in(project)
    assert "1 passed" in output, output


def test_a_project_with_folders_of_our_names_runs_its_tests_in_containers(
    docker_engine: DockerClient, project: Path
) -> None:
    output = pytest_in(project, "--env", "docker")
    assert "1 passed" in output, output


def test_the_command_runs_as_a_module_too(project: Path) -> None:
    python = str(project / ".venv/bin/python")
    words = [python, "-m", "splitbrain", "list"]
    done = subprocess.run(words, cwd=project, capture_output=True, text=True, timeout=60)
    assert "sets" in done.stdout, done.stderr
