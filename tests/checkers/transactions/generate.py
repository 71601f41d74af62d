"""Small random histories of transactions: stores from strict to careless, crashes, failures, and reads that were tampered with."""

from __future__ import annotations

from random import Random
from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History

STORES = ("serial", "snapshot", "dirty", "stale")
KEYS: tuple[str | int, ...] = ("x", "y", 1, "1")


def history(random: Random, model: str, *, transactions: int | None = None) -> History:
    """A few transactions of a few processes against a store. About half of the histories are tampered with."""
    count = transactions or random.choice((2, 3, 3, 4, 4, 5, 6))
    keys = random.sample(KEYS, random.choice((1, 2, 2, 3)))
    store = _Store(random, model, random.choice(STORES))
    numbers = dict.fromkeys(keys, 0)
    write = "append" if model == "list-append" else "w"

    def transaction() -> list[list[Any]]:
        asked: list[list[Any]] = []
        for _ in range(random.choice((1, 2, 2, 3))):
            key = random.choice(keys)
            if random.random() < 0.55:
                asked.append(["r", key, None])
            else:
                numbers[key] += 1
                asked.append([write, key, numbers[key]])
        return asked

    events: list[Event] = []
    fresh = random.choice((1, 2, 3, 3))
    idle = list(range(fresh))
    busy: dict[int, _Open] = {}
    started = 0

    def event(process: int, type_: Any, value: Any) -> None:
        events.append(Event(len(events), len(events) * 1_000_000, process, type_, "txn", None, value))

    while started < count or busy:
        if started < count and idle and (not busy or random.random() < 0.45):
            process = idle.pop(random.randrange(len(idle)))
            asked = transaction()
            event(process, "invoke", asked)
            busy[process] = store.begin(asked)
            started += 1
            continue
        process = random.choice(sorted(busy))
        if store.step(busy[process]):
            continue
        done = busy.pop(process)
        outcome = random.choices(("ok", "info", "fail", "nothing"), (86, 5, 5, 4))[0]
        if outcome == "fail" and random.random() < 0.7:
            store.undo(done)
        if outcome == "ok":
            event(process, "ok", done.did)
        elif outcome != "nothing":
            event(process, outcome, done.asked)
        if outcome in ("ok", "fail"):
            idle.append(process)
        else:
            idle.append(fresh)
            fresh += 1
    if random.random() < 0.5:
        events = _tamper(random, events, model)
    return History(events)


class _Open:
    """A transaction under way: what was asked, what came of it so far, what it sees."""

    def __init__(self, asked: list[list[Any]], snapshot: dict[Any, Any]) -> None:
        self.asked, self.did, self.snapshot = asked, list[list[Any]](), snapshot
        self.own: dict[Any, list[Any]] = {}


class _Store:
    """serial: all at one moment. snapshot: reads from the beginning, writes at the end. dirty: one by one.
    stale: serial, but may read an old state."""

    def __init__(self, random: Random, model: str, kind: str) -> None:
        self.random, self.lists, self.kind = random, model == "list-append", kind
        self.past: list[dict[Any, Any]] = [{}]

    def begin(self, asked: list[list[Any]]) -> _Open:
        return _Open(asked, self.past[-1])

    def step(self, open_: _Open) -> bool:
        """Go on with it. False if there is nothing left to do."""
        left = len(open_.asked) - len(open_.did)
        if not left:
            return False
        if self.kind == "stale":
            open_.snapshot = self.random.choice(self.past[-3:])
        elif self.kind != "snapshot":
            open_.snapshot = self.past[-1]
        for asked in open_.asked[len(open_.did) :]:
            self._do(open_, asked)
            if self.kind == "dirty":
                open_.snapshot = self.past[-1]
                break
        return True

    def _do(self, open_: _Open, asked: list[Any]) -> None:
        name, key, value = asked
        if name != "r":
            now = dict(self.past[-1])
            now[key] = [*now.get(key, ()), value] if self.lists else value
            open_.own.setdefault(key, []).append(value)
            self.past.append(now)
            open_.did.append(asked)
            return
        held = open_.snapshot.get(key)
        own = open_.own.get(key, []) if self.kind != "dirty" else []
        if self.lists:
            seen = [*(held or ()), *(each for each in own if each not in (held or ()))]
            open_.did.append([name, key, seen or self.random.choice(([], None))])
        else:
            open_.did.append([name, key, own[-1] if own else held])

    def undo(self, open_: _Open) -> None:
        now = dict(self.past[-1])
        for key, values in open_.own.items():
            if self.lists:
                now[key] = [each for each in now.get(key, ()) if each not in values]
            elif now.get(key) in values:
                now[key] = None
        self.past.append(now)


def _tamper(random: Random, events: list[Event], model: str) -> list[Event]:
    """Change what a read or two returned."""
    changed = list(events)
    for _ in range(random.choice((1, 1, 2))):
        reads = [
            (at, place)
            for at, event in enumerate(changed)
            if event.type == "ok"
            for place, (name, _, _) in enumerate(event.value)
            if name == "r"
        ]
        if not reads:
            break
        at, place = random.choice(reads)
        event = changed[at]
        value = [list(each) for each in event.value]
        value[place][2] = (_other_list if model == "list-append" else _other_value)(random, value[place][2])
        changed[at] = Event(event.index, event.time, event.process, event.type, event.f, None, value)
    return changed


def _other_list(random: Random, held: list[Any] | None) -> list[Any] | None:
    held = list(held or ())
    match random.randrange(7):
        case 0 | 1 | 2:
            return held[: random.randint(0, len(held))]
        case 3:
            return [*held, random.randint(1, 4)]
        case 4:
            random.shuffle(held)
            return held
        case 5:
            return [each for each in held if random.random() < 0.6]
        case _:
            return [*held, random.choice((True, "1", 99, None, 1.0))]


def _other_value(random: Random, held: Any) -> Any:
    return random.choice((None, 1, 2, 3, 4, 1, 2, 3, held, True, "1", 99))


def generated_graph(random: Random) -> History:
    """A history of lists with the dependencies of a random graph: a ring, most often, and a few more.

    A history that comes about by chance seldom has a cycle of more than two transactions. Here each dependency has a key
    of its own: a transaction appends to it before another does (which one that overlaps everything reads), another reads
    what it appended, or it does not see what one or several others append. Real time: the one is over before the other.
    """
    count = random.randint(2, 7)
    steps = [(txn, (txn + 1) % count, random.choice(("ww", "wr", "rw", "rw", "time"))) for txn in range(count)]
    if random.random() < 0.3:
        steps.pop()
    for _ in range(random.choice((0, 0, 1, 1, 2, 4))):
        one, two = random.sample(range(count), 2)
        steps.append((one, two, random.choice(("ww", "wr", "rw", "rw", "rw"))))
    process = list(range(count))
    begins, ends = [random.random() for _ in range(count)], [9 + random.random() for _ in range(count)]
    mops: list[list[list[Any]]] = [[] for _ in range(count)]
    seen: list[list[Any]] = []
    for number, (one, two, kind) in enumerate(steps):
        key = f"k{number}"
        match kind:
            case "ww":
                mops[one].append(["append", key, 1])
                mops[two].append(["append", key, 2])
                seen.append(["r", key, [1, 2]])
            case "wr":
                mops[one].append(["append", key, 1])
                mops[two].append(["r", key, [1]])
            case "rw":
                mops[one].append(["r", key, random.choice(([], None))])
                more = random.sample(range(count), random.choice((0, 0, 0, min(2, count))))
                for value, writer in enumerate(dict.fromkeys([two, *more])):
                    mops[writer].append(["append", key, value])
                if random.random() < 0.2:
                    mops[random.randrange(count)].insert(0, ["r", key, []])
            case _ if max(begins[one], begins[two]) < 4 and min(ends[one], ends[two]) > 5:
                ends[one], begins[two] = 4 + random.random() / 2, 4.5 + random.random() / 2
                if random.random() < 0.4:
                    process[two] = one
    moments = [(at, txn, type_) for type_, line in (("invoke", begins), ("ok", ends)) for txn, at in enumerate(line)]
    if seen:
        mops.append(seen)
        process.append(count)
        moments += [(-1.0, count, "invoke"), (99.0, count, "ok")]
    events: list[Event] = []
    for _, txn, type_ in sorted(moments):
        asked = [[name, key, None if name == "r" else held] for name, key, held in mops[txn]]
        value = asked if type_ == "invoke" else mops[txn]
        at = len(events)
        events.append(Event(at, at * 1_000_000, process[txn], type_, "txn", None, value))  # type: ignore[arg-type]
    return History(events)
