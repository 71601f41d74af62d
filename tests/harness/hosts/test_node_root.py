from __future__ import annotations

import shlex
import subprocess

from splitbrain.harness.hosts.node_root import NodeRoot


def test_on_a_node_to_which_one_logs_in_nothing_is_put_before_a_command() -> None:
    root = NodeRoot()
    assert shlex.split(root.started(("mydb", "--name", "a b"))) == ["mydb", "--name", "a b"]
    assert root.cleared == ""
    assert shlex.split(root.python("print(1)", "x y")) == ["python3", "-c", "print(1)", "x y"]


def test_beside_a_node_a_command_starts_in_its_root() -> None:
    words = shlex.split(NodeRoot("/proc/1/root").started(("mydb", "--name", "a b")))
    assert words == ["/usr/sbin/chroot", "/proc/1/root", "mydb", "--name", "a b"]


def test_a_program_gets_the_variables_of_its_image_and_no_others() -> None:
    root = NodeRoot("/proc/1/root", ("PATH=/db/bin", "GREETING=it's me; $HOME"))
    script = f'set -- /usr/bin/env\n{root.cleared}"$@"'
    said = subprocess.run(
        ["sh", "-c", script], env={"SSH_CONNECTION": "x"}, capture_output=True, text=True, check=True
    ).stdout
    assert said.splitlines() == ["PATH=/db/bin", "HOME=/root", "GREETING=it's me; $HOME"]
