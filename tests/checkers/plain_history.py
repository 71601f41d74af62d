"""A history read the plain way, for oracles: straight from the definitions, and as slow as that is.

Nothing here is shared with the checkers but the events themselves.
"""

from __future__ import annotations

from typing import NamedTuple

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History, Operation

END = 10**9
WRITES = ("add", "put", "delete", "remove", "checkout")


class Op(NamedTuple):
    inv: Event
    comp: Event | None

    @property
    def outcome(self) -> str:
        return self.comp.type if self.comp else "info"

    @property
    def end(self) -> float:
        return self.comp.index if self.comp else float("inf")

    @property
    def node(self) -> str | None:
        return (self.comp.node if self.comp else None) or self.inv.node


class Band(NamedTuple):
    family: str
    start: int
    stop: float
    healed: Event | None
    effective: bool | None
    nodes: tuple[str, ...]


def ops(history: History, *fs: str) -> list[Op]:
    found = []
    for event in history.events:
        if event.type == "invoke" and (not fs or event.f in fs):
            later = [e for e in history.events if e.process == event.process and e.index > event.index]
            found.append(Op(event, later[0] if later else None))
    return found


def stage(history: History, name: str) -> Event | None:
    found = [e for e in history.events if e.process == "nemesis" and e.f == "stage" and e.value == name]
    return found[-1] if found else None


def staged(history: History) -> bool:
    return any(e.process == "nemesis" and e.f == "stage" for e in history.events)


def actions(history: History, phase: str) -> list[tuple[Event, Event | None]]:
    """Invocation and completion; in generated histories exactly the completions have evidence."""
    found = []
    mine = [e for e in history.events if e.process == "nemesis" and e.f != "stage"]
    for event in mine:
        if event.value["phase"] == phase and "evidence" not in event.value:
            later = [e for e in mine if e.index > event.index and e.f == event.f]
            found.append((event, later[0] if later else None))
    return found


def effective(completion: Event | None) -> bool | None:
    if completion is None:
        return None
    if completion.error:
        return False
    found = completion.value["evidence"].get("effective")
    return found if isinstance(found, bool) else None


def bands(history: History) -> list[Band]:
    found = []
    for inv, comp in actions(history, "start"):
        start = (comp or inv).index
        needed = set(inv.value.get("nodes", ()))
        back: set[str] = set()
        stop: float = float("inf")
        healed = None
        for other, done in actions(history, "stop"):
            if other.value["fault"] != inv.value["fault"] or other.index < inv.index:
                continue
            back |= set(other.value.get("nodes", needed))
            if needed <= back:
                stop, healed = other.index, done or other
                break
        found.append(Band(inv.value["fault"], start, stop, healed, effective(comp), tuple(sorted(needed))))
    return found


def struck(op: Op, band: Band) -> bool:
    return any(op.inv.index <= moment <= op.end for moment in _within(band))


def _within(band: Band) -> list[float]:
    """Moments between the events in which it stood."""
    last = min(band.stop, 10_000)
    return [band.start + step + 0.5 for step in range(int(last) - band.start)]


def heal_failed(history: History, *, strictly: bool = False) -> bool:
    """strictly: that all answered in the end does not count."""
    for failed, done in actions(history, "stop"):
        later = [other for other, _ in actions(history, "stop") if other.index > failed.index and other.f == failed.f]
        nodes = set(failed.value.get("nodes", ()))
        if effective(done) is False and not any(nodes <= set(other.value.get("nodes", nodes)) for other in later):
            answered = stage(history, "recovered") if nodes and not strictly else None
            if answered is None or answered.index < failed.index:
                return True
    return False


def final_reads(history: History) -> list[Op]:
    last_ack = max((op.end for op in ops(history, *WRITES) if op.outcome == "ok"), default=-1)
    if heal_failed(history) or stage(history, "environment-lost"):
        after: float = float("inf")
    elif staged(history):
        begin = stage(history, "final-reads")
        after = begin.index if begin else float("inf")
    elif any(band.stop == float("inf") for band in bands(history)):
        after = float("inf")
    else:
        after = max((e.index for e in history.events if e.process == "nemesis"), default=-1)
    return [
        op for op in ops(history, "read") if op.outcome == "ok" and op.inv.index > last_ack and op.inv.index > after
    ]


def concluding_reads(history: History, key: object) -> list[Op]:
    final = [op for op in final_reads(history) if op.inv.key == key]
    return [op for op in final if not any(o.node == op.node and o.inv.index > op.end for o in final)]


def disagreed(history: History, missing: int, otherwise: str) -> str:
    if not missing:
        return otherwise
    return "invalid" if stage(history, "convergence") else "unknown"


def quantiles(durations_ms: list[float]) -> dict[str, float]:
    shown = {"p50": 500, "p90": 900, "p95": 950, "p99": 990, "p99.9": 999, "max": 1000}
    return {
        name: min(x for x in durations_ms if sum(y <= x for y in durations_ms) * 1000 >= n * len(durations_ms))
        for name, n in shown.items()
        if durations_ms
    }


def verdict_of(wrong: bool, judged: bool) -> str:
    """Invalid if anything is wrong, valid if anything was judged."""
    return "invalid" if wrong else "valid" if judged else "unknown"


def span(operation: Operation) -> tuple[int, int]:
    """Indices of invocation and completion; END if it was not completed."""
    return operation.invocation.index, operation.completion.index if operation.completion else END
