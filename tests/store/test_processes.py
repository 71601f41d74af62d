"""The server in processes of their own: some are killed, and the command line asks them."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time

import pytest

from splitbrain.store.errors import StoreError
from tests.store.loopback import SECRET, free_ports, make_client


@pytest.fixture
def processes(tmp_path):
    """Three nodes as processes: (start, stop everything at the end, ports)."""
    ports = free_ports(3)
    key = tmp_path / "key"
    key.write_bytes(SECRET)
    key.chmod(0o600)
    running = {}

    def start(number):
        command = [
            sys.executable,
            "-m",
            "splitbrain.store.cli.main",
            "serve",
            "--key-file",
            str(key),
            "--cluster",
            "test",
        ]
        command += ["--name", f"n{number}", "--data", str(tmp_path / f"data{number}")]
        for i, port in enumerate(ports):
            command += ["--member", f"n{i}=127.0.0.1:{port}"]
        running[number] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert "serving" in running[number].stdout.readline()
        return running[number]

    yield start, running, ports
    for process in running.values():
        process.kill()
        process.wait()
        process.stdout.close()


async def eventually(check, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if await check():
                return
        except StoreError:
            pass
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.05)


def test_acknowledged_writes_survive_kill_9_of_every_node(processes):
    start, running, ports = processes
    for number in range(3):
        start(number)

    async def write():
        client = make_client(*ports)
        await eventually(lambda: acknowledged(client, b"first"))
        for i in range(20):
            await client.put(b"k%d" % i, b"%d" % i)
        client.close()

    async def acknowledged(client, key):
        await client.put(key, b"v")
        return True

    async def read():
        client = make_client(*ports)

        async def all_there():
            return [(await client.get(b"k%d" % i)).values for i in range(20)] == [(b"%d" % i,) for i in range(20)]

        await eventually(all_there)
        client.close()

    asyncio.run(asyncio.wait_for(write(), 60))
    for process in running.values():
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    for number in range(3):
        start(number)
    asyncio.run(asyncio.wait_for(read(), 60))


def test_a_node_that_was_killed_gets_what_it_missed_when_it_is_back(processes):
    start, running, ports = processes
    for number in range(3):
        start(number)

    async def scenario():
        client = make_client(*ports[:2])
        running[2].send_signal(signal.SIGKILL)
        running[2].wait()

        async def put():
            await client.put(b"k", b"v", w=2)
            return True

        await eventually(put)
        running[2].stdout.close()
        start(2)
        late = make_client(ports[2])

        async def has_it():
            held = await late.local(b"k")
            return b"v" in [version.value for version in held.state.versions]

        await eventually(has_it)
        client.close()
        late.close()

    asyncio.run(asyncio.wait_for(scenario(), 90))


def test_sigterm_ends_a_node_with_exit_code_0(processes):
    start, _, ports = processes
    process = start(0)
    process.terminate()
    assert process.wait(timeout=20) == 0


def test_a_taken_port_ends_a_process_with_cause_and_remedy(tmp_path):
    key = tmp_path / "key"
    key.write_bytes(SECRET)
    key.chmod(0o600)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        member = f"n0=127.0.0.1:{taken.getsockname()[1]}"
        command = [
            sys.executable,
            "-m",
            "splitbrain.store.cli.main",
            "serve",
            "--key-file",
            str(key),
            "--name",
            "n0",
            "--engine",
            "memory",
        ]
        command += ["--member", member, "--config", "n=1", "--config", "r=1", "--config", "w=1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert "can't listen on" in done.stderr
    assert "free the port" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_line_puts_and_gets(processes, tmp_path):
    start, _, ports = processes
    for number in range(3):
        start(number)

    def command(*words, **options):
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "splitbrain.store.cli.main",
                *words[:1],
                "--key-file",
                str(tmp_path / "key"),
                "--cluster",
                "test",
                "--node",
                f"127.0.0.1:{ports[0]}",
                "--json",
                *words[1:],
            ],
            capture_output=True,
            timeout=60,
            **options,
        )

    deadline = time.monotonic() + 30
    while (done := command("put", "k", "v")).returncode and time.monotonic() < deadline:
        pass
    assert done.returncode == 0, done.stderr
    context = json.loads(done.stdout)["context"]
    assert command("put", "k", "--context", context, input=b"\xff raw").returncode == 0
    found = json.loads(command("get", "k").stdout)
    assert found["values"] == ["\\xff raw"]
    raw_key = command("put", b"\xff\xfe", b"\xfd")
    assert raw_key.returncode == 0, raw_key.stderr
    assert json.loads(command("get", b"\xff\xfe").stdout)["base64"] == ["/Q=="]
    local = json.loads(command("get", "k", "--local").stdout)
    assert local["home"]
    deleted = command("delete", "k", "--context", found["context"])
    assert deleted.returncode == 0
    assert json.loads(command("get", "k").stdout)["values"] == []
    assert json.loads(command("status").stdout)["name"] == "n0"
    refused = command("put", "k", "v", "--context", "Zm9yZ2Vk")
    assert refused.returncode == 1
    assert b"bad_context" in refused.stderr
    assert b"certainly did not happen" in refused.stderr
