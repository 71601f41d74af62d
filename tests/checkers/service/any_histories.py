"""Random histories with polls, nemesis events and many errors."""

from __future__ import annotations

from random import Random
from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from tests.checkers.invariants.total_queue_histories import Queues
from tests.checkers.simulated_clients import record


def any_kind(random: Random) -> History:
    """With polls, nemesis events and many errors."""
    events = record(
        random,
        Queues(random),
        random.randint(0, 20),
        errors=("timeout: no answer", "timeout", "conflict: no", "", " refused : by n1"),
    )
    for _ in range(random.randint(0, 3)):
        process = 50 + len(events)
        kind = random.randrange(3)
        if kind == 0:
            error = random.choice([None, "ssh: no route"])
            events.append(Event(len(events), len(events), "nemesis", "info", "kill", None, None, error=error))
            continue
        f = "replica" if kind == 1 else "size"
        events.append(Event(len(events), len(events), process, "invoke", f, "a", None, node="n1"))
        if random.random() < 0.8:
            outcome: Any = random.choice(["ok", "fail", "info"])
            events.append(Event(len(events), len(events), process, outcome, f, "a", None, node="n1"))
    return History(events)
