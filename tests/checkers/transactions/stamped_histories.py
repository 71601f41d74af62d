"""Small random histories of a store that gives its transactions timestamps, careful or careless."""

from __future__ import annotations

from random import Random
from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History


def stamped(did: list[list[Any]], **times: int | None) -> dict[str, Any]:
    """The completion of a transaction with timestamps."""
    return {"txn": did, **{name: at for name, at in times.items() if at is not None}}


def history(random: Random, model: str) -> History:
    """A few overlapping transactions. A careless store reads old snapshots, forgets conflicts, or mixes its times up."""
    keys = ["x", "y", "z"][: random.choice((1, 2, 3))]
    write = "append" if model == "list-append" else "w"
    careless = random.choice((0.0, 0.1, 0.3, 0.5))
    serial = random.random() < 0.5
    numbers = dict.fromkeys(keys, 0)
    clock = 0
    versions: dict[str, list[tuple[int, list[int]]]] = {key: [(0, [])] for key in keys}
    events: list[Event] = []
    open_: dict[int, tuple[list[list[Any]], int]] = {}
    fresh, idle = 3, [0, 1, 2][: random.choice((1, 2, 3))]
    left = random.choice((2, 3, 4, 5, 6))

    def event(process: int, type_: Any, value: Any) -> None:
        events.append(Event(len(events), len(events) * 1_000_000, process, type_, "txn", None, value))

    def mistake() -> bool:
        return random.random() < careless

    while left or open_:
        if left and idle and (not open_ or random.random() < 0.5):
            left -= 1
            process = idle.pop(random.randrange(len(idle)))
            asked: list[list[Any]] = []
            for _ in range(random.choice((1, 2, 3))):
                key = random.choice(keys)
                if random.random() < 0.5:
                    asked.append(["r", key, None])
                else:
                    numbers[key] += 1
                    asked.append([write, key, numbers[key]])
            event(process, "invoke", asked)
            clock += random.choice((0, 1))
            open_[process] = asked, max(0, clock - random.choice((1, 2))) if mistake() else clock
            continue
        process = random.choice(sorted(open_))
        asked, start = open_.pop(process)
        wrote = {key for name, key, _ in asked if name != "r"}
        clock += 1
        commit = clock
        if serial:
            start = commit - 1
        latest = {key: max(at for at, _ in versions[key]) for key in wrote}
        if any(at > start for at in latest.values()) and not mistake():
            event(process, "fail", asked)
            idle.append(process)
            continue
        seen = max(0, start - 1) if mistake() else start
        own: dict[str, list[int]] = {}
        did: list[list[Any]] = []
        for name, key, value in asked:
            if name == "r":
                held = [*max((each for each in versions[key] if each[0] <= seen), key=lambda each: each[0])[1]]
                shown = [*held, *own.get(key, [])]
                did.append([name, key, shown if model == "list-append" else (shown[-1] if shown else None)])
            else:
                own.setdefault(key, []).append(value)
                did.append([name, key, value])
        for key, values in own.items():
            newest = max(versions[key], key=lambda each: each[0])[1]
            versions[key].append((commit, [*newest, *values]))
        if random.random() < 0.08:
            event(process, "info", asked)
            idle.append(fresh)
            fresh += 1
            continue
        told = commit - 1 if mistake() else commit
        both = {"start": start, "commit": told} if wrote or random.random() < 0.3 else {"start": start}
        event(process, "ok", stamped(did, **both))
        idle.append(process)
    return History(events)
