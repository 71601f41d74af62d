"""Tasks for the tests of workers: they are pickled, so they live in a module that workers can import."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Chore:
    """Says what it was asked, unless it is asked to die. marks: a file to which each start adds a byte."""

    number: int
    how: str = "say"
    marks: Path | None = None

    @property
    def cpu_s(self) -> int:
        return 1 if self.how == "spin" else 60

    def do(self) -> str:
        if self.marks is not None:
            with self.marks.open("ab") as file:
                file.write(b".")
        match self.how:
            case "exit":
                os._exit(0)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "once":
                assert self.marks is not None
                if self.marks.stat().st_size == 1:
                    os._exit(0)
            case "eat":
                bytearray(2 << 30)
            case "spin":
                while True:
                    pass
            case "raise":
                raise ValueError("no such chore")
        return f"{self.number} done"

    def failed(self, reason: str) -> str:
        return f"{self.number} failed: {reason}"
