"""The listener as it runs on a node: a Python of its own, fed its text."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from splitbrain.harness.hosts.probe import LISTENER


@pytest.fixture
def listener() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A listener on loopback, and its port."""
    command = [sys.executable, "-c", LISTENER.read_text(), "127.0.0.1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())["port"]
        process.kill()


def ask(process: subprocess.Popen[str], *parcels: tuple[str, int, str]) -> Any:
    assert process.stdin is not None and process.stdout is not None
    print(json.dumps({"send": parcels}), file=process.stdin, flush=True)
    return json.loads(process.stdout.readline())["heard"]


def test_what_arrived_is_reported_once(listener: tuple[subprocess.Popen[str], int]) -> None:
    process, port = listener
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"one", ("127.0.0.1", port))
        sock.sendto(b"two", ("127.0.0.1", port))
    assert ask(process) == ["one", "two"]
    assert ask(process) == []


def test_it_sends_what_it_is_asked_to_and_answers_no_datagram(listener: tuple[subprocess.Popen[str], int]) -> None:
    process, port = listener
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        sock.sendto(b"hello", ("127.0.0.1", port))
        assert ask(process, ("127.0.0.1", sock.getsockname()[1], "nonce")) == ["hello"]
        assert sock.recv(99) == b"nonce", "the first thing that comes back is what was asked for"


def test_a_link_that_refuses_to_send_does_not_end_it(listener: tuple[subprocess.Popen[str], int]) -> None:
    process, port = listener
    assert ask(process, ("255.255.255.255", 9, "refused"), ("127.0.0.1", port, "self")) == ["self"]


def test_it_ends_with_its_standard_input(listener: tuple[subprocess.Popen[str], int]) -> None:
    process, _ = listener
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(10) == 0
