"""Histories of objects that really are linearizable, in which clients crash, for benchmarks.

At each step one client drawn at random goes on: it invokes, its operation takes effect, it returns, or it crashes. A
client that crashed is replaced by one with a process of its own. Its operation has taken effect, or does by then for
half of them, or never does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from splitbrain.checkers import History
from splitbrain.checkers.histories.builder import HistoryBuilder
from splitbrain.checkers.histories.event import Event

_VALUES = 5


class _Object:
    """What Jepsen's objects hold, and what they answer. name: as the checker's models are named."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.value: Any = 0 if name == "counter" else None
        self.elements: list[int] = []
        self.by_name: dict[int, int] = {}

    def ask(self, random: Random) -> tuple[str, Any]:
        first = random.random() < 0.5
        value = random.randrange(_VALUES)
        match self.name:
            case "counter":
                return ("add", random.randint(-5, 5)) if first else ("read", None)
            case "fifo-queue":
                return ("enqueue", value) if first else ("dequeue", None)
            case "multi-register":
                return "txn", [self._ask_one(random) for _ in range(random.choice((1, 2)))]
            case "cas-register" if random.random() < 1 / 3:
                return "cas", [value, random.randrange(_VALUES)]
            case _:
                return ("write", value) if first else ("read", None)

    def _ask_one(self, random: Random) -> list[Any]:
        name = random.randrange(3)
        return ["w", name, random.randrange(_VALUES)] if random.random() < 0.5 else ["r", name, None]

    def act(self, f: str, asked: Any) -> tuple[str, Any]:
        """Do it. The type of the completion and its value."""
        match f:
            case "write":
                self.value = asked
            case "add":
                self.value += asked
            case "cas" if self.value != asked[0]:
                return "fail", asked
            case "cas":
                self.value = asked[1]
            case "enqueue":
                self.elements.append(asked)
            case "dequeue":
                return "ok", self.elements.pop(0) if self.elements else None
            case "txn":
                return "ok", [self._act_one(*micro) for micro in asked]
            case _:
                return "ok", self.value
        return "ok", asked

    def _act_one(self, f: str, name: int, value: Any) -> list[Any]:
        if f == "w":
            self.by_name[name] = value
        return [f, name, self.by_name.get(name)]


NAMES: Mapping[str, Callable[[], _Object]] = {
    name: lambda name=name: _Object(name)  # type: ignore[misc]
    for name in ("register", "cas-register", "fifo-queue", "multi-register", "counter")
}


def object_history(name: str, clients: int, operations: int, crashed: float, *, seed: int) -> History:
    """A history of that many operations. name: of NAMES. crashed: about what share of them crash."""
    random, held, builder = Random(seed), NAMES[name](), HistoryBuilder(numbered=False)
    processes = list(range(clients))
    open_: dict[int, tuple[str, Any, tuple[str, Any] | None]] = {}
    invoked = lines = 0

    def add(process: int, type_: str, f: str, value: Any) -> None:
        nonlocal lines
        builder.add(lines, Event(lines, lines * 1000, process, type_, f, None, value))  # type: ignore[arg-type]
        lines += 1

    while invoked < operations or open_:
        client = random.randrange(clients)
        process = processes[client]
        if process not in open_:
            if invoked == operations:
                continue
            f, asked = held.ask(random)
            open_[process] = f, asked, None
            invoked += 1
            add(process, "invoke", f, asked)
            continue
        f, asked, answer = open_[process]
        if random.random() < crashed / 2:  # It goes on twice until it returns.
            if answer is None and random.random() < 0.5:
                held.act(f, asked)
            add(process, "info", f, asked)
            processes[client] = max(processes) + 1
        elif answer is None:
            open_[process] = f, asked, held.act(f, asked)
            continue
        else:
            add(process, answer[0], f, answer[1])
        del open_[process]
    return History.of(builder)
