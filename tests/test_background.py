"""The suite in the background of a shell, where Ctrl-C is ignored, by it and by all that it starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

INNER = """
import signal, subprocess, sys

def test_a_child_can_be_interrupted():
    child = subprocess.Popen([sys.executable, "-c", "print(flush=True); import time; time.sleep(600)"], stdout=-1)
    child.stdout.readline()
    child.send_signal(signal.SIGINT)
    assert child.wait(60) != 0
"""


def test_in_the_background_children_of_the_suite_start_with_default_signals(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((Path(__file__).parent / "conftest.py").read_text())
    (tmp_path / "test_inner.py").write_text(INNER)
    pytest = f"{sys.executable} -m pytest -q -p no:cacheprovider -p no:randomly test_inner.py"
    done = subprocess.run(
        ["sh", "-c", f"trap '' INT; exec {pytest}"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout
