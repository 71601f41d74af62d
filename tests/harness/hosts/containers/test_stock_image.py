from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient

from splitbrain import NodeImage, Program
from splitbrain.harness.environment import ClockSetting, EnvironmentFailure
from splitbrain.harness.hosts import DockerEnvironment
from splitbrain.harness.hosts.containers import stock_image
from splitbrain.harness.hosts.ssh_machine import SshMachine
from tests.harness.hosts.containers.register_system import IMAGE, PORT, RegisterConnection, imported

DYNAMIC = "splitbrain-test-register:dynamic"


class Nodes:
    """Two nodes of a stock image, and the loop that their connections belong to."""

    def __init__(self, runner: asyncio.Runner, image: str) -> None:
        self.run = runner.run
        self.environment = DockerEnvironment(["n1", "n2"], NodeImage(stock=image, files={"/etc/own.conf": b"mine"}))

    def machine(self, name: str) -> SshMachine:
        machine = self.environment.machines[name]
        assert isinstance(machine, SshMachine)
        return machine

    def shell(self, name: str, script: str) -> str:
        """What a script says in the node's sidecar."""
        return self.run(self.machine(name).connection.check(script)).text

    def server(self, name: str, *, preload: bool = False, how: str = "") -> Program:
        host = self.machine(name).host
        command = ("/server", "/data", str(PORT), host, host, *([how] if how else []))
        return Program("register", command, {"/data/deep/secret.key": b"secret"}, "/data", preload)

    def ask(self, name: str, what: Callable[[RegisterConnection], Coroutine[Any, Any, Any]]) -> Any:
        async def asked() -> Any:
            connection = await RegisterConnection(self.machine(name).host).open(self.environment)
            try:
                return await what(connection)
            finally:
                await connection.close()

        return self.run(asked())


def opened(docker_engine: DockerClient, folder: Path, image: str, *, static: bool) -> Iterator[Nodes]:
    imported(docker_engine, folder, image, static=static)
    with asyncio.Runner() as runner:
        nodes = Nodes(runner, image)
        try:
            runner.run(nodes.environment.open(print))
            yield nodes
        finally:
            runner.run(nodes.environment.close())


@pytest.fixture(scope="module")
def all_nodes(docker_engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    yield from opened(docker_engine, tmp_path_factory.mktemp("server"), IMAGE, static=True)


@pytest.fixture
def nodes(all_nodes: Nodes) -> Iterator[Nodes]:
    yield all_nodes
    for name in ("n1", "n2"):
        all_nodes.run(all_nodes.machine(name).kill())
        all_nodes.run(all_nodes.machine(name).wipe())


@pytest.fixture(scope="module")
def dynamic(docker_engine: DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    yield from opened(docker_engine, tmp_path_factory.mktemp("server"), DYNAMIC, static=False)


def test_an_image_without_a_shell_runs_a_program_with_the_images_own_variables_and_no_others(nodes: Nodes) -> None:
    nodes.run(nodes.machine("n1").start(nodes.server("n1")))
    found = nodes.shell("n1", "read -r pid born < /run/splitbrain.pid; tr '\\0' '\\n' < /proc/$pid/environ")
    names = {line.partition("=")[0]: line.partition("=")[2] for line in found.splitlines()}
    assert names["WHERE"] == "inside"
    assert {name for name in names if name.startswith(("SSH", "PYTHON"))} == set()
    assert nodes.ask("n1", lambda connection: connection.read("x")) is None
    # Nothing of the sidecar's is in the node.
    assert nodes.shell("n1", "ls /proc/1/root/bin 2>&1 || true").endswith("No such file or directory")
    assert nodes.shell("n1", "cat /proc/1/root/etc/own.conf") == "mine"


def test_files_and_data_behind_an_absolute_link_are_the_nodes_own(nodes: Nodes) -> None:
    machine = nodes.machine("n1")
    nodes.run(machine.start(nodes.server("n1")))
    nodes.ask("n1", lambda connection: connection.write("x", 3))
    root = "/proc/1/root/store"
    assert nodes.shell("n1", f"cat {root}/log {root}/deep/secret.key; stat -c %a {root}/deep/secret.key") == (
        "x 3\nsecret600"
    )
    assert nodes.shell("n1", "ls -d /store /data 2>/dev/null || true") == ""
    nodes.run(machine.kill())
    assert nodes.run(machine.flip_bit(1)).split(",")[0] in ("log", "deep/secret.key")
    nodes.run(machine.wipe())
    assert nodes.shell("n1", f"ls -A {root}") == ""


def test_a_killed_program_is_gone_and_leaves_no_zombie_and_what_it_wrote_stays(nodes: Nodes) -> None:
    machine = nodes.machine("n1")
    nodes.run(machine.start(nodes.server("n1")))
    nodes.ask("n1", lambda connection: connection.write("x", 4))
    nodes.run(machine.kill())
    assert not nodes.run(machine.running())
    assert nodes.shell("n1", "ps -e -o stat=,comm= | grep -v ' ps$' | grep '^Z' || true") == ""
    nodes.run(machine.start(nodes.server("n1")))
    assert nodes.ask("n1", lambda connection: connection.read("x")) == 4
    assert nodes.run(machine.logs())["register.log"].splitlines()[-1] == b"serving as primary with 1 keys"


def test_a_paused_program_does_not_answer_and_its_neighbour_does(nodes: Nodes) -> None:
    for name in ("n1", "n2"):
        nodes.run(nodes.machine(name).start(nodes.server(name)))
    nodes.run(nodes.machine("n1").pause())

    async def waits(connection: RegisterConnection) -> Any:
        task = asyncio.create_task(connection.read("x"))
        done, _ = await asyncio.wait([task], timeout=0.3)
        task.cancel()
        return bool(done)

    assert not nodes.ask("n1", waits)
    assert nodes.ask("n2", lambda connection: connection.read("x")) is None
    nodes.run(nodes.machine("n1").resume())
    assert nodes.ask("n1", lambda connection: connection.read("x")) is None


def test_a_program_that_is_not_in_the_image_is_named_with_what_was_said(nodes: Nodes) -> None:
    with pytest.raises(EnvironmentFailure, match=r"(?s)nothing did not start on n1: .*No such file or directory"):
        nodes.run(nodes.machine("n1").start(Program("nothing", ("/bin/sh", "-c", "true"), preload=False)))


def test_a_static_binary_of_a_stock_image_is_refused_by_the_shims_by_name(nodes: Nodes) -> None:
    with pytest.raises(EnvironmentFailure, match=r"n1: /server is a static binary.*Program\(preload=False\)"):
        nodes.run(nodes.machine("n1").start(nodes.server("n1", preload=True)))


def test_a_power_cut_takes_what_a_program_of_a_stock_image_has_not_synced(dynamic: Nodes) -> None:
    machine = dynamic.machine("n1")
    dynamic.run(machine.start(dynamic.server("n1", preload=True)))
    dynamic.ask("n1", lambda connection: connection.write("x", 1))
    assert dynamic.run(machine.power_cut()).undone == 0
    dynamic.run(machine.start(dynamic.server("n1", preload=True, how="unsynced")))
    dynamic.ask("n1", lambda connection: connection.write("x", 2))
    cut = dynamic.run(machine.power_cut())
    assert (cut.undone, cut.undone_bytes) == (1, len(b"x 2\n"))
    dynamic.run(machine.start(dynamic.server("n1", preload=True)))
    assert dynamic.ask("n1", lambda connection: connection.read("x")) == 1
    dynamic.run(machine.kill())


def test_the_clock_of_a_stock_image_is_read_back_as_it_was_set(dynamic: Nodes) -> None:
    machine = dynamic.machine("n2")
    dynamic.run(machine.start(dynamic.server("n2", preload=True)))
    dynamic.run(machine.set_clock(ClockSetting(offset_s=-90)))
    assert dynamic.run(machine.read_clock()) == pytest.approx(-90, abs=1)
    assert "clock" in dynamic.environment.abilities
    dynamic.run(machine.kill())


def test_a_sidecar_that_is_taken_away_is_a_loss_by_name(docker_engine: DockerClient, tmp_path: Path) -> None:
    imported(docker_engine, tmp_path)

    async def life() -> list[str]:
        environment = DockerEnvironment(["n1"], NodeImage(stock=IMAGE))
        try:
            await environment.open(print)
            told = [await environment.lost()]
            docker_engine.containers.get(f"splitbrain-{environment.run}-n1-sidecar").kill()
            return [*told, await environment.watch()]
        finally:
            await environment.close()

    assert asyncio.run(life()) == ["", "container n1's sidecar was stopped from outside (status 137)"]


def ensured(docker_engine: DockerClient, image: NodeImage) -> tuple[str, list[str]]:
    """The tag, and what was told."""
    told: list[str] = []
    beside = stock_image.ensure_stock(docker_engine, image, beside_of(docker_engine), told.append, threading.Event())
    return beside.tag, told


def beside_of(docker_engine: DockerClient) -> str:
    from splitbrain.harness.hosts.containers.image import ensure_image

    return ensure_image(docker_engine, NodeImage(), print)


def test_an_image_that_is_not_here_and_can_t_be_pulled_is_refused_with_the_remedy(
    docker_engine: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stock_image, "pull", lambda *_: None)
    with pytest.raises(EnvironmentFailure, match=r"image nobody/has:this is not on this machine .*`docker load`"):
        ensured(docker_engine, NodeImage(stock="nobody/has:this"))


def test_an_image_that_is_here_is_not_pulled_and_found_again(
    docker_engine: DockerClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stock_image, "pull", lambda *_: pytest.fail("pulled"))
    image = NodeImage(stock=imported(docker_engine, tmp_path, "splitbrain-test-register:again"))
    tag, _ = ensured(docker_engine, image)
    assert ensured(docker_engine, image) == (tag, [])


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A folder with a Dockerfile that needs no other image."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nENV OWN=yes\nCOPY data /data\n")
    (folder / ".dockerignore").write_text("notes.txt\n")
    (folder / "data").write_text(secrets.token_hex(8))
    return folder


def test_a_dockerfile_is_built_and_again_when_something_in_its_folder_changed(
    docker_engine: DockerClient, recipe: Path
) -> None:
    first, told = ensured(docker_engine, NodeImage(dockerfile=recipe))
    assert any("Step 3/3 : COPY data /data" in line for line in told)
    (recipe / "notes.txt").write_text("left out by .dockerignore")
    assert ensured(docker_engine, NodeImage(dockerfile=recipe / "Dockerfile")) == (first, [])
    (recipe / "data").write_text("2")
    second, _ = ensured(docker_engine, NodeImage(dockerfile=recipe))
    assert second != first
    assert "OWN=yes" in docker_engine.images.get(second).attrs["Config"]["Env"]


def test_a_dockerfile_that_can_t_be_built_is_one_line_with_its_step(docker_engine: DockerClient, recipe: Path) -> None:
    (recipe / "Dockerfile").write_text("FROM scratch\nCOPY missing /missing\n")
    with pytest.raises(EnvironmentFailure, match=r"can't build .*own/Dockerfile: .*missing") as refused:
        ensured(docker_engine, NodeImage(dockerfile=recipe))
    assert "\n" not in str(refused.value)


def test_a_dockerfile_that_is_not_there_is_named(docker_engine: DockerClient, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match=r"there is no Dockerfile at .*; give its path"):
        ensured(docker_engine, NodeImage(dockerfile=tmp_path))


def test_a_stock_image_is_taken_as_it_is() -> None:
    with pytest.raises(ValueError, match="redis:7 is taken as it is, so debian and python can't be added"):
        NodeImage(stock="redis:7", debian=("procps",))
    with pytest.raises(ValueError, match="either stock"):
        NodeImage(stock="redis:7", dockerfile="here")
