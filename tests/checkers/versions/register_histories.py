"""Random small histories of registers, with distinct writes or versioned, from stores of every strength.

1. Structure is always right: one open operation a process, `info` retires it and a new process takes its place.
2. A store is one copy, or several that hear of writes late and in any order; half of the histories are then mutated.
3. Everything follows from the `Random` that is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

import msgspec

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History

Shape = Literal["distinct", "versioned"]


@dataclass
class Copies:
    """Copies of a few registers. Writes are (moment, value, seen); a write is heard of by the other copies late."""

    random: Random
    shape: Shape
    number: int
    winner: str
    held: list[dict[str, list[tuple[int, int, frozenset[int]]]]] = field(default_factory=list)
    unheard: list[tuple[int, str, tuple[int, int, frozenset[int]]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.held = [{} for _ in range(self.number)]

    def take(self, copy: int, key: str, write: tuple[int, int, frozenset[int]]) -> None:
        held = self.held[copy].get(key, [])
        if self.shape == "versioned":
            gone = write[2] | {w[1] for w in held if write[1] in w[2]}
            stays = [w for w in held if w[1] not in gone and w[1] != write[1]]
            self.held[copy][key] = [*stays, *([] if any(write[1] in w[2] for w in held) else [write])]
        elif self.winner == "last to come" or not held or held[0][0] < write[0]:
            self.held[copy][key] = [write]

    def write(self, copy: int, key: str, write: tuple[int, int, frozenset[int]]) -> None:
        self.take(copy, key, write)
        self.unheard += [(other, key, write) for other in range(self.number) if other != copy]

    def gossip(self) -> None:
        while self.unheard and self.random.random() < 0.5:
            at = 0 if self.random.random() < 0.6 else self.random.randrange(len(self.unheard))
            self.take(*self.unheard.pop(at))


def history(random: Random, shape: Shape) -> History:
    """A random history of 3 to 14 operations, at most 6 of them writes."""
    events = _run(random, shape)
    if random.random() < 0.5:
        for _ in range(random.randint(1, 3)):
            events = _mutated(random, shape, events)
    return History(events)


def _run(random: Random, shape: Shape) -> list[Event]:
    copies = Copies(random, shape, random.choice((1, 2, 2, 3)), random.choice(("last to come", "latest")))
    keys = ["x", "y"][: random.choice((1, 1, 2))]
    events: list[Event] = []
    free = list(range(random.randint(1, 4)))
    opened: dict[int, tuple[str, str, int, frozenset[int]]] = {}
    seen: dict[tuple[int, str], frozenset[int]] = {}
    home: dict[int, int] = {}
    sticky = random.random() < 0.4
    successor, time, wrote = len(free), 0, 0
    left = random.choice((random.randint(3, 12), random.randint(8, 14)))

    def record(process: int, type_: Any, f: str, key: str, value: Any) -> None:
        nonlocal time
        time += random.randrange(4) * 1_000_000
        events.append(Event(len(events), time, process, type_, f, key, value, node="n1"))

    while left or opened:
        copies.gossip()
        if left and free and (not opened or random.random() < 0.5):
            left -= 1
            process = free.pop(random.randrange(len(free)))
            home.setdefault(process, random.randrange(copies.number))
            key, value = random.choice(keys), 0
            if wrote < 6 and random.random() < 0.5:  # The oracles try all orders of them.
                wrote += 1
                value = wrote
            f = "read" if not value else "write" if shape == "distinct" else "put"
            context: frozenset[int] = frozenset()
            if f == "put" and random.random() < 0.8:
                copy = random.randrange(copies.number)
                context = frozenset(w[1] for w in copies.held[copy].get(key, ()))
                context |= seen.get((process, key), frozenset()) if random.random() < 0.5 else frozenset()
            opened[process] = f, key, value, context
            record(process, "invoke", f, key, None if f == "read" else value if f == "write" else {"write": value})
            continue
        if opened and random.random() < 0.03:
            opened.pop(random.choice(sorted(opened)))  # Never completed: its client died.
            free.append(successor)
            successor += 1
            continue
        if not opened:
            continue
        process = random.choice(sorted(opened))
        f, key, value, context = opened.pop(process)
        copy = home[process] if sticky else random.randrange(copies.number)
        outcome = random.choices(("ok", "fail", "info"), (10, 1, 1))[0]
        answer: Any = None if f == "read" else value if f == "write" else {"write": value}
        if f == "read" and outcome == "ok":
            held = copies.held[copy].get(key, [])
            answer = sorted(w[1] for w in held) if shape == "versioned" else held[0][1] if held else None
            seen[process, key] = seen.get((process, key), frozenset()) | {w[1] for w in held}
        if f != "read" and (outcome == "ok" or (outcome == "info" and random.random() < 0.5)):
            copies.write(copy, key, (len(events), value, context))
        if f == "put" and (outcome == "ok" or random.random() < 0.5):
            if random.random() < 0.93:
                answer = {**answer, "seen": sorted(context)}
            if outcome == "ok":
                seen[process, key] = seen.get((process, key), frozenset()) | {value}
        record(process, outcome, f, key, answer)
        if outcome == "info":
            process, successor = successor, successor + 1
        free.append(process)
    return events


def _mutated(random: Random, shape: Shape, events: list[Event]) -> list[Event]:
    """One answer changed."""
    some = [event for event in events if event.type != "invoke" and (event.f != "write")]
    if not some:
        return events
    event = random.choice(some)
    writes = sum(e.type == "invoke" and e.f != "read" for e in events)
    begun = {
        e.value if shape == "distinct" else e.value["write"]
        for e in events
        if e.type == "invoke" and e.f != "read" and e.key == event.key
    }
    value = event.value
    candidates = sorted(begun) + ([writes + 1] if random.random() < 0.05 else [])
    if event.f == "put":
        earlier = [
            e.value["write"]
            for e in events[: event.index]
            if e.type == "invoke" and e.f == "put" and (e.key == event.key or random.random() < 0.05)
        ]
        value = {
            "write": event.value["write"],
            "seen": sorted(random.sample(earlier, random.randint(0, min(2, len(earlier))))),
        }
    elif event.type == "ok" and shape == "versioned":
        value = sorted(random.sample(candidates, random.randint(0, min(2, len(candidates)))))
    elif event.type == "ok":
        value = random.choice([None, *candidates, *candidates])
    changed = msgspec.structs.replace(event, value=value)
    return [changed if each is event else each for each in events]
