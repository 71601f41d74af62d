from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient
from docker.errors import ImageNotFound

from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.hosts import image


class Engine:
    """An engine with some images, which remembers what it was asked to build."""

    def __init__(self, present: set[str]) -> None:
        self.present = present
        self.built: list[tuple[str, Mapping[str, str]]] = []
        self.images = self.api = self

    def get(self, tag: str) -> None:
        if tag not in self.present:
            raise ImageNotFound(tag)

    def build(self, *, tag: str, buildargs: Mapping[str, str], **_: Any) -> list[dict[str, str]]:
        self.built.append((tag.partition(":")[0], buildargs))
        self.present.add(tag)
        return [{"stream": "done"}]


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all that goes into the image, to be changed."""
    shutil.copytree(image.ROOT / "docker", tmp_path / "docker")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "node.py").write_text("first = 1\n")
    monkeypatch.setattr(image, "ROOT", tmp_path)
    monkeypatch.setattr(image, "_packages", lambda *_: {})
    return tmp_path


def built(engine: Engine) -> list[str]:
    """Which layers an `ensure_image` builds now."""
    engine.built.clear()
    image.ensure_image(engine, lambda line: None)  # type: ignore[arg-type]
    return [name.removeprefix("splitbrain-") for name, _ in engine.built]


def test_a_change_in_the_store_builds_only_the_last_layer(recipe: Path) -> None:
    engine = Engine({"debian:bookworm"})
    assert built(engine) == ["base", "packages", "node"]
    assert built(engine) == []
    (recipe / "store" / "node.py").write_text("first = 2\n")
    assert built(engine) == ["node"]


def test_a_change_in_the_base_builds_everything(recipe: Path) -> None:
    engine = Engine({"debian:bookworm"})
    built(engine)
    with (recipe / "docker" / "base.Dockerfile").open("a") as file:
        file.write("# changed\n")
    assert built(engine) == ["base", "packages", "node"]


def test_another_version_of_what_the_store_needs_builds_its_layer(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine({"debian:bookworm"})
    built(engine)
    monkeypatch.setattr(image, "version", lambda name: "0.0.1")
    assert built(engine) == ["packages", "node"]


def test_a_file_that_is_no_source_does_not_count(recipe: Path) -> None:
    engine = Engine({"debian:bookworm"})
    built(engine)
    (recipe / "store" / "__pycache__").mkdir()
    (recipe / "store" / "__pycache__" / "node.pyc").write_bytes(b"x")
    assert built(engine) == []


def test_a_base_that_is_present_is_not_pulled(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_pull", lambda *_: pytest.fail("pulled"))
    engine = Engine({"python:3.11-slim"})
    built(engine)
    assert engine.built[0][1]["FROM"] == "python:3.11-slim"


def test_without_a_base_and_without_debootstrap_the_remedy_is_told(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "_pull", lambda *_: None)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(EnvironmentFailure, match="apt-get install debootstrap"):
        built(Engine(set()))


def test_a_failed_debootstrap_shows_its_last_words(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_pull", lambda *_: None)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/sbin/debootstrap")
    (recipe / "docker" / "base.sh").write_text("echo 'I: Retrieving x' >&2; echo 'E: no mirror' >&2; exit 1\n")
    with pytest.raises(EnvironmentFailure, match=r"debootstrap failed \(E: no mirror\).*sudo make image"):
        built(Engine(set()))


def test_a_base_in_the_making_ends_when_it_is_told_to(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_pull", lambda *_: None)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/sbin/debootstrap")
    # The shell waits for a child: the child has to be told as well.
    (recipe / "docker" / "base.sh").write_text("trap 'exit 130' TERM; echo 'I: Retrieving x' >&2; sleep 600\n")
    stop = threading.Event()
    said: list[str] = []

    def progress(line: str) -> None:
        said.append(line)
        if "retrieving" in line:
            stop.set()

    with pytest.raises(EnvironmentFailure, match="interrupted"):
        image.ensure_image(Engine(set()), progress, stop)  # type: ignore[arg-type]
    assert "image: debootstrap: retrieving packages" in said


def test_an_installed_package_without_the_recipe_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "ROOT", tmp_path)
    with pytest.raises(EnvironmentFailure, match=r"recipe is missing.*checkout of the repository"):
        image.ensure_image(Engine(set()), lambda line: None)  # type: ignore[arg-type]


def test_equal_files_make_equal_build_contexts() -> None:
    files = {"store/b.py": b"2", "store/a.py": b"1"}
    assert image._context(files).read() == image._context(dict(reversed(files.items()))).read()


def test_the_image_that_runs_is_found_again(docker_engine: DockerClient) -> None:
    first = image.ensure_image(docker_engine, print)
    lines: list[str] = []
    assert image.ensure_image(docker_engine, lines.append) == first
    assert lines == []


def test_the_command_ends_in_3_and_one_line_without_an_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/missing.sock")
    lines: list[str] = []
    assert image.main(lines.append) == 3
    assert len(lines) == 1
    assert lines[0].startswith("splitbrain: can't reach the Docker engine")
