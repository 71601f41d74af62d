from __future__ import annotations

import asyncio
import io
import socket
from typing import Any

import paramiko
import pytest

from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.hosts.ssh import KeyPair, Login, SshConnection


def login(cluster: Any, *, key: KeyPair | None = None, host_key: str | None = None) -> Login:
    """The cluster's own login to n1, with another key or another pinned host key."""
    own: Login = cluster.machine("n1").connection._login
    private = own.key if key is None else paramiko.Ed25519Key.from_private_key(io.StringIO(key.private.decode()))
    return Login(own.host, private, host_key or own.host_key)


def test_another_host_key_than_the_pinned_one_is_refused(cluster: Any) -> None:
    stranger = SshConnection("n1", login(cluster, host_key=KeyPair.generate().public))
    with pytest.raises(EnvironmentFailure, match="another host key than the pinned one"):
        cluster.run(stranger.connect(5))
    with pytest.raises(EnvironmentFailure, match="another host key"):
        cluster.run(stranger.run("true"))
    stranger.close()


def test_another_key_than_the_runs_own_does_not_get_in(cluster: Any) -> None:
    stranger = SshConnection("n1", login(cluster, key=KeyPair.generate()))
    with pytest.raises(EnvironmentFailure, match="refuses the login"):
        cluster.run(stranger.connect(5))
    stranger.close()


def test_a_host_where_nothing_listens_is_reported_with_its_address() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        key = KeyPair.generate()
        private = paramiko.Ed25519Key.from_private_key(io.StringIO(key.private.decode()))
        nobody = SshConnection("n7", Login("127.0.0.1", private, key.public, port=bound.getsockname()[1]))
        with pytest.raises(EnvironmentFailure, match=r"n7 \(127\.0\.0\.1\) does not answer within 0\.1 s"):
            asyncio.run(nobody.connect(0.1))
        nobody.close()


def test_status_and_both_outputs_of_a_command_come_back(cluster: Any) -> None:
    output = cluster.run(cluster.machine("n1").connection.run("echo out; echo err >&2; exit 7"))
    assert (output.status, sorted(output.text.split())) == (7, ["err", "out"])


def test_a_check_raises_with_the_command_s_output(cluster: Any) -> None:
    with pytest.raises(EnvironmentFailure, match=r"n1 .*: it went wrong"):
        cluster.run(cluster.machine("n1").connection.check("echo it went wrong; exit 1"))


def test_outputs_larger_than_any_window_come_back_whole(cluster: Any) -> None:
    size = 8 << 20
    output = cluster.run(
        cluster.machine("n1").connection.run(f"head -c {size} /dev/zero; head -c {size} /dev/zero >&2")
    )
    assert len(output.data) == 2 * size


def test_standard_input_reaches_the_command(cluster: Any) -> None:
    sent = bytes(range(256)) * 4096
    assert cluster.run(cluster.machine("n1").connection.run("cat", stdin=sent)).data == sent


def test_a_command_that_takes_too_long_fails_and_the_next_one_works(cluster: Any) -> None:
    connection = cluster.machine("n1").connection
    with pytest.raises(EnvironmentFailure, match=r"n1 .* did not finish a command within 0\.2 s \(sleep 60\)"):
        cluster.run(connection.run("sleep 60", timeout_s=0.2))
    assert cluster.run(connection.run("echo back")).text == "back"


def test_a_connection_lost_during_a_command_fails_it_and_the_next_one_works(cluster: Any) -> None:
    connection = cluster.machine("n1").connection
    with pytest.raises(EnvironmentFailure, match="lost during a command"):
        # The parent of the command's shell is sshd's process for this connection.
        cluster.run(connection.run("kill -9 $PPID; sleep 60"))
    assert cluster.run(connection.run("echo back")).text == "back"
    assert all(seen.heard for seen in cluster.run(cluster.network.observe())), "the probe has to come back too"


def test_commands_to_one_machine_keep_their_order(cluster: Any) -> None:
    async def many() -> list[str]:
        connection = cluster.machine("n2").connection
        outputs = await asyncio.gather(*(connection.run(f"echo {i} >> /tmp/order; cat /tmp/order") for i in range(5)))
        return [output.text.split()[-1] for output in outputs]

    assert cluster.run(many()) == ["0", "1", "2", "3", "4"]


def test_nothing_runs_on_a_closed_connection() -> None:
    key = KeyPair.generate()
    private = paramiko.Ed25519Key.from_private_key(io.StringIO(key.private.decode()))
    connection = SshConnection("n1", Login("127.0.0.1", private, key.public))
    connection.close()
    connection.close()
    with pytest.raises(EnvironmentFailure, match="closed already"):
        asyncio.run(connection.run("true"))
