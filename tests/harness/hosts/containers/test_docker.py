from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient

from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.hosts import DockerEnvironment
from splitbrain.harness.hosts.containers import docker as environment_module
from splitbrain.harness.hosts.containers import sidecar

ROOT = Path(__file__).parents[4]
Held = Callable[[str], list[str]]

OPENER = """
import asyncio, signal
from splitbrain.harness.hosts import DockerEnvironment

async def main():
    task = asyncio.current_task()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    environment = DockerEnvironment(["n1", "n2"])
    print(environment.run, flush=True)
    try:
        await environment.open(lambda line: print(line, flush=True))
        print("open", flush=True)
        await asyncio.Event().wait()
    finally:
        await environment.close()

asyncio.run(main())
"""


def attributes(docker_engine: DockerClient, cluster: Any, node: str) -> dict[str, Any]:
    return dict(docker_engine.containers.get(f"splitbrain-{cluster.environment.run}-{node}").attrs)


def test_a_node_may_administer_its_network_and_otherwise_only_let_people_in(
    docker_engine: DockerClient, cluster: Any
) -> None:
    host = attributes(docker_engine, cluster, "n1")["HostConfig"]
    assert not host["Privileged"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    # A fork bomb, or a leak, ends its own node.
    assert (host["PidsLimit"], host["Memory"]) == (4096, 4 << 30)
    # As the kernel numbers them, what root there really has: CHOWN 0, DAC_OVERRIDE 1, FOWNER 3 and KILL 5 for programs
    # with a user of their own; SETGID 6, SETUID 7 and SYS_CHROOT 18 for sshd; NET_ADMIN 12, NET_RAW 13.
    held = int(cluster.shell("n1", "sed -n 's/^CapBnd:\\s*//p' /proc/self/status"), 16)
    assert {bit for bit in range(64) if held >> bit & 1} == {0, 1, 3, 5, 6, 7, 12, 13, 18}


def test_the_network_is_internal_and_nothing_is_published(docker_engine: DockerClient, cluster: Any) -> None:
    # What the engine's word "internal" is worth can't be tried without sending packets to strangers.
    assert docker_engine.networks.get(f"splitbrain-{cluster.environment.run}").attrs["Internal"]
    settings = attributes(docker_engine, cluster, "n1")["NetworkSettings"]
    assert list(settings["Networks"]) == [f"splitbrain-{cluster.environment.run}"]
    assert not any(settings["Ports"].values())


def test_each_node_keeps_its_state_on_a_volume_of_the_runs_own(docker_engine: DockerClient, cluster: Any) -> None:
    run = cluster.environment.run
    mounts = attributes(docker_engine, cluster, "n2")["Mounts"]
    assert [(mount["Name"], mount["Destination"]) for mount in mounts] == [
        (f"splitbrain-{run}-n2", "/var/lib/splitbrain")
    ]


def test_no_two_nodes_have_the_same_host_key(cluster: Any) -> None:
    keys = {cluster.machine(name).connection._login.host_key for name in ("n1", "n2", "n3")}
    assert len(keys) == 3


def test_a_clients_socket_reaches_a_node_and_hears_it_whatever_is_cut_between_nodes(cluster: Any) -> None:
    echo = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 9999)); "
        "data, source = s.recvfrom(99); s.sendto(data[::-1], source)"
    )

    async def ask() -> bytes:
        connection = cluster.machine("n1").connection
        await connection.check(f'setsid python3 -c "{echo}" >/dev/null 2>&1 </dev/null &')
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        endpoint = await cluster.environment.endpoint(lambda datagram, source: heard.put_nowait(datagram))
        try:
            async with asyncio.timeout(20):
                while True:
                    endpoint.send(b"abc", (cluster.machine("n1").host, 9999))
                    try:
                        return await asyncio.wait_for(heard.get(), 0.1)
                    except TimeoutError:
                        continue  # it listens in a moment
        finally:
            endpoint.close()

    names = ("n1", "n2", "n3")
    cluster.run(cluster.network.cut([(a, b) for a in names for b in names if a != b]))
    assert cluster.run(ask()) == b"cba"


def test_a_node_that_was_taken_away_is_named_and_its_connection_closed(docker_engine: DockerClient) -> None:
    async def life() -> tuple[list[str], str]:
        environment = DockerEnvironment(["n1", "n2"])
        try:
            told = [await environment.lost()]
            await environment.open(print)
            told.append(await environment.lost())
            container = docker_engine.containers.get(f"splitbrain-{environment.run}-n2")
            command = asyncio.create_task(environment.machines["n2"].connection.run("sleep 20"))
            container.pause()
            async with asyncio.timeout(10):
                told.append(await environment.watch())
                with pytest.raises(EnvironmentFailure) as cut_off:
                    await command
            return told, str(cut_off.value)
        finally:
            await environment.close()

    told, cut_off = asyncio.run(life())
    assert told == ["", "", "container n2 was paused from outside"]
    assert "n2" in cut_off


def test_an_engine_that_answers_no_longer_is_a_loss_too(docker_engine: DockerClient) -> None:
    async def life() -> str:
        environment = DockerEnvironment(["n1"])
        try:
            await environment.open(print)
            client = environment._client
            assert client is not None
            environment._client = DockerClient("unix:///no/such.sock", version="1.41")
            try:
                return await environment.watch()
            finally:
                environment._client = client
        finally:
            await environment.close()

    assert "can't look at the container of n1" in asyncio.run(life())


def test_close_leaves_nothing_and_may_be_called_again(docker_engine: DockerClient, held: Held) -> None:
    async def life() -> tuple[str, list[str]]:
        environment = DockerEnvironment(["n1", "n2"])
        try:
            await environment.open(print)
            while_open = held(environment.run)
        finally:
            await environment.close()
            await environment.close()
        return environment.run, while_open

    run, while_open = asyncio.run(life())
    assert len(while_open) == 5, "two containers, one network, two volumes"
    assert held(run) == []


def test_a_close_before_any_open_is_no_failure() -> None:
    asyncio.run(DockerEnvironment(["n1"]).close())


def test_an_open_after_the_close_is_refused() -> None:
    async def reopen() -> None:
        environment = DockerEnvironment(["n1"])
        await environment.close()
        await environment.open(print)

    with pytest.raises(EnvironmentFailure, match="make a new one"):
        asyncio.run(reopen())


def test_a_node_that_does_not_come_up_is_named_with_the_end_of_its_log(
    docker_engine: DockerClient, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without SYS_CHROOT sshd starts, and hangs up on everybody.
    monkeypatch.setattr(sidecar, "CAPABILITIES", ("NET_ADMIN",))
    monkeypatch.setattr(environment_module, "SSH_DEADLINE_S", 0.5)
    environment = DockerEnvironment(["n1"])

    async def life() -> None:
        try:
            await environment.open(print)
        finally:
            await environment.close()

    with pytest.raises(EnvironmentFailure, match=r"n1 .* does not answer.*; the end of its log: .*chroot"):
        asyncio.run(life())
    assert held(environment.run) == []


def test_a_missing_image_is_reported_in_one_line_and_leaves_nothing(
    docker_engine: DockerClient, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "splitbrain.harness.hosts.containers.image.ensure_image", lambda *_: "splitbrain-node:never-built"
    )
    environment = DockerEnvironment(["n1"])

    async def life() -> None:
        try:
            await environment.open(print)
        finally:
            await environment.close()

    with pytest.raises(EnvironmentFailure, match=r"image is missing.*make image") as caught:
        asyncio.run(life())
    assert "\n" not in str(caught.value)
    assert held(environment.run) == []


@pytest.mark.parametrize("moment", ["opening", "open"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_an_interrupted_run_leaves_nothing(
    docker_engine: DockerClient, held: Held, moment: str, number: signal.Signals
) -> None:
    with subprocess.Popen([sys.executable, "-c", OPENER], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        run = process.stdout.readline().strip()
        if moment == "open":
            for line in process.stdout:
                if line == "open\n":
                    break
        else:
            while not held(run):  # the network is there, the containers are on their way
                assert process.poll() is None
        process.send_signal(number)
        process.wait(30)
    assert process.returncode != 0
    assert held(run) == []


def test_what_could_not_be_removed_is_reported_and_does_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(
        "splitbrain.harness.hosts.containers.leftovers.remove", lambda client, run: ([], ["volume x (in use)"])
    )

    async def life() -> None:
        environment = DockerEnvironment(["n1"])
        environment._client = DockerClient("unix:///nowhere", version="1.41")
        environment._progress = said.append
        await environment.close()

    asyncio.run(life())
    assert said == ["warning: not removed: volume x (in use); `splitbrain clean` tries again"]
