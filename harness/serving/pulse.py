"""A run's pulse: second by second, what was asked, what came of it, and how long it took.

1. It is fed the history's bytes as they are written, in pieces of any size: a line that is not whole yet waits.
2. An operation counts in the second of its invocation, so that a total outage is one of no success, and not of nothing.
3. Looks at replicas are the harness's own, and are left out. A line that is no event is counted and passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from splitbrain.checkers.histories.replica_polls import POLL

SECONDS_MOST = 100_000
"""A time beyond is no run's, but a line that somebody made up."""


class _Line(msgspec.Struct):
    """An event, as far as it is counted."""

    time: int
    process: int | str
    type: str
    f: str = ""
    value: msgspec.Raw = msgspec.Raw(b"null")
    due: int | None = None


class _Struck(msgspec.Struct):
    """What a nemesis's event says of its fault."""

    fault: str
    phase: str = ""
    shape: Any = ""
    nodes: Any = None
    strike: int | None = None


@dataclass(frozen=True, slots=True)
class FaultSpan:
    """A fault: its name, and from when to when it stood, in seconds; to None while it stands."""

    name: str
    start_s: float
    stop_s: float | None


@dataclass
class Second:
    """What was asked in one second: how many operations ended so, and how long the acknowledged ones took."""

    ok: int = 0
    fail: int = 0
    info: int = 0
    open: int = 0
    took_ms: list[float] = field(default_factory=list)

    @property
    def availability(self) -> float | None:
        """The share that was acknowledged, of those that have ended; None if none has."""
        ended = self.ok + self.fail + self.info
        return self.ok / ended if ended else None

    @property
    def p99_ms(self) -> float | None:
        """Milliseconds that 99% of the acknowledged ones took at most; None if there are none."""
        return round(float(np.quantile(self.took_ms, 0.99, method="higher")), 3) if self.took_ms else None


class Pulse:
    """What a history has told so far."""

    def __init__(self) -> None:
        self.seconds: list[Second] = []
        self.stage = ""
        self.events = 0
        self.unreadable = 0
        self._spans: list[FaultSpan] = []
        self._standing: dict[tuple[str, int | None], tuple[str, float]] = {}
        self._asked: dict[int, tuple[int, int]] = {}
        self._rest = b""
        self._last_s = 0.0

    @property
    def faults(self) -> list[FaultSpan]:
        """The faults in the order of their ends; those that stand come last."""
        return [*self._spans, *(FaultSpan(name, since, None) for name, since in self._standing.values())]

    @property
    def elapsed_s(self) -> float:
        """The time of the last event."""
        return self._last_s

    @property
    def counts(self) -> dict[str, int]:
        """Operations by outcome, and `open` ones."""
        return {name: sum(getattr(each, name) for each in self.seconds) for name in ("ok", "fail", "info", "open")}

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the history. O(bytes)."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            try:
                event = _decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                self.unreadable += 1
                continue
            if 0 <= event.time < SECONDS_MOST * 1_000_000_000:
                self._take(event)
            else:
                self.unreadable += 1

    def as_dict(self, since: int = 0) -> dict[str, Any]:
        """JSON-able. since: the first second that is wanted."""
        return {
            "elapsed_s": round(self._last_s, 3),
            "events": self.events,
            "stage": self.stage,
            "counts": self.counts,
            "faults": [[span.name, span.start_s, span.stop_s] for span in self.faults if span.stop_s is None],
            "from": since,
            "seconds": [
                [each.ok, each.fail, each.info, each.open, each.availability, each.p99_ms]
                for each in self.seconds[since:]
            ],
        }

    def _take(self, event: _Line) -> None:
        self.events += 1
        self._last_s = max(self._last_s, event.time / 1e9)
        if not isinstance(event.process, int):
            self._strike(event)
        elif event.f == POLL:
            return
        elif event.type == "invoke":
            second = event.time // 1_000_000_000
            self.seconds += [Second() for _ in range(second + 1 - len(self.seconds))]
            self._asked[event.process] = second, event.time if event.due is None else event.due
            self.seconds[second].open += 1
        elif event.process in self._asked and event.type in ("ok", "fail", "info"):
            second, began = self._asked.pop(event.process)
            at = self.seconds[second]
            at.open -= 1
            setattr(at, event.type, getattr(at, event.type) + 1)
            if event.type == "ok":
                at.took_ms.append((event.time - began) / 1e6)

    def _strike(self, event: _Line) -> None:
        try:
            if event.f == "stage":
                self.stage = msgspec.json.decode(event.value, type=str)
                return
            struck = msgspec.json.decode(event.value, type=_Struck)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        shape = struck.shape if isinstance(struck.shape, str) else ""
        nodes = [str(each) for each in struck.nodes[:5]] if isinstance(struck.nodes, list) else []
        key = struck.fault, struck.strike
        if struck.phase == "start":
            # Its completion, the later one, is the moment from which it stands.
            self._standing[key] = " ".join(filter(None, (struck.fault, shape, *nodes)))[:80], event.time / 1e9
        elif struck.phase == "stop":
            ended = [each for each in self._standing if each == key or (key[1] is None and each[0] == key[0])]
            self._spans += [FaultSpan(*self._standing.pop(each), event.time / 1e9) for each in ended]


_decode = msgspec.json.Decoder(_Line).decode
