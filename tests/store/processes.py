"""Nodes as processes of `splitbrain-store serve`, and the commands that ask them."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from splitbrain.store.cli import main
from tests.store.loopback import SECRET, free_ports

ALONE = ["--config", "n=1", "--config", "r=1", "--config", "w=1"]


def command(*words: object) -> tuple[int, str, str]:
    """`splitbrain-store` in this process: exit code, output, errors."""
    output, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(sys, "argv", ["splitbrain-store", *map(str, words)])
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            main.main()
    assert "Traceback" not in errors.getvalue()
    return end.value.code, output.getvalue(), errors.getvalue()


class Cluster:
    """Processes of `splitbrain-store serve`, and the commands that ask them."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.ports = free_ports(number)
        self.lines: dict[int, list[str]] = {}
        self.running: dict[str, subprocess.Popen[str]] = {}
        self.key = folder / "key"
        self.key.write_bytes(SECRET)
        self.key.chmod(0o600)

    def address(self, number: int) -> str:
        return f"127.0.0.1:{self.ports[number - 1]}"

    def members(self, *numbers: int) -> list[str]:
        return [word for i in numbers for word in ("--member", f"n{i}={self.address(i)}")]

    def start(
        self, number: int, *words: str, serving: bool = True, called: str = "", **options
    ) -> subprocess.Popen[str]:
        """Start a node. serving: wait until it serves. called: its name, if that is not its number's."""
        name = called or f"n{number}"
        command = [
            sys.executable,
            "-m",
            "splitbrain.store.cli.main",
            "serve",
            "--name",
            name,
            "--key-file",
            str(self.key),
        ]
        command += ["--data", str(self.folder / f"data{number}"), *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
        self.running[f"n{number}"] = process
        while serving:
            line = process.stdout.readline()
            assert line, "it ended"
            self.lines.setdefault(process.pid, []).append(line)
            serving = not line.startswith("serving")
        return process

    def ended(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Exit code and log of a process that ends by itself."""
        output, _ = process.communicate(timeout=60)
        log = "".join(self.lines.get(process.pid, ())) + output
        assert "Traceback" not in log
        return process.returncode, log

    def ask(self, *words: str, node: int = 1, key: Path | None = None) -> tuple[int, str, str]:
        """A command to a node: exit code, output, errors."""
        common = ["--node", self.address(node), "--key-file", str(key or self.key)]
        return command(words[0], *common, *words[1:])

    def told(self, *words: str, node: int = 1) -> dict:
        """What a command that succeeds says, as JSON."""
        code, output, errors = self.ask(*words, "--json", node=node)
        assert code == 0, errors
        return json.loads(output)

    def stop(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()
            process.stdout.close()  # Twice does no harm.


def eventually(condition):
    """Its value, once it is true."""
    deadline = time.monotonic() + 30
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
    return value


@contextlib.contextmanager
def processes(folder: Path) -> Iterator[Cluster]:
    """A cluster of up to five, whose processes end with it."""
    made = Cluster(folder, 5)
    try:
        yield made
    finally:
        made.stop()
