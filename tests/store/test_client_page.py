"""docs/client.md, followed literally: its cluster, its programs in their order, and what they print.

Only the ports are others: 7001 to 7003 may be in use on this machine.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.loopback import free_ports
from tests.store.processes import eventually

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
PORTS = ("7001", "7002", "7003")
STEPS = re.findall(
    r"^```python\n# (\w+\.py)\n(.*?)^```\n+```console\n\$ python (\w+\.py)\n(.*?)^```$", PAGE, re.S | re.M
)


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def free() -> dict[str, str]:
    return dict(zip(PORTS, map(str, free_ports(3)), strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, free) -> Iterator[Path]:
    """Where the cluster of the page's first block runs, with free ports."""
    made, (shell,) = tmp_path_factory.mktemp("page"), re.findall(r"^```sh\n(.*?)^```$", PAGE, re.S | re.M)
    with (made / "log").open("w") as log:
        command = ["sh", "-c", f"{placed(shell, free)}\nwait"]
        nodes = subprocess.Popen(
            command,
            cwd=made,
            env=environment(),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        eventually(lambda: len(re.findall("^serving n[123] ", (made / "log").read_text(), re.M)) == 3)
        yield made
    finally:
        os.killpg(nodes.pid, signal.SIGKILL)
        nodes.wait()


def placed(text: str, free: dict[str, str]) -> str:
    """The text of the page, with the ports of this run."""
    return re.sub(r"127\.0\.0\.1:(700[123])", lambda found: f"127.0.0.1:{free[found[1]]}", text)


def test_each_program_prints_what_the_page_says(folder, free):
    assert [name for name, *_ in STEPS] == ["cart.py", "script.py", "errors.py"]
    for name, code, ran, printed in STEPS:
        assert ran == name
        (folder / name).write_text(placed(code, free))
        done = subprocess.run(
            [sys.executable, name], cwd=folder, env=environment(), capture_output=True, text=True, timeout=60
        )
        assert (done.stdout, done.stderr, done.returncode) == (printed, "", 0), name


def test_every_program_of_the_page_is_run():
    assert PAGE.count("```python\n") == len(STEPS) == PAGE.count("```console\n")
