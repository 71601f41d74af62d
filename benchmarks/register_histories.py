"""Histories of a register that really is linearizable, for benchmarks: any number of clients, none of which ever rests.

At each step one client drawn at random goes on: it invokes, or its operation takes effect, or it returns. So about two
thirds of the clients are in an operation at any time, half of those with its effect behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from splitbrain.checkers import History
from splitbrain.checkers.histories.builder import HistoryBuilder
from splitbrain.checkers.histories.event import Event

Draw = Callable[[Random, int], tuple[str, Any]]
"""(random, number of the operation) -> f and argument."""


def distinct_writes(random: Random, number: int) -> tuple[str, Any]:
    """Reads and writes; every write has a value of its own."""
    return ("write", number) if random.random() < 0.5 else ("read", None)


def with_cas(random: Random, number: int) -> tuple[str, Any]:
    """A fifth compare-and-set, the others reads and writes, of five values as in Jepsen's register tests."""
    draw = random.random()
    if draw < 0.2:
        return "cas", [random.randrange(5), random.randrange(5)]
    return ("write", random.randrange(5)) if draw < 0.6 else ("read", None)


def register_history(clients: int, operations: int, draw: Draw, *, seed: int, stale: bool = False) -> History:
    """A history of that many operations. stale: one read near the end answers what was overwritten long before."""
    random = Random(seed)
    builder = HistoryBuilder(numbered=False)
    held: Any = None
    written: list[Any] = []
    open_: dict[int, tuple[str, Any, bool, str]] = {}
    invoked = lines = 0
    to_spoil = stale
    while invoked < operations or open_:
        client = random.randrange(clients)
        if client not in open_:
            if invoked == operations:
                continue
            f, argument = draw(random, invoked)
            open_[client] = (f, argument, False, "ok")
            invoked += 1
            type_, value = "invoke", argument
        else:
            f, argument, done, type_ = open_[client]
            if not done:
                value, outcome = argument, "ok"
                if f == "write":
                    held = argument
                    written.append(argument)
                elif f == "cas":
                    if held == argument[0]:
                        held = argument[1]
                    else:
                        outcome = "fail"
                else:
                    value = held
                    if to_spoil and invoked > operations * 0.95:
                        value, to_spoil = written[-20 * clients], False
                open_[client] = (f, value, True, outcome)
                continue
            value = argument
            del open_[client]
        event = Event(lines, lines * 1000, client, type_, f, None, value)  # type: ignore[arg-type]
        lines += 1
        builder.add(lines, event)
    return History.of(builder)
