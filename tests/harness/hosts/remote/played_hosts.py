"""Hosts that somebody else has set up, played by containers: a user with sudo, no login as root, keys of their own."""

from __future__ import annotations

import io
import secrets
import tarfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from docker.client import DockerClient
from docker.models.containers import Container

from splitbrain.harness.catalogue import system
from splitbrain.harness.hosts import KeyPair
from splitbrain.harness.hosts.containers.image import ensure_image
from splitbrain.harness.hosts.containers.leftovers import labels, remove

USER = "tester"
SSHD = """
Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin no
AuthenticationMethods publickey
UsePAM no
UseDNS no
"""
SUDOERS = f"""
Defaults env_keep += "PYTHONPATH"
{USER} ALL=(ALL) NOPASSWD: ALL
"""
DEADLINE_S = 30.0


class PlayedHost:
    """One of them. name: in the file of hosts. host_key: its public key."""

    def __init__(self, name: str, container: Container, address: str, host_key: KeyPair) -> None:
        self.name = name
        self.container = container
        self.address = address
        self.host_key = host_key.public

    def shell(self, script: str) -> str:
        """As root. What a script says; it must not fail."""
        status, said = self.container.exec_run(["sh", "-c", script])
        assert status == 0, said.decode()
        return said.decode().strip()

    @contextmanager
    def sshd(self, line: str) -> Iterator[None]:
        """With one more line in the configuration of its sshd."""
        file = "/etc/ssh/sshd_config"
        before = self.shell(f"cat {file}")
        try:
            self.put(file, f"{before}\n{line}\n")
            self._reload()
            yield
        finally:
            self.put(file, before + "\n")
            self._reload()

    def _reload(self) -> None:
        """Have sshd read its configuration again, and wait until it has."""
        listening = b"Server listening on 0.0.0.0"
        before, until = self.container.logs().count(listening), time.monotonic() + DEADLINE_S
        self.shell("kill -HUP $(cat /run/sshd.pid)")
        while self.container.logs().count(listening) == before:
            assert time.monotonic() < until, "sshd does not listen again"
            time.sleep(0.05)

    def await_sshd(self) -> None:
        """Until it listens."""
        until = time.monotonic() + DEADLINE_S
        while "LISTEN" not in self.shell("grep -q ':0016 ' /proc/net/tcp && echo LISTEN; :"):
            assert time.monotonic() < until, "sshd does not listen"
            time.sleep(0.05)

    def put(self, path: str, content: str, mode: int = 0o644) -> None:
        """Write a file there, as root."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content.encode()), mode
            tar.addfile(entry, io.BytesIO(content.encode()))
        self.container.put_archive("/", buffer.getvalue())

    def rules(self) -> list[str]:
        """What iptables says of us."""
        return [line for line in self.shell("iptables -w 5 -S").splitlines() if "splitbrain" in line]

    def traces(self) -> list[str]:
        """What a run has left: rules, files, processes."""
        named = "/var/lib/splitbrain-run* /run/splitbrain.* /dev/shm/splitbrain /var/log/splitbrain /usr/local/lib/splitbrain-*"
        files = self.shell(
            f"ls -d {named} 2>/dev/null; find /var/lib/splitbrain -mindepth 1 2>/dev/null; :"
        ).splitlines()
        marked = self.shell("grep -l -a -z SPLITBRAIN_RUN= /proc/[0-9]*/environ 2>/dev/null; :").splitlines()
        return [*self.rules(), *files, *marked]


class PlayedHosts:
    """Several of them, and the key that gets in. folder: for files of ours."""

    def __init__(self, hosts: Sequence[PlayedHost], key: KeyPair, folder: Path) -> None:
        self.hosts = hosts
        self.folder = folder
        self.key = folder / "key"
        self.key.write_bytes(key.private)
        self.key.chmod(0o600)

    def __getitem__(self, name: str) -> PlayedHost:
        return next(host for host in self.hosts if host.name == name)

    def file(self, **changes: str) -> Path:
        """A file that names them. changes: what stands at the top instead, as TOML."""
        shared = {"user": f'"{USER}"', "key": f'"{self.key}"', "sudo": "true", **changes}
        lines = [f"{name} = {value}" for name, value in shared.items() if value]
        for host in self.hosts:
            lines += ["", "[[host]]", f'name = "{host.name}"', f'address = "{host.address}"']
            lines += [] if "host_key" in changes else [f'host_key = "{host.host_key}"']
        path = self.folder / f"hosts-{secrets.token_hex(4)}.toml"
        path.write_text("\n".join(lines) + "\n")
        return path


@contextmanager
def played(engine: DockerClient, names: Sequence[str], folder: Path) -> Iterator[PlayedHosts]:
    """Hosts of these names while it lasts. Building their image takes a minute, once."""
    made_of = system("dynamo").image()
    image = ensure_image(engine, replace(made_of, debian=(*made_of.debian, "sudo")), print, threading.Event())
    run, key = f"play{secrets.token_hex(4)}", KeyPair.generate()
    marks = labels(run)
    try:
        network = engine.networks.create(f"splitbrain-{run}", driver="bridge", internal=True, labels=marks)
        hosts = [_host(engine, image, name, str(network.name), run, key) for name in names]
        yield PlayedHosts(hosts, key, folder)
    finally:
        _, failed = remove(engine, run)
        assert failed == []


def _host(engine: DockerClient, image: str, name: str, network: str, run: str, key: KeyPair) -> PlayedHost:
    # As a host would be: none of the precautions of the harness's own containers, which would keep sudo from working.
    container = engine.containers.create(
        image,
        name=f"splitbrain-{run}-{name}",
        hostname=name,
        labels=labels(run),
        network=network,
        cap_add=["NET_ADMIN"],
        init=True,
    )
    host_key = KeyPair.generate()
    started = PlayedHost(name, container, "", host_key)
    config = next(iter(container.get_archive("/etc/ssh/sshd_config")[0]))
    with tarfile.open(fileobj=io.BytesIO(config)) as tar:
        before = tar.extractfile("sshd_config")
        assert before is not None
        path = next(line for line in before.read().decode().splitlines() if line.startswith("SetEnv"))
    started.put("/etc/ssh/sshd_config", f"{SSHD}{path}\n")
    started.put("/etc/ssh/ssh_host_ed25519_key", host_key.private.decode(), 0o600)
    started.put("/etc/sudoers.d/tester", SUDOERS, 0o440)
    container.start()
    # The node image brings its own shims; hosts have none.
    started.shell(f"rm -rf /usr/local/lib/splitbrain /var/log/splitbrain; useradd -m -s /bin/sh {USER}")
    started.shell(f"mkdir -m 700 /home/{USER}/.ssh && echo '{key.public}' > /home/{USER}/.ssh/authorized_keys")
    started.shell(f"chown -R {USER} /home/{USER}/.ssh && usermod -p '*' {USER}")
    container.reload()
    started.await_sshd()
    address = container.attrs["NetworkSettings"]["Networks"][network]["IPAddress"]
    return PlayedHost(name, container, address, host_key)
