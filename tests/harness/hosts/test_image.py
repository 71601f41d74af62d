from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient
from docker.errors import ImageNotFound

from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.hosts import image, shim_build
from splitbrain.harness.system import NodeImage


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
    """A copy of the layers' recipe, to be changed."""
    shutil.copytree(image.LAYERS, tmp_path / "layers")
    monkeypatch.setattr(image, "LAYERS", tmp_path / "layers")
    monkeypatch.setattr(image, "_packages", lambda *_: {})
    monkeypatch.setattr(shim_build, "compilable", lambda *_: True)
    monkeypatch.setattr(shim_build, "compiled", lambda sources: {})
    return tmp_path / "layers"


NODE = NodeImage(python=("click",), files={"/opt/splitbrain/node.py": b"first = 1\n"})


def built(engine: Engine, node: NodeImage = NODE) -> list[str]:
    """Which layers an `ensure_image` builds now."""
    engine.built.clear()
    image.ensure_image(engine, node, lambda line: None)  # type: ignore[arg-type]
    return [name.removeprefix("splitbrain-") for name, _ in engine.built]


def test_a_change_in_the_system_s_files_builds_only_the_last_layer(recipe: Path) -> None:
    engine = Engine({"debian:bookworm"})
    assert built(engine) == ["base", "packages", "shims", "node"]
    assert built(engine) == []
    assert built(engine, replace(NODE, files={"/opt/splitbrain/node.py": b"first = 2\n"})) == ["node"]
    assert built(engine, replace(NODE, executables=("/opt/splitbrain/node.py",))) == ["node"]


def test_a_change_in_the_base_builds_everything(recipe: Path) -> None:
    engine = Engine({"debian:bookworm"})
    built(engine)
    with (recipe / "base.Dockerfile").open("a") as file:
        file.write("# changed\n")
    assert built(engine) == ["base", "packages", "shims", "node"]


def test_a_debian_package_of_the_system_s_own_builds_all_but_the_base(recipe: Path) -> None:
    engine = Engine({"debian:bookworm"})
    built(engine)
    assert built(engine, replace(NODE, debian=("etcd-server",))) == ["debian", "packages", "shims", "node"]
    assert engine.built[0][1]["PACKAGES"].split() == ["etcd-server"]


def test_another_version_of_what_the_nodes_import_builds_its_layer(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine({"debian:bookworm"})
    built(engine)
    monkeypatch.setattr(image, "version", lambda name: "0.0.1")
    assert built(engine) == ["packages", "shims", "node"]


def test_nodes_that_import_nothing_have_no_layer_of_packages(recipe: Path) -> None:
    assert built(Engine({"debian:bookworm"}), NodeImage()) == ["base", "shims", "node"]


def test_a_change_in_a_shim_builds_its_layer_and_the_last(recipe: Path) -> None:
    engine = Engine({"debian:bookworm"})
    built(engine)
    with (recipe / "disk_shim.c").open("a") as file:
        file.write("/* changed */\n")
    assert built(engine) == ["shims", "node"]


def test_shims_are_compiled_in_the_engine_where_this_machine_can_t(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shim_build, "compilable", lambda *_: False)
    monkeypatch.setattr(shim_build, "compiled", lambda sources: pytest.fail("compiled"))
    engine = Engine({"debian:bookworm"})
    built(engine)
    layer, arguments = engine.built[-2]
    assert layer == "splitbrain-shims"
    assert arguments["FLAGS"] == " ".join(shim_build.FLAGS)


def test_a_distribution_that_is_not_installed_is_named(recipe: Path) -> None:
    with pytest.raises(EnvironmentFailure, match=r"need no-such-thing.*pip install no-such-thing"):
        built(Engine({"debian:bookworm"}), NodeImage(python=("no-such-thing",)))


def test_a_base_that_is_present_is_not_pulled(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_pull", lambda *_: pytest.fail("pulled"))
    engine = Engine({"python:3.11-slim"})
    built(engine)
    assert engine.built[0][1]["FROM"] == "python:3.11-slim"


def test_without_a_base_and_without_debootstrap_the_remedy_is_named(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "_pull", lambda *_: None)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(EnvironmentFailure, match="apt-get install debootstrap"):
        built(Engine(set()))


def test_a_failed_debootstrap_shows_the_end_of_its_output(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_pull", lambda *_: None)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/sbin/debootstrap")
    (recipe / "base.sh").write_text("echo 'I: Retrieving x' >&2; echo 'E: no mirror' >&2; exit 1\n")
    with pytest.raises(EnvironmentFailure, match=r"debootstrap failed \(E: no mirror\).*sudo make image"):
        built(Engine(set()))


def test_the_build_of_a_base_image_ends_when_it_is_stopped(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_pull", lambda *_: None)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/sbin/debootstrap")
    # The shell waits for a child: the child has to be told as well.
    (recipe / "base.sh").write_text("trap 'exit 130' TERM; echo 'I: Retrieving x' >&2; sleep 600\n")
    stop = threading.Event()
    said: list[str] = []

    def progress(line: str) -> None:
        said.append(line)
        if "retrieving" in line:
            stop.set()

    with pytest.raises(EnvironmentFailure, match="interrupted"):
        image.ensure_image(Engine(set()), NODE, progress, stop)  # type: ignore[arg-type]
    assert "image: debootstrap: retrieving packages" in said


def test_equal_files_make_equal_build_contexts() -> None:
    files = {"root/b.py": b"2", "root/a.py": b"1"}
    assert image._context(files).read() == image._context(dict(reversed(files.items()))).read()


def test_the_image_that_runs_is_found_again(docker_engine: DockerClient) -> None:
    node = NodeImage(files={"/opt/hello": b"#!/bin/sh\necho hello\n"}, executables=("/opt/hello",))
    first = image.ensure_image(docker_engine, node, print)
    lines: list[str] = []
    assert image.ensure_image(docker_engine, node, lines.append) == first
    assert lines == []
    assert docker_engine.containers.run(first, ["/opt/hello"], remove=True, network_mode="none") == b"hello\n"


def test_the_command_ends_in_3_and_one_line_without_an_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/missing.sock")
    lines: list[str] = []
    assert image.main(lines.append) == 3
    assert len(lines) == 1
    assert lines[0].startswith("splitbrain: can't reach the Docker engine")
