from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from splitbrain.harness.hosts import KeyPair
from splitbrain.harness.hosts.remote.hosts_file import HostsFileProblem, read_hosts

Write = Callable[[str], str]
PUBLIC = KeyPair.generate().public


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of hosts beside a private key, `key`."""
    key = tmp_path / "key"
    key.write_bytes(KeyPair.generate().private)
    key.chmod(0o600)

    def written(text: str) -> str:
        file = tmp_path / "hosts.toml"
        file.write_text(text)
        return str(file)

    return written


def test_what_stands_at_the_top_counts_for_all_and_a_host_may_differ(write: Write) -> None:
    one, two = read_hosts(
        write(
            'key = "key"\nuser = "admin"\nsudo = true\n'
            '[[host]]\nname = "db1"\naddress = "10.0.0.1"\n'
            f'[[host]]\nname = "db2"\naddress = "db.example"\nport = 2222\nuser = "root"\nsudo = false\nhost_key = "{PUBLIC}"\n'
        )
    )
    assert (one.name, one.address, one.port, one.user, one.sudo, one.host_key) == (
        "db1",
        "10.0.0.1",
        22,
        "admin",
        True,
        "",
    )
    assert (two.user, two.sudo, two.host_key, two.known_as) == ("root", False, PUBLIC, "[db.example]:2222")


def test_a_key_is_looked_for_beside_the_file_and_in_the_home_folder(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir("/")
    file = write(
        'key = "key"\n[[host]]\nname = "a"\naddress = "1.2.3.4"\n[[host]]\nname = "b"\naddress = "b"\nkey = "~/key"\n'
    )
    private = paramiko.Ed25519Key.from_private_key(io.StringIO((tmp_path / "key").read_text()))
    assert [host.key for host in read_hosts(file)] == [private, private]


HOST = '[[host]]\nname = "db1"\naddress = "10.0.0.1"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no host; add [[host]]"),
        ("host = 3", "names no host; add [[host]]"),
        ('key = "key"\n[host]\nname = "db1"', "names no host; add [[host]]"),
        ("[host", "is no TOML"),
        (f'keys = "key"\n{HOST}', "unknown setting 'keys' of all hosts; known: port, user, key, sudo, host_key; did you mean key?"),
        (f'key = "key"\nname = "x"\n{HOST}', "unknown setting 'name' of all hosts"),
        (f'{HOST}key = "key"\nadress = "10.0.0.1"', "host 1 (db1): unknown setting 'adress'; known: name, address"),
        (f'key = "key"\n{HOST}port = 70000', "host 1 (db1): port: expected `int` <= 65535"),
        (f'key = "key"\n{HOST}sudo = "yes"', "host 1 (db1): sudo: expected `bool`, got `str`"),
        (f'key = "key"\n{HOST}user = ""', "host 1 (db1): user '' can't be"),
        (f'key = "key"\n{HOST}user = "-x"', "host 1 (db1): user '-x' can't be"),
        (HOST, "host 1 (db1): no key; give the file of the private key that gets in"),
        ('key = "key"\n[[host]]\naddress = "10.0.0.1"', "host 1: name '' can't be"),
        ('key = "key"\n[[host]]\nname = "../x"\naddress = "10.0.0.1"', "host 1 (../x): name '../x' can't be"),
        ('key = "key"\n[[host]]\nname = "clients"\naddress = "10.0.0.1"', "host 1 (clients): name 'clients' can't be"),
        ('key = "key"\n[[host]]\nname = "db1"', "host 1 (db1): address '' can't be"),
        ('key = "key"\n[[host]]\nname = "db1"\naddress = "-oProxyCommand=x"', "host 1 (db1): address '-oProxyCommand=x' can't be"),
        (f'key = "key"\n{HOST}host_key = "SHA256:abc"', "host 1 (db1): host_key: 'SHA256:abc' is no public key"),
        (f'key = "gone"\n{HOST}', "gone (No such file or directory); give another with `key`"),
        (f'key = "hosts.toml"\n{HOST}', "hosts.toml holds no private key"),
        (f'key = "key"\n{HOST}[[host]]\nname = "db1"\naddress = "10.0.0.2"', "two hosts have the name db1"),
        (f'key = "key"\n{HOST}[[host]]\nname = "db2"\naddress = "10.0.0.1"', "two hosts have the address 10.0.0.1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_in_one_line_with_its_place(write: Write, text: str, said: str) -> None:
    file = write(text)
    Path(file).chmod(0o600)
    with pytest.raises(HostsFileProblem) as refused:
        read_hosts(file)
    assert said in str(refused.value)
    assert str(refused.value).startswith(file)
    assert "\n" not in str(refused.value)


def test_two_hosts_may_share_an_address_if_their_ports_differ(write: Write) -> None:
    file = write(f'key = "key"\n{HOST}[[host]]\nname = "db2"\naddress = "10.0.0.1"\nport = 2222')
    assert [host.known_as for host in read_hosts(file)] == ["10.0.0.1", "[10.0.0.1]:2222"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_may_use_is_refused(write: Write, tmp_path: Path, mode: int) -> None:
    (tmp_path / "key").chmod(mode)
    with pytest.raises(
        HostsFileProblem, match=rf"db1\): others may use the key .*key \(its mode is {mode:o}\); run `chmod 600"
    ):
        read_hosts(write(f'key = "key"\n{HOST}'))


def test_a_key_with_a_passphrase_is_refused_since_nobody_is_asked_anything(write: Write, tmp_path: Path) -> None:

    locked = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(b"word")
    )
    (tmp_path / "key").write_bytes(locked)
    with pytest.raises(HostsFileProblem, match="has a passphrase; give one without"):
        read_hosts(write(f'key = "key"\n{HOST}'))


def test_a_file_that_is_not_there_is_one_line() -> None:
    with pytest.raises(HostsFileProblem, match=r"can't read nowhere\.toml \(No such file or directory\); give a file"):
        read_hosts("nowhere.toml")
