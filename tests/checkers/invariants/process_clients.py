"""Clients of a simulated object that distinguishes them: by process, node and time.

As `simulated_clients`, whose objects do not: structure is always right, an operation takes effect at most once, between
its invocation and its completion, and everything follows from the `Random`. A crashed one takes effect or not.
"""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple, Protocol

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History

MS = 1_000_000
NODES = ("n1", "n2", "n3")


class Asked(NamedTuple):
    f: str
    key: str | None
    value: Any


class Answer(NamedTuple):
    """outcome: ok or fail."""

    outcome: str
    value: Any


class ProcessObject(Protocol):
    """ask: what a process does next. do: let it take effect at that time, and answer."""

    def ask(self, process: int) -> Asked: ...

    def do(self, process: int, node: str, asked: Asked, now_ms: int) -> Answer: ...


class Recording:
    """events: as far as it has come. Processes keep to the node of their number."""

    def __init__(self, random: Random, thing: ProcessObject) -> None:
        self.random, self.thing = random, thing
        self.events: list[Event] = []
        self.now_ms = 0
        self.idle = list(range(random.randint(1, 4)))
        self.next_process = len(self.idle)
        self.opened: dict[int, Asked] = {}
        self.answers: dict[int, Answer] = {}

    @property
    def history(self) -> History:
        return History(self.events)

    def log(self, process: Any, type_: Any, asked: Asked, value: Any, error: str | None = None) -> None:
        node = None if process == "nemesis" else NODES[process % len(NODES)]
        at = len(self.events)
        self.events.append(
            Event(at, self.now_ms * MS, process, type_, asked.f, asked.key, value, node=node, error=error)
        )

    def stage(self, name: str) -> None:
        self.log("nemesis", "info", Asked("stage", None, name), name)

    def run(self, steps: int) -> Recording:
        """Some steps of processes, each a few milliseconds."""
        for _ in range(steps):
            self.now_ms += self.random.randint(0, 9)
            move = self.random.random()
            ready = [process for process in sorted(self.opened) if process not in self.answers]
            if self.idle and move < 0.4:
                process = self.idle.pop(self.random.randrange(len(self.idle)))
                self.opened[process] = self.thing.ask(process)
                self.log(process, "invoke", self.opened[process], self.opened[process].value)
            elif ready and move < 0.65:
                self._do(self.random.choice(ready))
            elif self.opened:
                self._complete(self.random.choice(sorted(self.opened)))
        return self

    def ask(self, process: int, asked: Asked) -> None:
        """One whole operation."""
        self.opened[process] = asked
        self.log(process, "invoke", asked, asked.value)
        self._do(process)
        answer = self.answers.pop(process)
        self.log(process, answer.outcome, self.opened.pop(process), answer.value)

    def _do(self, process: int) -> None:
        node = NODES[process % len(NODES)]
        self.answers[process] = self.thing.do(process, node, self.opened[process], self.now_ms)

    def _complete(self, process: int) -> None:
        asked = self.opened[process]
        if self.random.random() < 0.15:
            del self.opened[process]
            self.answers.pop(process, None)
            self.log(process, "info", asked, asked.value, "timeout: no answer")
            self.idle.append(self.next_process)
            self.next_process += 1
            return
        if process not in self.answers:
            self._do(process)
        answer = self.answers.pop(process)
        del self.opened[process]
        self.idle.append(process)
        error = None if answer.outcome == "ok" else "refused: no"
        self.log(process, answer.outcome, asked, answer.value if answer.outcome == "ok" else asked.value, error)
