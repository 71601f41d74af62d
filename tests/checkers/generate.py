"""Random small histories: well-formed always, honest half of the time.

1. Structure is always right: one open operation a process, `info` retires it, indices ascend.
2. An honest history comes from a store that keeps its promises, with crashes, failures, unanswered operations,
   faults, several keys and processes. A dishonest one is an honest one with a few of its answers changed.
3. Everything follows from the `Random` that is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History

NODES = ("n1", "n2", "n3", "n4")  # n4 is nobody's home.
SHAPES = ("sets", "registers")
_WRITES = ("add", "put", "delete")


class Recorder:
    """Events in the making; time moves on by 0 to 3 ms with each."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.events: list[Event] = []
        self.time = 0

    def add(self, process: Any, type_: Any, f: str, key: Any = None, value: Any = None, **more: Any) -> None:
        self.time += self.random.randrange(4) * 1_000_000
        self.events.append(Event(len(self.events), self.time, process, type_, f, key, value, **more))

    def nemesis(self, f: str, value: Any, error: str | None = None) -> None:
        self.add("nemesis", "info", f, None, value, error=error)


class Store:
    """Keeps its promises. Sets hold elements, registers hold siblings."""

    def __init__(self) -> None:
        self.held: dict[str, list[int]] = {}

    def get(self, key: str) -> list[int]:
        return list(self.held.get(key, ()))

    def add(self, key: str, element: int) -> None:
        self.held[key] = sorted({*self.get(key), element})

    def put(self, key: str, write: int, seen: list[int]) -> None:
        self.held[key] = sorted({*self.get(key), write} - set(seen))

    def delete(self, key: str, seen: list[int]) -> None:
        self.held[key] = sorted(set(self.get(key)) - set(seen))


def history(random: Random, shape: str) -> History:
    """A random history of sets, registers, or registers that are never deleted ("puts"); half of them dishonest."""
    recorder = Recorder(random)
    staged = random.random() < 0.6
    faulty = random.random() < 0.6
    keys = [f"{shape[0]}{number}" for number in range(random.randint(1, 3))]
    if staged:
        recorder.nemesis("stage", "load")
    store = Store()
    clients = Clients(recorder, store, shape, keys)
    faults = Faults(recorder)
    for _ in range(random.randint(0, 40)):
        if faulty and random.random() < 0.12:
            faults.step()
        else:
            clients.step()
    if random.random() < 0.9:
        faults.heal()
    clients.finish()
    _end(recorder, clients, staged)
    events = recorder.events
    if random.random() < 0.5:
        for _ in range(random.randint(1, 3)):
            events = random.choice(_MUTATIONS)(random, events)
    return History(events)


class Clients:
    """A few processes, each with at most one operation open."""

    def __init__(self, recorder: Recorder, store: Store, shape: str, keys: list[str]) -> None:
        self.recorder, self.store, self.shape, self.keys = recorder, store, shape, keys
        self.random = recorder.random
        self.idle = list(range(self.random.randint(1, 4)))
        self.opened: dict[int, tuple[str, str, Any, str]] = {}
        self.seen: dict[int, list[int]] = {}
        self.next_process = len(self.idle)
        self.next_value = 1

    def step(self) -> None:
        if self.opened and (not self.idle or self.random.random() < 0.6):
            self.complete(self.random.choice(sorted(self.opened)))
        elif self.idle:
            f = self.random.choices(["write", "read", "replica"], [5, 4, 1])[0]
            self.invoke(f, self.random.choice(self.keys), self.random.choice(NODES))

    def invoke(self, f: str, key: str, node: str) -> int:
        process = self.idle.pop(self.random.randrange(len(self.idle)))
        value: Any = None
        if f == "write":
            f = "add" if self.shape == "sets" else "put"
            if self.shape == "registers" and self.random.random() < 0.2:
                f = "delete"
            value = self.next_value if self.shape == "sets" else {"write": self.next_value}
            self.next_value += 1
            self.seen[process] = self.store.get(key)
        self.opened[process] = (f, key, value, node)
        self.recorder.add(process, "invoke", f, key, value, node=node)
        return process

    def complete(self, process: int, outcome: str | None = None, versions: list[str] | None = None) -> None:
        f, key, value, node = self.opened.pop(process)
        outcome = outcome or self.random.choices(["ok", "fail", "info"], [8, 1, 1])[0]
        happened = outcome == "ok" or (outcome == "info" and self.random.random() < 0.5)
        if f == "add" and happened:
            self.store.add(key, value)
        if f in ("put", "delete"):
            seen = self.seen.pop(process)
            if happened and f == "put":
                self.store.put(key, value["write"], seen)
            elif happened:
                self.store.delete(key, seen)
            if outcome == "ok" or self.random.random() < 0.5:
                value = {**value, "seen": seen}
        if outcome == "ok" and f == "read":
            value = self.store.get(key)
        if outcome == "ok" and f == "replica":
            versions = versions or self.random.choice([["v1"], ["v1"], ["v1", "v2"], []])
            value = {"home": node != "n4", "versions": versions, "values": [None] * len(versions), "hinted": 0}
        error = None if outcome == "ok" else "timeout: no answer within 1 s"
        self.recorder.add(process, outcome, f, key, value, node=node, error=error)
        if outcome == "info":
            process = self.next_process
            self.next_process += 1
        self.idle.append(process)

    def finish(self) -> None:
        """Most open operations come to an end; the others crashed with their clients."""
        for process in sorted(self.opened):
            if self.random.random() < 0.8:
                self.complete(process)
            else:
                del self.opened[process]
                self.idle.append(self.next_process)
                self.next_process += 1

    def ask(self, f: str, key: str, node: str, versions: list[str] | None = None) -> None:
        outcome = "ok" if self.random.random() < 0.93 else "info"
        self.complete(self.invoke(f, key, node), outcome, versions)

    def ask_again(self, key: str, node: str) -> None:
        """Two reads at once, where there are clients for them."""
        both = [self.invoke("read", key, node) for _ in self.idle[:2]]
        self.random.shuffle(both)
        for process in both:
            self.complete(process, "ok")


class Faults:
    """Partitions and kills, now and then without effect."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.partitioned = False
        self.dead: list[str] = []

    def step(self) -> None:
        random = self.recorder.random
        if random.random() < 0.5:
            phase = "stop" if self.partitioned else "start"
            self.partitioned = not self.partitioned
            value = {"fault": "partition", "phase": phase}
            shape = {"shape": "halves", "cut": [["n1", "n2"]]} if phase == "start" else {}
            self.act(f"{phase}-partition", {**value, **shape})
        elif self.dead and random.random() < 0.6:
            back = random.sample(self.dead, random.randint(1, len(self.dead)))
            self.dead = [node for node in self.dead if node not in back]
            self.act("restart", {"fault": "kill", "phase": "stop", "nodes": sorted(back)})
        else:
            alive = [node for node in NODES if node not in self.dead]
            if alive:
                nodes = sorted(random.sample(alive, random.randint(1, min(2, len(alive)))))
                self.dead += nodes
                self.act("kill", {"fault": "kill", "phase": "start", "nodes": nodes})

    def act(self, f: str, value: dict[str, Any]) -> None:
        effective = self.recorder.random.random() < 0.97
        self.recorder.nemesis(f, value)
        evidence: dict[str, Any] = {"effective": effective, "detail": "looked at"}
        if value["phase"] == "stop" and self.recorder.random.random() < 0.5:
            evidence["stood"] = self.recorder.random.random() < 0.9
        if value["phase"] == "stop" and self.recorder.random.random() < 0.05:
            evidence["died"] = ["n3"]
        self.recorder.nemesis(f, {**value, "evidence": evidence}, None if effective else "ssh: no route")

    def heal(self) -> None:
        if self.partitioned:
            self.act("stop-partition", {"fault": "partition", "phase": "stop"})
        if self.dead:
            self.act("restart", {"fault": "kill", "phase": "stop", "nodes": self.dead})


def _end(recorder: Recorder, clients: Clients, staged: bool) -> None:
    """Recovery, polls that come to agree, final reads."""
    random = recorder.random

    def stage(name: str) -> None:
        if staged:
            recorder.nemesis("stage", name)

    stage("recovery")
    stage("recovered" if random.random() < 0.93 else "not-recovered")
    if random.random() < 0.03:
        stage("environment-lost")
    stage("convergence")
    rounds = random.randint(0, 3)
    agreed_from = {key: random.randint(0, rounds) for key in clients.keys}
    for number in range(rounds):
        for key in clients.keys:
            for node in NODES:
                agreed = number >= agreed_from[key] or random.random() < 0.3
                clients.ask("replica", key, node, ["v1"] if agreed else [f"v{random.randint(1, 2)}"])
    if random.random() < 0.9:
        stage("final-reads")
        for key in clients.keys:
            for node in random.sample(NODES, random.choice([1, 4, 4, 4, 4])):
                clients.ask("read", key, node)
            if random.random() < 0.3:
                clients.ask_again(key, random.choice(NODES))
    stage("end")


Mutation = Callable[[Random, list[Event]], list[Event]]


def _replaced(events: list[Event], at: int, **changes: Any) -> list[Event]:
    return [*events[:at], msgspec.structs.replace(events[at], **changes), *events[at + 1 :]]


def _pick(random: Random, events: list[Event], *fs: str, types: tuple[str, ...] = ("ok",)) -> Event | None:
    fitting = [event for event in events if event.f in fs and event.type in types]
    return random.choice(fitting) if fitting else None


def _change_a_read(random: Random, events: list[Event]) -> list[Event]:
    event = _pick(random, events, "read")
    if event is None:
        return events
    value = list(event.value)
    match random.randrange(4):
        case 0 if value:
            value.remove(random.choice(value))
        case 1 if value:
            value.append(random.choice(value))
        case 2:
            value = []
        case _:
            value.append(random.randint(1, 25))
    return _replaced(events, event.index, value=sorted(value))


def _lose_a_value(random: Random, events: list[Event]) -> list[Event]:
    """From every read after some moment, as last-write-wins does."""
    event = _pick(random, events, "read")
    if event is None or not event.value:
        return events
    doubtful = [e.value for e in events if e.f == "add" and e.type == "info" and e.value in event.value]
    gone = random.choice(doubtful or event.value)
    since = random.choice([0, event.index, event.index + 1])
    for each in events[since:]:
        if each.f == "read" and each.type == "ok":
            value = [item for item in each.value if item != gone]
            events = _replaced(events, each.index, value=value)
    return events


def _bring_back(random: Random, events: list[Event]) -> list[Event]:
    """A value that was written to that key before: of registers mostly one that was replaced."""
    event = _pick(random, events, "read")
    if event is None:
        return events
    earlier = [e for e in events[: event.index] if e.type == "invoke" and e.key == event.key and e.f in _WRITES]
    if not earlier:
        return events
    value = random.choice(earlier).value
    return _replaced(
        events, event.index, value=sorted({*event.value, value["write"] if isinstance(value, dict) else value})
    )


def _resurrect(random: Random, events: list[Event]) -> list[Event]:
    """What a delete had seen is in every read of the key again, or in the last ones."""
    event = _pick(random, events, "delete", types=("ok", "info"))
    if event is None or not event.value.get("seen"):
        return events
    back, since = random.choice(event.value["seen"]), random.choice([event.index, event.index, len(events) - 8])
    for each in events[max(since, event.index) :]:
        if each.f == "read" and each.type == "ok" and each.key == event.key:
            events = _replaced(events, each.index, value=sorted({*each.value, back}))
    return events


def _change_what_was_seen(random: Random, events: list[Event]) -> list[Event]:
    event = _pick(random, events, "put", "delete", types=("ok", "info"))
    if event is None:
        return events
    value = {"write": event.value["write"]}
    before = [e.value["write"] for e in events[: event.index] if e.f in _WRITES and e.type == "invoke"]
    if random.random() < 0.8:
        value["seen"] = random.sample(before, random.randint(0, min(3, len(before))))
    return _replaced(events, event.index, value=value)


def _change_a_poll(random: Random, events: list[Event]) -> list[Event]:
    event = _pick(random, events, "replica")
    if event is None:
        return events
    versions = random.choice([["v1"], ["v2"], ["v1", "v2"]])
    values = [random.choice([None, None, {"a": 1, "b": 2}, {"b": 2, "a": 1}]) for _ in versions]
    changed = {"versions": versions, "values": values, "home": random.random() < 0.9}
    return _replaced(events, event.index, value={**event.value, **changed})


def _change_an_outcome(random: Random, events: list[Event]) -> list[Event]:
    event = _pick(random, events, *_WRITES, types=("ok", "fail"))
    if event is None:
        return events
    return _replaced(events, event.index, type="fail" if event.type == "ok" else "ok")


def _forget_evidence(random: Random, events: list[Event]) -> list[Event]:
    done = [e for e in events if isinstance(e.value, dict) and "evidence" in e.value]
    if not done:
        return events
    event = random.choice(done)
    return _replaced(events, event.index, value={**event.value, "evidence": {}})


def _forget_a_stage(random: Random, events: list[Event]) -> list[Event]:
    event = _pick(random, events, "stage", types=("info",))
    if event is None:
        return events
    left = [e for e in events if e is not event]
    return [msgspec.structs.replace(e, index=index) for index, e in enumerate(left)]


def _cut_short(random: Random, events: list[Event]) -> list[Event]:
    return events[: random.randint(0, len(events))]


_MUTATIONS: tuple[Mutation, ...] = (
    _change_a_read,
    _change_a_read,
    _lose_a_value,
    _lose_a_value,
    _bring_back,
    _bring_back,
    _resurrect,
    _change_what_was_seen,
    _change_a_poll,
    _change_an_outcome,
    _forget_evidence,
    _forget_a_stage,
    _cut_short,
)
