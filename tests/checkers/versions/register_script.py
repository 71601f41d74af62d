"""Histories of registers with distinct writes, written by hand."""

from __future__ import annotations

from typing import Any

from tests.checkers.script import Script


class Registers(Script):
    """One operation after the other, 10 ms apart."""

    def op(self, process: int, f: str, value: Any, key: str = "x", type_: str = "ok") -> Registers:
        at = 10.0 * len(self.events)
        self.invoke(process, f, key, None if f == "read" else value, at=at)
        self.complete(process, type_, None if f == "read" and type_ != "ok" else value, at=at + 1)
        return self

    def write(self, process: int, value: Any, key: str = "x", type_: str = "ok") -> Registers:
        return self.op(process, "write", value, key, type_)

    def reads(self, process: int, *values: Any, key: str = "x") -> Registers:
        for value in values:
            self.op(process, "read", value, key)
        return self
