"""Small random histories of what weakly isolated stores might return: any version, of any key, at any time."""

from __future__ import annotations

from random import Random
from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History


def history(random: Random, model: str) -> History:
    """A few transactions of a few processes. Each read returns some version of the key, in most histories the same one
    within a transaction; one in ten histories has reads of what is no version at all.
    """
    count, keys = random.choice((2, 3, 4, 4, 5, 5)), ["x", "y", "z"][: random.choice((1, 2, 2, 3))]
    write = "append" if model == "list-append" else "w"
    numbers = dict.fromkeys(keys, 0)
    asked: list[list[list[Any]]] = []
    for _ in range(count):
        mops: list[list[Any]] = []
        for _ in range(random.choice((1, 2, 2, 3, 4))):
            key = random.choice(keys)
            if random.random() < 0.6:
                mops.append(["r", key, None])
            else:
                numbers[key] += 1
                mops.append([write, key, numbers[key]])
        asked.append(mops)
    careless = random.random() < 0.1
    # Which order the versions came in, and where a reader sees the end of a transaction.
    order = random.sample(range(count), count) if random.random() < 0.5 else list(range(count))
    versions: dict[str, list[list[int]]] = {key: [[]] for key in keys}
    for txn in order:
        for key in keys:
            mine = [value for name, k, value in asked[txn] if name != "r" and k == key]
            if mine:
                versions[key].append([*versions[key][-1], *mine])
    newest = random.choice((0.3, 0.6, 0.9))
    steady, found = random.random() < 0.6, dict[tuple[int, str], list[int]]()

    def read(txn: int, at: int) -> Any:
        key = asked[txn][at][1]
        before = [value for name, k, value in asked[txn][:at] if name != "r" and k == key]
        own = [value for name, k, value in asked[txn] if name != "r" and k == key]
        some = [each for each in versions[key] if not set(own) & set(each)] or [[]]
        shown = some[-1] if random.random() < newest else random.choice(some)
        if steady:
            shown = found.setdefault((txn, key), shown)
        if before and (steady or random.random() < 0.9):
            mine = next(each for each in versions[key] if set(own) <= set(each))
            shown = mine[: mine.index(before[-1]) + 1]
        if careless and random.random() < 0.3:
            shown = random.choice(versions[key])[: random.randint(0, 3)]
        return shown if model == "list-append" else (shown[-1] if shown else None)

    processes = random.choice((1, 2, 2, 3, count))
    events: list[Event] = []
    fresh, names = processes, list(range(processes))

    def event(process: int, type_: Any, value: Any) -> None:
        events.append(Event(len(events), len(events) * 1_000_000, process, type_, "txn", None, value))

    for txn in range(count):
        place = random.randrange(processes)
        process = names[place]
        event(process, "invoke", asked[txn])
        outcome = random.choices(("ok", "info", "fail"), (90, 7, 3))[0]
        done = [[name, key, read(txn, at) if name == "r" else held] for at, (name, key, held) in enumerate(asked[txn])]
        event(process, outcome, done if outcome == "ok" else asked[txn])
        if outcome == "info":
            names[place], fresh = fresh, fresh + 1
    return History(events)
