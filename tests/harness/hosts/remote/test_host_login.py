from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.hosts import KeyPair, RemoteEnvironment
from splitbrain.harness.hosts.remote.hosts_file import read_hosts
from tests.harness.hosts.remote.played_hosts import PlayedHosts


def refusal(file: Path, nodes: int = 1) -> str:
    """Why a run on the first hosts of the file is refused; "" if it is not."""

    async def opened() -> None:
        environment = RemoteEnvironment(read_hosts(str(file))[:nodes], file=str(file))
        try:
            await environment.open(lambda line: None)
        finally:
            await environment.close()

    try:
        asyncio.run(opened())
    except EnvironmentFailure as failure:
        assert "\n" not in str(failure)
        return str(failure)
    return ""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without known_hosts."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def test_an_unknown_host_is_refused_with_its_key_and_the_line_that_makes_it_known(
    hosts: PlayedHosts, home: Path
) -> None:
    db1 = hosts["db1"]
    said = refusal(hosts.file(host_key=""))
    shown = db1.shell("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key").split()[1]
    assert said.startswith(f"db1 ({db1.address}) is unknown: it shows the key ssh-ed25519 {shown}; compare it with ")
    line = said.split("then run `")[1].split("`")[0]
    assert line == f"ssh-keyscan -t ed25519 {db1.address} >> ~/.ssh/known_hosts"
    if shutil.which("ssh-keyscan") is None:
        pytest.skip("no ssh-keyscan on this machine (apt-get install openssh-client)")
    subprocess.run(line, shell=True, check=True, capture_output=True)
    assert refusal(hosts.file(host_key="")) == ""


def test_all_hosts_that_can_not_be_used_are_in_one_line(hosts: PlayedHosts, home: Path) -> None:
    said = refusal(hosts.file(host_key=""), 3)
    assert [host.name for host in hosts.hosts if f"{host.name} ({host.address}) is unknown" in said] == [
        "db1",
        "db2",
        "db3",
    ]


def test_another_key_than_the_known_one_is_refused(hosts: PlayedHosts, home: Path) -> None:
    (home / ".ssh" / "known_hosts").write_text(f"{hosts['db1'].address} {KeyPair.generate().public}\n")
    assert "db1" in refusal(hosts.file(host_key=""))
    assert "shows another host key than the pinned one" in refusal(hosts.file(host_key=""))


def test_a_host_known_by_a_key_that_it_does_not_have_any_more_is_refused(hosts: PlayedHosts, home: Path) -> None:
    import paramiko

    old = paramiko.RSAKey.generate(2048)
    (home / ".ssh" / "known_hosts").write_text(f"{hosts['db1'].address} ssh-rsa {old.get_base64()}\n")
    assert "shows no host key of the kind that is known of it" in refusal(hosts.file(host_key=""))


def test_a_key_that_does_not_get_in_is_refused_with_the_user(hosts: PlayedHosts, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(KeyPair.generate().private)
    (tmp_path / "other").chmod(0o600)
    said = refusal(hosts.file(key=f'"{tmp_path / "other"}"'))
    assert f"db1 ({hosts['db1'].address}) refuses the login of tester" in said


def test_root_may_not_log_in_there(hosts: PlayedHosts) -> None:
    assert "refuses the login of root" in refusal(hosts.file(user=""))


def test_a_host_that_is_not_there_is_refused(hosts: PlayedHosts) -> None:
    file = hosts.file()
    file.write_text(file.read_text().replace(f'"{hosts["db1"].address}"', '"127.0.0.1"\nport = 9'))
    assert "db1 (127.0.0.1) does not answer within 10 s" in refusal(file)


def test_an_address_that_means_nothing_is_refused(hosts: PlayedHosts) -> None:
    file = hosts.file()
    file.write_text(file.read_text().replace(f'"{hosts["db1"].address}"', '"nowhere.invalid"'))
    assert refusal(file).startswith("db1: the address nowhere.invalid can't be resolved (")


def test_a_user_who_is_not_root_needs_sudo(hosts: PlayedHosts) -> None:
    assert refusal(hosts.file(sudo="")) == "db1: tester is not root there; set sudo = true, and allow tester to use it"


def test_sudo_that_asks_for_a_password_is_refused(hosts: PlayedHosts) -> None:
    hosts["db1"].put("/etc/sudoers.d/zz-asks", "tester ALL=(ALL) PASSWD: ALL\n", 0o440)
    try:
        said = refusal(hosts.file())
    finally:
        hosts["db1"].shell("rm /etc/sudoers.d/zz-asks")
    assert said == (
        "db1: tester does not become root unasked (sudo: a password is required); "
        "allow it in /etc/sudoers.d there: tester ALL=(ALL) NOPASSWD: ALL"
    )


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("/usr/bin/sudo", "db1 has no sudo (sh: 1: exec: sudo: not found); install it there, or log in as root"),
        ("/usr/sbin/iptables", "db1 lacks iptables; install that there (`apt-get install iptables`)"),
        (
            "/usr/bin/python3 /usr/bin/pgrep",
            "db1 lacks python3, pgrep; install that there (`apt-get install python3 procps`)",
        ),
    ],
)
def test_what_a_host_lacks_is_said_by_name(hosts: PlayedHosts, files: str, said: str) -> None:
    hosts["db1"].shell(f"mkdir /root/away && mv {files} /root/away")
    try:
        assert refusal(hosts.file()) == said
    finally:
        hosts["db1"].shell(f"for file in {files}; do mv /root/away/${{file##*/}} $file; done; rmdir /root/away")


def test_a_python_that_is_too_old_is_refused(hosts: PlayedHosts) -> None:
    hosts["db1"].put("/usr/local/bin/python3", "#!/bin/sh\necho python 3 5\n", 0o755)
    try:
        assert refusal(hosts.file()) == "db1 has Python 3.5; install 3.8 or newer there, as python3"
    finally:
        hosts["db1"].shell("rm /usr/local/bin/python3")


def test_root_needs_no_sudo(hosts: PlayedHosts) -> None:
    db1 = hosts["db1"]
    keys = "/root/.ssh/authorized_keys"
    db1.shell(f"mkdir -p -m 700 /root/.ssh && cp /home/tester/.ssh/authorized_keys {keys} && chown root {keys}")
    try:
        with db1.sshd("Match User root\nPermitRootLogin prohibit-password"):
            assert refusal(hosts.file(user="", sudo="")) == ""
    finally:
        db1.shell(f"rm {keys}")


def test_another_port_is_reached_and_passes_whatever_is_cut(hosts: PlayedHosts) -> None:
    db1, file = hosts["db1"], hosts.file()
    file.write_text(file.read_text().replace(f'"{db1.address}"', f'"{db1.address}"\nport = 2222'))

    async def cut() -> None:
        environment = RemoteEnvironment(read_hosts(str(file))[:1], file=str(file))
        try:
            await environment.open(lambda line: None)
            await environment.network.cut([("clients", "db1"), ("db1", "clients")])
            seen = [link for link in await environment.network.observe() if link.cut]
            assert [link.heard for link in seen] == [False, False]
        finally:
            await environment.close()

    with db1.sshd("Port 2222"):
        asyncio.run(cut())
