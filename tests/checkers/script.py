"""Histories by hand, an operation a line: `Script().add(1, at=10).read([1], at=20).history`.

Times are milliseconds. An operation takes `took` ms and is over before the next begins; `invoke` and `complete` are for
those that overlap.
"""

from __future__ import annotations

from typing import Any

from splitbrain.checkers.histories.event import Event, encode
from splitbrain.checkers.histories.history import History

_MS = 1_000_000


class Script:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.open: dict[int, tuple[str, str | None, str]] = {}

    @property
    def history(self) -> History:
        return History.parse(encode(event) for event in self.events)

    def _event(self, at: float, process: Any, type_: Any, f: str, key: Any, value: Any, **more: Any) -> Script:
        time = round(at * _MS)
        self.events.append(Event(len(self.events), time, process, type_, f, key, value, **more))
        return self

    def invoke(
        self, process: int, f: str, key: str | None, value: Any = None, *, at: float, node: str = "n1"
    ) -> Script:
        self.open[process] = (f, key, node)
        return self._event(at, process, "invoke", f, key, value, node=node)

    def complete(self, process: int, type_: str = "ok", value: Any = None, *, at: float) -> Script:
        f, key, node = self.open.pop(process)
        error = None if type_ == "ok" else "timeout: no answer within 1 s"
        return self._event(at, process, type_, f, key, value, node=node, error=error)

    def _operation(
        self, f: str, key: str, asked: Any, got: Any, at: float, process: int, node: str, type_: str, took: float
    ) -> Script:
        self.invoke(process, f, key, asked, at=at, node=node)
        return self.complete(process, type_, got, at=at + took)

    def add(
        self,
        value: Any,
        *,
        at: float,
        process: int = 0,
        node: str = "n1",
        type_: str = "ok",
        key: str = "s0",
        took: float = 1,
    ) -> Script:
        return self._operation("add", key, value, value, at, process, node, type_, took)

    def put(self, write: int, seen: Any, *, at: float, process: int = 0, type_: str = "ok", key: str = "r0") -> Script:
        value = {"write": write}
        got = value if seen is None else {**value, "seen": seen}
        return self._operation("put", key, value, got, at, process, "n1", type_, 1)

    def delete(
        self, write: int, seen: Any, *, at: float, process: int = 0, type_: str = "ok", key: str = "r0"
    ) -> Script:
        value = {"write": write}
        got = value if seen is None else {**value, "seen": seen}
        return self._operation("delete", key, value, got, at, process, "n1", type_, 1)

    def read(
        self,
        value: Any,
        *,
        at: float,
        process: int = 0,
        node: str = "n1",
        type_: str = "ok",
        key: str = "s0",
        took: float = 1,
    ) -> Script:
        return self._operation("read", key, None, value, at, process, node, type_, took)

    def poll(
        self,
        versions: Any,
        *,
        at: float,
        node: str,
        type_: str = "ok",
        home: bool = True,
        key: str = "s0",
        process: int = 0,
    ) -> Script:
        value = {"home": home, "versions": versions, "values": [], "hinted": 0} if type_ == "ok" else None
        return self._operation("replica", key, None, value, at, process, node, type_, 1)

    def nemesis(self, f: str, value: Any, *, at: float, error: str | None = None) -> Script:
        return self._event(at, "nemesis", "info", f, None, value, error=error)

    def stage(self, *names: str, at: float) -> Script:
        for name in names:
            self.nemesis("stage", name, at=at)
        return self

    def act(
        self,
        f: str,
        fault: str,
        phase: str,
        *,
        at: float,
        effective: bool | None = True,
        error: str | None = None,
        **value: Any,
    ) -> Script:
        """A nemesis action: invoked at `at`, completed 1 ms later. effective None leaves the evidence out."""
        said = {"fault": fault, "phase": phase, **value}
        self.nemesis(f, said, at=at)
        seen = {} if effective is None else {"evidence": {"effective": effective, "detail": "what was seen"}}
        return self.nemesis(f, {**said, **seen}, at=at + 1, error=error)

    def cut(self, *, at: float, effective: bool | None = True) -> Script:
        return self.act(
            "start-partition", "partition", "start", at=at, effective=effective, shape="halves", cut=[["n1", "n2"]]
        )

    def heal(self, *, at: float) -> Script:
        return self.act("stop-partition", "partition", "stop", at=at)
