"""Histories of transactions for the benchmarks: made by clients that overlap, against stores of several strengths.

Workload as Elle's generator makes it (elle/txn.clj, wr-txns): a handful of live keys, the first of them the most asked
for; one to four micro-operations a transaction, half of them reads; a key is retired after some writes and a new one
takes its place.

Stores: "strict-serializable" commits a transaction at one moment between its invocation and its completion;
"snapshot-isolation" reads at the one, commits at the other, and fails whoever would write over a newer version;
"suffix" commits like the first, but a read of a list may miss the last few elements.
"""

from __future__ import annotations

from random import Random
from typing import Any, Literal

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History

Store = Literal["strict-serializable", "snapshot-isolation", "suffix"]
_LIVE_KEYS = 10
_WRITES_PER_KEY = 32
_MICRO_OPERATIONS = 4
_STEP_NS = 1_000


def list_append(
    transactions: int, *, store: Store = "strict-serializable", clients: int = 10, seed: int = 1
) -> History:
    """A history of so many transactions of appends and reads."""
    return _run(transactions, "append", store, clients, seed)


def rw_register(transactions: int, *, clients: int = 10, seed: int = 1) -> History:
    """A history of so many transactions of writes and reads of a strictly serializable store."""
    return _run(transactions, "w", "strict-serializable", clients, seed)


class _Workload:
    def __init__(self, write: str, random: Random) -> None:
        self.write, self.random = write, random
        self.keys = list(range(_LIVE_KEYS))
        self.next_key = _LIVE_KEYS
        self.written = dict.fromkeys(self.keys, 0)

    def transaction(self) -> list[list[Any]]:
        return [self._micro_operation() for _ in range(self.random.randint(1, _MICRO_OPERATIONS))]

    def _micro_operation(self) -> list[Any]:
        random = self.random
        # Each key half as likely as the one before it.
        place = min(_LIVE_KEYS - 1, int(random.expovariate(0.6931)))
        key = self.keys[place]
        if random.random() < 0.5:
            return ["r", key, None]
        self.written[key] += 1
        value = self.written[key]
        if value >= _WRITES_PER_KEY:
            self.keys[place] = self.next_key
            self.written[self.next_key] = 0
            self.next_key += 1
        return [self.write, key, value]


def _run(transactions: int, write: str, store: Store, clients: int, seed: int) -> History:
    random = Random(seed)
    workload = _Workload(write, random)
    state: dict[int, Any] = {}
    changed: dict[int, int] = {}  # By key, the number of the commit that last wrote it.
    open_: list[tuple[list[list[Any]], dict[int, Any], int, list[list[Any]] | None] | None] = [None] * clients
    events: list[Event] = []
    started = commits = 0

    def event(process: int, type_: Any, value: Any) -> None:
        events.append(Event(len(events), len(events) * _STEP_NS, process, type_, "txn", None, value))

    def apply(asked: list[list[Any]], before: dict[int, Any]) -> tuple[list[list[Any]], dict[int, Any]]:
        own: dict[int, Any] = {}
        did = []
        for name, key, value in asked:
            now = own.get(key, before.get(key))
            if name == "r":
                if store == "suffix" and now and random.random() < 0.05:
                    now = now[: len(now) - random.randint(1, 3)]
                did.append([name, key, now])
            else:
                own[key] = value if name == "w" else [*(now or ()), value]
                did.append([name, key, value])
        return did, own

    while started < transactions or any(each is not None for each in open_):
        process = random.randrange(clients)
        current = open_[process]
        if current is None:
            if started < transactions:
                started += 1
                asked = workload.transaction()
                before = {key: state.get(key) for _, key, _ in asked} if store == "snapshot-isolation" else {}
                event(process, "invoke", asked)
                open_[process] = (asked, before, commits, None)
            continue
        asked, before, since, did = current
        if did is None and store != "snapshot-isolation":
            did, own = apply(asked, state)
            state.update(own)
            open_[process] = (asked, before, since, did)
        elif did is not None:
            event(process, "ok", did)
            open_[process] = None
        else:
            did, own = apply(asked, before)
            open_[process] = None
            if any(changed.get(key, 0) > since for key in own):
                event(process, "fail", asked)
                continue
            commits += 1
            state.update(own)
            changed.update(dict.fromkeys(own, commits))
            event(process, "ok", did)
    return History(events)
