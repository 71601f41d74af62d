from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docker.client import DockerClient

from splitbrain.harness.hosts.containers.leftovers import Owner, find, labels, remove, remove_leftovers

ROOT = Path(__file__).parents[4]
Held = Callable[[str], list[str]]

# It opens an environment, says so, and waits for the end.
OPENER = """
import asyncio, sys
from splitbrain.harness.environment import Conditions
from splitbrain.harness.hosts import DockerEnvironment

async def main():
    environment = DockerEnvironment(["n1", "n2"])
    await environment.open(lambda line: None)
    # What is under way must not keep anything from being removed.
    await environment.network.cut([("n2", "n1")])
    if "degrade" in environment.abilities:
        await environment.network.degrade([("n1", "n2")], Conditions(hold=True))
    print(environment.run, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def opener(docker_engine: DockerClient) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process with an open environment, and its run."""
    with subprocess.Popen([sys.executable, "-c", OPENER], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        run = process.stdout.readline().strip()
        try:
            yield process, run
        finally:
            process.kill()
            process.wait()
            remove(docker_engine, run)


def test_what_a_sigkill_left_is_found_and_removed_but_not_while_the_owner_lives(
    docker_engine: DockerClient, held: Held, opener: tuple[subprocess.Popen[str], str]
) -> None:
    process, run = opener
    remove_leftovers(client=docker_engine)
    assert len(held(run)) == 5, "its owner is alive"
    assert {left.run: left.life for left in find(docker_engine)}[run] == "alive"

    process.kill()
    process.wait()
    left = next(left for left in find(docker_engine) if left.run == run)
    assert (left.life, left.counts) == ("dead", "2 containers, 1 network, 2 volumes")
    removed = remove_leftovers(client=docker_engine)
    assert {f"container splitbrain-{run}-n1", f"network splitbrain-{run}", f"volume splitbrain-{run}-n2"} <= set(
        removed
    )
    assert held(run) == []


def test_what_an_owner_elsewhere_has_made_is_left_alone_and_reported(docker_engine: DockerClient, held: Held) -> None:
    marks = labels("elsewhere") | {"splitbrain.owner": "1 1 another-machine/another-boot/pid:[1]"}
    docker_engine.volumes.create("splitbrain-test-elsewhere", labels=marks)
    try:
        said: list[str] = []
        remove_leftovers(said.append, client=docker_engine)
        assert held("elsewhere") == ["splitbrain-test-elsewhere"]
        assert any("left alone: run elsewhere (1 volume)" in line for line in said)
    finally:
        remove(docker_engine, "elsewhere")


def test_what_is_in_use_is_reported_and_the_rest_is_removed(docker_engine: DockerClient, held: Held) -> None:
    # A container without the label holds on to the volume.
    docker_engine.volumes.create("splitbrain-test-busy", labels=labels("busy"))
    docker_engine.volumes.create("splitbrain-test-idle", labels=labels("busy"))
    image = docker_engine.images.list(name="splitbrain-node")[0]
    holder = docker_engine.containers.create(image, volumes={"splitbrain-test-busy": {"bind": "/x", "mode": "rw"}})
    try:
        removed, failed = remove(docker_engine, "busy")
        assert removed == ["volume splitbrain-test-idle"]
        assert len(failed) == 1
        assert "splitbrain-test-busy" in failed[0]
        assert "in use" in failed[0]
    finally:
        holder.remove(force=True)
        assert remove(docker_engine, "busy") == (["volume splitbrain-test-busy"], [])


def test_this_process_is_alive_and_survives_its_label() -> None:
    owner = Owner.this()
    assert Owner.parse(str(owner)) == owner
    assert owner.life() == "alive"


def test_a_process_that_inherited_the_id_is_not_the_owner() -> None:
    owner = Owner.this()
    assert Owner(owner.pid, str(int(owner.born) - 1), owner.place).life() == "dead"


def test_an_owner_that_has_ended_and_was_not_waited_for_is_dead() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        born = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
        owner = Owner(process.pid, born, Owner.this().place)
        assert owner.life() == "alive"
        process.kill()
        while owner.life() == "alive":
            pass
        assert owner.life() == "dead"


def test_a_reboot_ends_all_owners() -> None:
    machine, _, namespace = Owner.this().place.split("/")
    assert Owner(1, "1", f"{machine}/another-boot/{namespace}").life() == "dead"


@pytest.mark.parametrize("place", ["another-machine/boot/pid:[1]", "x//"])
def test_an_owner_on_another_machine_is_unknown(place: str) -> None:
    assert Owner(1, "1", place).life() == "unknown"


def test_an_owner_in_another_namespace_is_unknown() -> None:
    machine, boot, _ = Owner.this().place.split("/")
    assert Owner(1, "1", f"{machine}/{boot}/pid:[1]").life() == "unknown"


@pytest.mark.parametrize("label", ["", "x y z", "12", "12 34"])
def test_a_label_that_names_no_process_is_no_owner(label: str) -> None:
    assert Owner.parse(label) is None
