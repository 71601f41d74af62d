from __future__ import annotations

import asyncio
from typing import Any

import pytest

from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.hosts import line_program
from splitbrain.harness.hosts.line_program import ANSWER_LIMIT_BYTES, read_answer
from splitbrain.harness.hosts.probe import Heard, Opened

PYTHON = "/usr/local/bin/python3"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b'{"port": 7000}',
        b'{"port": 0}\n',
        b'{"port": 70000}\n',
        b'{"port": "7000"}\n',
        b'{"port": true}\n',
        b'{"port": -1}\n',
        b"[7000]\n",
        b"\xff\n",
        b'{"port": 7000, "x": ' + b"[" * 60_000 + b"\n",
    ],
)
def test_a_port_is_a_port_or_a_failure(line: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read_answer(line, Opened)
    assert len(str(caught.value)) < 200


def test_what_was_heard_is_a_list_of_texts() -> None:
    assert read_answer(b'{"heard": ["a", "b"]}\n', Heard).heard == ["a", "b"]
    for line in (b'{"heard": "ab"}\n', b'{"heard": [1]}\n', b'{"heard": null}\n', b"{}\n"):
        with pytest.raises(ValueError, match=r"Expected|missing"):
            read_answer(line, Heard)


LIES = {
    "endless": "yes | tr -d '\\n'",
    "nonsense": 'echo \'{"port": "ssh"}\'; sleep 9',
    "silence": "exit 0",
    "escapes": "printf '\\033[2J' >&2; exit 1",
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_listener_that_lies_is_the_failure_of_its_machine_by_name(cluster: Any, lie: str) -> None:
    cluster.network.close()
    cluster.shell("n2", f"cat > {PYTHON} <<'END'\n#!/bin/sh\n{lie}\nEND\nchmod +x {PYTHON}")
    try:
        with pytest.raises(EnvironmentFailure, match=r"the probe on n2 does not answer \(") as caught:
            cluster.run(cluster.network.observe())
        assert len(str(caught.value)) < 4000
    finally:
        cluster.shell("n2", f"rm {PYTHON}")
        cluster.network.close()
    assert all(seen.heard for seen in cluster.run(cluster.network.observe()))


def test_only_the_target_s_own_answer_counts_for_a_packet(cluster: Any) -> None:
    # This one claims all that it is asked to send as heard by itself, and sends nothing.
    lying = (
        "import json, socket, sys\n"
        "sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "sock.bind((sys.argv[-1], 0))\n"
        "print(json.dumps({'port': sock.getsockname()[1]}), flush=True)\n"
        "for line in sys.stdin:\n"
        "    print(json.dumps({'heard': [nonce for _, _, nonce in json.loads(line)['send']]}), flush=True)\n"
    )
    cluster.network.close()
    real = cluster.shell("n1", "command -v python3")
    cluster.shell("n1", f"cat > /root/lying.py <<'END'\n{lying}END\n")
    cluster.shell("n1", f"printf '#!/bin/sh\\nexec {real} /root/lying.py \"$3\"\\n' > {PYTHON}; chmod +x {PYTHON}")
    try:
        observed = cluster.run(cluster.network.observe())
    finally:
        cluster.shell("n1", f"rm {PYTHON} /root/lying.py")
        cluster.network.close()
    unheard = {(seen.source, seen.target) for seen in observed if not seen.heard}
    assert unheard == {("n1", "n2"), ("n1", "n3"), ("n2", "n1"), ("n3", "n1")}


def test_the_limit_of_an_answer_holds_what_a_hundred_nodes_can_send() -> None:
    assert 99 * 3 * 2 * len('"0123456789abcdef", ') < ANSWER_LIMIT_BYTES


@pytest.mark.parametrize("lie", ["while :; do printf ' '; sleep 0.1; done", "sleep 3600"], ids=["trickle", "mute"])
def test_a_listener_that_never_ends_a_line_does_not_hold_the_run(
    cluster: Any, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    cluster.network.close()
    cluster.shell("n2", f"cat > {PYTHON} <<'END'\n#!/bin/sh\n{lie}\nEND\nchmod +x {PYTHON}")
    try:
        with monkeypatch.context() as patched:
            patched.setattr(line_program, "ANSWER_TIMEOUT_S", 2.0)
            with pytest.raises(EnvironmentFailure, match=r"on n\d does not answer \(no whole line within 2 s\)"):
                cluster.run(asyncio.wait_for(cluster.network.observe(), 60))
    finally:
        cluster.shell("n2", f"rm {PYTHON}")
        cluster.network.close()
    assert all(seen.heard for seen in cluster.run(cluster.network.observe()))
