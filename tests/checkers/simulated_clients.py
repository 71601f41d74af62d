"""Clients of a simulated object, and the random small histories of what they see: honest half of the time.

1. Structure is always right: one open operation a process, `info` retires it, indices ascend.
2. An honest history is a simulated object's own. An operation takes effect once, somewhere between its invocation and
   its completion. One that crashes takes effect then, or later, or never; one that fails, never.
3. A dishonest one is an honest one with some answers or outcomes changed.
4. Everything follows from the `Random` that is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Protocol

import msgspec

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History

KEYS: Sequence[Sequence[str | None]] = ([None], ["a"], ["a", "b"])


class SimulatedObject(Protocol):
    """ask: a random operation (f, key, argument). do: let it take effect and give its answer."""

    def ask(self) -> tuple[str, str | None, Any]: ...

    def do(self, f: str, key: str | None, argument: Any) -> Any: ...


def record(
    random: Random,
    thing: SimulatedObject,
    steps: int,
    *,
    errors: Sequence[str] = ("timeout: no answer",),
    crashes: int = 2,
) -> list[Event]:
    """What clients of that object see of it, each with one operation at a time.

    crashes: how often one crashes, to 6 to 9 times that it doesn't.
    """
    events: list[Event] = []
    idle = list(range(random.randint(1, 4)))
    opened: dict[int, tuple[str, str | None, Any]] = {}
    answers: dict[int, Any] = {}
    zombies: list[tuple[str, str | None, Any]] = []
    next_process = len(idle)

    def log(process: int, type_: Any, f: str, key: str | None, value: Any, error: str | None = None) -> None:
        events.append(Event(len(events), len(events) * 1_000_000, process, type_, f, key, value, error=error))

    for _ in range(steps):
        move = random.random()
        ready = [process for process in sorted(opened) if process not in answers]
        if zombies and move < 0.05:
            thing.do(*zombies.pop(random.randrange(len(zombies))))
        elif idle and move < 0.45:
            process = idle.pop(random.randrange(len(idle)))
            opened[process] = thing.ask()
            log(process, "invoke", *opened[process])
        elif ready and move < 0.7:
            process = random.choice(ready)
            answers[process] = thing.do(*opened[process])
        elif opened:
            process = random.choice(sorted(opened))
            operation = opened.pop(process)
            done = process in answers
            outcome = random.choices(["ok", "info", "fail"], [9, crashes, 0] if done else [6, crashes, 2])[0]
            if not done and outcome == "ok":
                answers[process] = thing.do(*operation)
            if outcome == "info":
                if not done and random.random() < 0.5:
                    zombies.append(operation)
                idle.append(next_process)
                next_process += 1
            else:
                idle.append(process)
            answer = answers.pop(process, operation[2])
            f, key, argument = operation
            error = None if outcome == "ok" or random.random() < 0.1 else random.choice(errors)
            log(process, outcome, f, key, answer if outcome == "ok" else argument, error)
    return events


def altered(random: Random, events: list[Event], answer: Callable[[Event], Any]) -> list[Event]:
    """The same with one event changed: an answer, or an outcome.

    answer: another answer in place of that of an ok event; the same where it has none to give.
    """
    others = {event.index: answer(event) for event in events if event.type == "ok"}
    telling = [index for index, other in others.items() if other is not events[index].value]
    if telling and random.random() < 0.8:
        index = random.choice(telling)
        event = msgspec.structs.replace(events[index], value=others[index])
    else:
        done = [event.index for event in events if event.type != "invoke"]
        if not done:
            return events
        index = random.choice(done)
        event = events[index]
        if event.type == "ok":
            event = msgspec.structs.replace(event, type="fail", value=None, error="conflict: no")
        elif event.type == "fail" and event.value is not None:
            event = msgspec.structs.replace(event, type="ok", error=None)
    return [*events[:index], event, *events[index + 1 :]]


def half_altered(random: Random, events: list[Event], answer: Callable[[Event], Any]) -> History:
    """The history of these events, one or two of them changed in half of the cases."""
    if random.random() < 0.5:
        for _ in range(random.randint(1, 2)):
            events = altered(random, events, answer)
    return History(events)
