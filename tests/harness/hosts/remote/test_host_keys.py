from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import paramiko
import pytest

from splitbrain.harness.hosts import KeyPair
from splitbrain.harness.hosts.remote import host_keys
from splitbrain.harness.hosts.remote.host_keys import known_keys
from splitbrain.harness.hosts.remote.hosts_file import Host

ONE, OTHER = KeyPair.generate().public, KeyPair.generate().public
RSA = paramiko.RSAKey.generate(2048)
PRIVATE = paramiko.Ed25519Key.from_private_key(io.StringIO(KeyPair.generate().private.decode()))
Know = Callable[[str], None]


def host(address: str = "db.example", port: int = 22, host_key: str = "") -> Host:
    return Host("db1", address, port, "root", PRIVATE, False, host_key)


@pytest.fixture
def know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Know:
    """Writes the user's known_hosts."""
    monkeypatch.setattr(host_keys, "KNOWN_HOSTS", ("~/.ssh/known_hosts",))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()

    def written(text: str) -> None:
        (tmp_path / ".ssh" / "known_hosts").write_text(text)

    return written


def test_nothing_is_known_where_there_is_no_file(know: Know) -> None:
    assert known_keys(host(), "10.0.0.1") == ""


@pytest.mark.parametrize("name", ["db.example", "10.0.0.1", "x,db.example,y"])
def test_a_host_is_known_by_its_name_or_its_number(know: Know, name: str) -> None:
    know(f"# comment\n\n{name} {ONE} and a comment\n")
    assert known_keys(host(), "10.0.0.1") == ONE


def test_a_hashed_name_counts(know: Know) -> None:
    know(f"{paramiko.HostKeys.hash_host('db.example')} {ONE}\n{paramiko.HostKeys.hash_host('other')} {OTHER}\n")
    assert known_keys(host(), "10.0.0.1") == ONE


def test_another_port_is_another_host(know: Know) -> None:
    know(f"db.example {ONE}\n[db.example]:2222 {OTHER}\n")
    assert (known_keys(host(), "10.0.0.1"), known_keys(host(port=2222), "10.0.0.1")) == (ONE, OTHER)


def test_a_host_may_have_several_keys(know: Know) -> None:
    rsa = f"{RSA.get_name()} {RSA.get_base64()}"
    know(f"db.example {ONE}\n10.0.0.1 {rsa}\n")
    assert sorted(known_keys(host(), "10.0.0.1").splitlines()) == sorted([ONE, rsa])


def test_a_revoked_key_is_no_known_key(know: Know) -> None:
    know(f"db.example {ONE}\n@revoked * {ONE}\n")
    assert known_keys(host(), "10.0.0.1") == ""


@pytest.mark.parametrize(
    "line", ["db.example", "db.example ssh-ed25519", "db.example ssh-ed25519 AAAA", "db.example ssh-ed25519 %%%", "@cert-authority *.example {}", "db.example ssh-new AAAAC3Nz", "\0\x1b"]
)  # fmt: skip
def test_a_line_that_says_nothing_is_passed_over(know: Know, line: str) -> None:
    know(f"{line.format(OTHER)}\ndb.example {ONE}\n")
    assert known_keys(host(), "10.0.0.1") == ONE


def test_the_file_of_hosts_has_the_last_word(know: Know) -> None:
    know(f"db.example {ONE}\n")
    assert known_keys(host(host_key=OTHER), "10.0.0.1") == OTHER
