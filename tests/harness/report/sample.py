"""Sample runs: what a run folder holds, made up from a seed, so that the report can be tested without a
cluster.

1. Every sample follows the history conventions to the letter, and `History.parse` accepts it.
2. The same seed gives the same bytes.
3. The numbers are plausible, not measured: nothing here may be quoted as a result.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NODES = ("n1", "n2", "n3", "n4", "n5")
MINORITY = ("n1", "n2")
SECOND = 1_000_000_000
# (fault, start, stop) in seconds, as shares of a 60 s run.
SCHEDULE = (("partition", 10.0, 20.0), ("kill", 26.0, 33.0), ("partition", 41.0, 50.0))


@dataclass
class Sample:
    """A run folder in memory: `results` is None for a run that was killed."""

    run: dict[str, Any]
    events: list[dict[str, Any]]
    results: dict[str, Any] | None
    logs: dict[str, dict[str, str]]

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run.json").write_text(json.dumps(self.run, indent=2))
        with (folder / "history.jsonl").open("w") as file:
            file.writelines(json.dumps(event) + "\n" for event in self.events)
        if self.results is not None:
            (folder / "results.json").write_text(json.dumps(self.results, indent=2))
        for node, files in self.logs.items():
            (folder / "nodes" / node).mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (folder / "nodes" / node / name).write_text(text)
        return folder


@dataclass
class Tape:
    """Events in the making: sorted by time and numbered at the end."""

    lines: list[tuple[int, int, dict[str, Any]]] = field(default_factory=list)

    def put(self, at_s: float, process: int | str, kind: str, f: str, **rest: Any) -> dict[str, Any]:
        time = int(at_s * SECOND)
        event = {"index": -1, "time": time, "process": process, "type": kind, "f": f}
        event |= {name: value for name, value in rest.items() if value is not None}
        self.lines.append((time, len(self.lines), event))
        return event

    def events(self) -> list[dict[str, Any]]:
        self.lines.sort(key=lambda line: line[:2])
        for index, (_, _, event) in enumerate(self.lines):
            event["index"] = index
        return [event for _, _, event in self.lines]


@dataclass
class Model:
    """A make-believe store: per key, what the majority and the minority side hold."""

    seed: int
    sane: bool
    seconds: float
    rate: float
    workload: str
    keys: tuple[str, ...]
    random: random.Random = field(init=False)
    held: dict[str, list[int]] = field(init=False)
    lost: list[tuple[dict[str, Any], dict[str, Any], str, int]] = field(default_factory=list)
    final: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    pollers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.held = {key: [] for key in self.keys}

    def fault(self, at_s: float) -> str | None:
        at = at_s * 60 / self.seconds
        return next((fault for fault, start, stop in SCHEDULE if start <= at < stop), None)

    def answer(self, f: str, key: str, value: int, node: str, at_s: float) -> tuple[Any, bool]:
        """The ok value, and whether the write is one this store will lose."""
        held = self.held[key]
        torn = self.fault(at_s) == "partition" and at_s > self.seconds * 0.6
        lose = not self.sane and torn and node in MINORITY and self.random.random() < 0.5
        if self.workload == "sets":
            if f == "read":
                return sorted(held), False
            if not lose:
                held.append(value)
            return value, lose
        if f == "read":
            return list(held), False
        seen = list(held)
        if lose:
            return {"write": value, "seen": seen}, True
        # During a partition the other side's value stays: a sibling is born.
        self.held[key] = [*held[-7:], value] if self.fault(at_s) == "partition" else [value]
        return {"write": value, "seen": seen}, False


def sets(seed: int = 7, *, sane: bool = False, seconds: float = 60.0, rate: float = 90.0) -> Sample:
    """The `sets` workload under partitions and a kill; unless sane, acknowledged adds of the minority are lost."""
    return _sample(Model(seed, sane, seconds, rate, "sets", tuple(f"s{n}" for n in range(8))))


def registers(seed: int = 11, *, sane: bool = False, seconds: float = 60.0, rate: float = 60.0) -> Sample:
    """The `registers` workload: siblings grow during partitions; unless sane, one of them is false."""
    return _sample(Model(seed, sane, seconds, rate, "registers", tuple(f"r{n}" for n in range(6))))


def killed(seed: int = 5) -> Sample:
    """A run that was killed: no results.json, no heal, operations open."""
    sample = sets(seed, seconds=20.0)
    cut = len(sample.events) * 4 // 5
    return Sample(sample.run, sample.events[:cut], None, sample.logs)


def _sample(model: Model) -> Sample:
    tape = Tape()
    _nemesis(model, tape)
    _load(model, tape)
    _end(model, tape)
    events = tape.events()
    results = _results(model, events)
    run = {
        "workload": model.workload,
        "system": "dynamo",
        "environment": "sim",
        "nodes": list(NODES),
        "seed": model.seed,
        "time_limit_s": model.seconds,
        "rate": model.rate,
        "concurrency": 10,
        "faults": ["partition", "kill"],
        "config": {} if model.sane else {"resolver": "lww"},
        "system_config": {"n": "3", "r": "2", "w": "2", "quorum": "sloppy", "resolver": "lww", "q": "64"},
        "command": f"splitbrain run {model.workload} --env sim --faults partition,kill --seed {model.seed}"
        + ("" if model.sane else " --config resolver=lww"),
        "started": None,
        "versions": {"splitbrain": "0.1.0", "python": "3.11.9"},
        "commit": "4f1c2ab90d",
    }
    return Sample(run, events, results, {node: {"splitbrain-store.log": _log(model, node)} for node in NODES})


def _nemesis(model: Model, tape: Tape) -> None:
    scale = model.seconds / 60
    tape.put(0, "nemesis", "info", "stage", value="load")
    for number, (fault, start, stop) in enumerate(SCHEDULE):
        at, until = start * scale, stop * scale
        if fault == "partition":
            begin, end = "start-partition", "stop-partition"
            cut = [[a, b] for a in NODES for b in NODES if (a in MINORITY) != (b in MINORITY)]
            value: dict[str, Any] = {"fault": fault, "phase": "start", "shape": "halves", "cut": cut}
            dead = [{"source": a, "target": b, "cut": True, "heard": False, "dropped": 40 + number} for a, b in cut]
            effect = {
                "effective": True,
                "detail": "12 of 12 directed links silent, 8 others heard",
                "links": dead,
            }
            healed: dict[str, Any] = {
                "detail": "20 of 20 directed links heard",
                "dropped": 1234 + 77 * number,
            }
            done: dict[str, Any] = {"fault": fault, "phase": "stop"}
        else:
            begin, end = "kill", "restart"
            value = {"fault": fault, "phase": "start", "nodes": ["n2"]}
            effect = {"effective": True, "detail": "process gone on n2"}
            healed = {"detail": "n2 answers again"}
            done = {"fault": fault, "phase": "stop", "nodes": ["n2"]}
        tape.put(at - 0.06, "nemesis", "info", begin, value=value)
        tape.put(at, "nemesis", "info", begin, value={**value, "evidence": effect})
        tape.put(until, "nemesis", "info", end, value=done)
        tape.put(until + 0.08, "nemesis", "info", end, value={**done, "evidence": {"effective": True, **healed}})
    for after, stage in (
        (0, "recovery"),
        (1.2, "recovered"),
        (1.25, "convergence"),
        (2.6, "final-reads"),
        (3.4, "end"),
    ):
        tape.put(model.seconds + after, "nemesis", "info", "stage", value=stage)


def _load(model: Model, tape: Tape) -> None:
    rng = model.random
    free_at = [0.0] * 10
    process = list(range(10))
    at, value, next_poll = 0.05, 0, 4.0
    while at < model.seconds:
        at += rng.expovariate(model.rate)
        slot = next((s for s in rng.sample(range(10), 10) if free_at[s] <= at), None)
        if slot is None or at >= model.seconds:
            continue
        if at >= next_poll:
            _poll(model, tape, at)
            next_poll += 4.0
        who, node, key = process[slot], NODES[slot % 5], rng.choice(model.keys)
        fault = model.fault(at)
        f = "read" if rng.random() < 0.35 else ("add" if model.workload == "sets" else "put")
        value += f != "read"
        asked: Any = None if f == "read" else value if f == "add" else {"write": value}
        invoked = tape.put(at, who, "invoke", f, key=key, value=asked, node=node)
        took = rng.lognormvariate(-5.4, 0.5) * (2.5 if fault == "partition" else 1) + 0.0004
        dice = rng.random()
        if fault == "kill" and node == "n2" and dice < 0.9:
            tape.put(
                at + took,
                who,
                "fail",
                f,
                key=key,
                value=asked,
                node=node,
                error="busy: n2 takes no requests; retry",
            )
        elif fault and dice < 0.08:
            took = 1.0
            code = "timeout: no answer from n2 within 1 s" if dice < 0.05 else "quorum_failed: 1 of 2 replicas answered"
            tape.put(at + took, who, "info", f, key=key, value=asked, node=node, error=code)
            process[slot] += 10
        else:
            answered, lose = model.answer(f, key, value, node, at)
            done = tape.put(at + took, who, "ok", f, key=key, value=answered, node=node)
            if lose:
                model.lost.append((invoked, done, key, value))
        free_at[slot] = at + took + 0.0005


def _poll(model: Model, tape: Tape, at: float) -> None:
    """Ask every replica of every key, by one process a node; a node that is down costs its process."""
    for slot, node in enumerate(NODES):
        who = model.pollers.setdefault(node, 1000 + slot)
        if model.fault(at) == "kill" and node == "n2":
            key = model.keys[0]
            tape.put(at, who, "invoke", "replica", key=key, node=node)
            tape.put(at + 0.5, who, "info", "replica", key=key, node=node, error="timeout: no answer within 0.5 s")
            model.pollers[node] += 10
            continue
        behind = model.fault(at) == "partition" and node in MINORITY
        for number, key in enumerate(model.keys):
            home = node in [NODES[(number + step) % 5] for step in range(3)]
            begin = at + number * 0.004 + slot * 0.0003
            held = model.held[key][: -3 if behind and number % 3 == 0 else None] if home else []
            versions = [f"{key}-{write}" for write in (held[-1:] if model.workload == "sets" else held)]
            values = [held] * len(versions) if model.workload == "sets" else held
            value = {"home": home, "versions": versions, "values": values, "hinted": int(behind and not home)}
            tape.put(begin, who, "invoke", "replica", key=key, node=node)
            tape.put(begin + 0.003, who, "ok", "replica", key=key, node=node, value=value)


def _end(model: Model, tape: Tape) -> None:
    for step in range(4):
        _poll(model, tape, model.seconds + 1.3 + step * 0.3)
    for number, key in enumerate(model.keys):
        for slot, node in enumerate(NODES):
            at = model.seconds + 2.7 + number * 0.05 + slot * 0.001
            who = model.pollers[node]
            tape.put(at, who, "invoke", "read", key=key, node=node)
            done = tape.put(at + 0.0008, who, "ok", "read", key=key, node=node, value=sorted(model.held[key]))
            model.final.setdefault(key, []).append(done)


def _results(model: Model, events: list[dict[str, Any]]) -> dict[str, Any]:
    ok = sum(event["type"] == "ok" for event in events)
    checkers: dict[str, Any] = {
        "evidence": {
            "verdict": "valid",
            "reason": "3 of 3 faults took effect and overlapped operations",
            "faults": 3,
        },
        "convergence": {
            "verdict": "valid",
            "reason": "every key's replicas agreed 0.31 s after the heal",
            "heal_to_agreement_s": 0.31,
            "diverged_keys": 0,
        },
        "availability": {
            "verdict": "valid",
            "reason": "ok-rate 0.969; longest silence 0.41 s",
            "ok_rate": 0.969,
            "by_fault": {"none": 0.998, "partition": 0.921, "kill": 0.79},
            "longest_silence_s": 0.41,
        },
        "latency": {
            "verdict": "valid",
            "reason": "p99.9 of 38 ms is within the SLA of 300 ms",
            "percentiles_ms": {"p50": 4.6, "p95": 14.2, "p99": 22.4, "p99.9": 38.0},
            "sla_ms": 300,
        },
    }
    if model.workload == "registers":
        checkers["siblings"] = {
            "verdict": "valid",
            "reason": "at most 8 siblings, none of them false",
            "most": 8,
        }
    bad = "siblings" if model.workload == "registers" else "lost-writes"
    if not model.lost:
        checkers[bad] = {
            "verdict": "valid",
            "reason": f"all acknowledged writes are in the final reads ({ok} ok)",
            "lost": 0,
        }
        return {"verdict": "valid", "reason": "every checker found it valid", "checkers": checkers}
    checkers = {
        bad: _invalid(model, events),
        **{name: part for name, part in checkers.items() if name != bad},
    }
    checkers[bad]["lost"] = len(model.lost)
    return {"verdict": "invalid", "reason": f"{bad}: {checkers[bad]['reason']}", "checkers": checkers}


def _invalid(model: Model, events: list[dict[str, Any]]) -> dict[str, Any]:
    invoked, done, key, value = model.lost[0]
    finals = model.final[key]
    reads = [e for e in events if e["type"] == "ok" and e["f"] == "read" and e.get("key") == key]
    before = [e for e in reads if e["time"] < invoked["time"]][-1:]
    after = [e for e in reads if e["time"] > done["time"]][:2]
    shown = sorted(e["index"] for e in [*before, invoked, done, *after, *finals])
    text = (
        f"{invoked['f']} {value} to {key} by process {invoked['process']} through {invoked['node']} "
        f"was acknowledged at {done['time'] / SECOND:.3f} s (operation #{invoked['index']}), "
        f"during the partition {{n1, n2}} | {{n3, n4, n5}}.\n"
        f"All {len(finals)} final reads of {key} succeeded after the heal, and none returned it "
        f"(the first is #{finals[0]['index']}). No read after its acknowledgement ever returned it "
        f"(the first that could have is #{after[0]['index']})."
    )
    return {
        "verdict": "invalid",
        "reason": f"{len(model.lost)} acknowledged writes are missing from every final read",
        "acknowledged": sum(e["type"] == "ok" and e["f"] in ("add", "put") for e in events),
        "by_key": _count(key for _, _, key, _ in model.lost),
        "lost_values": [value for *_, value in model.lost],
        "witness": {
            "text": text,
            "events": shown,
            "data": {"kind": "lost", "key": key, "value": value, "lost": [_lost(*each) for each in model.lost]},
        },
    }


def _lost(invoked: dict[str, Any], done: dict[str, Any], key: str, value: int) -> dict[str, Any]:
    about = {"time": done["time"], "node": done["node"], "process": done["process"], "index": done["index"]}
    return {"key": key, "value": value, **about, "last_held": None}


def _count(items: Any) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for item in items:
        counts[item] = counts.get(item, 0) + 1
    return dict(sorted(counts.items()))


def _log(model: Model, node: str) -> str:
    rng = random.Random(f"{model.seed} {node}")
    lines = [
        f"{at:9.3f} {node} " + rng.choice(("gossip with", "handoff to", "repair from")) + f" {rng.choice(NODES)}"
        for at in sorted(rng.uniform(0, model.seconds) for _ in range(120))
    ]
    return "\n".join([f"    0.000 {node} ready, 12 partitions", *lines]) + "\n"
