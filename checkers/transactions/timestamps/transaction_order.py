"""Transaction order: whether the timestamps that a system gave its transactions explain what they read.

1. Histories are as `stamped` says. The order of transactions is given, so nothing is searched for: what each read must
   have returned follows. O(n log n) in micro-operations, for lists also the elements read.
2. External: a read did not return the newest version in its snapshot. For snapshot isolation that is all that was
   committed at or before its start; for serializability all that was committed before its own commit.
3. Internal: a read did not return what its own transaction had written before.
4. Conflict, for snapshot isolation: a key was written by another that committed after the start of one that wrote it
   too, and not after its commit.
5. Timestamps: a start after the commit; for serializability, two that wrote and committed at the same time, which is
   no order.
6. Session, for the strong-session models: a snapshot lacks what the same process had finished before. Realtime, for the
   strong models: it lacks what was over before the transaction began. A snapshot that goes back behind an earlier one
   lacks it too.
7. Any of these makes it invalid: the times do not explain the history. Another order may; that is for `transactions` to
   say. Nothing that failed may be read. What a crashed transaction wrote has no time: a read of it can't be judged, and
   then nothing wrong is unknown. So it is if nothing was read.
8. Keys begin as null or empty, or as `initial` says.

Chronos and AION: Online Timestamp-based Transactional Isolation Checking of Database Systems (ICDE 2025).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from splitbrain.checkers.histories.columns import FAIL, OK, Integers
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import count, listing
from splitbrain.checkers.histories.values import identity
from splitbrain.checkers.real_time import NOT_RECORDED
from splitbrain.checkers.transactions import wording
from splitbrain.checkers.transactions.consistency_models import ORDERED
from splitbrain.checkers.transactions.dependencies import ABSENT, EXAMPLES, Example
from splitbrain.checkers.transactions.micro_operations import Flags, Model, same
from splitbrain.checkers.transactions.timestamps.breaches import Breach, described
from splitbrain.checkers.transactions.timestamps.stamped import Stamped
from splitbrain.checkers.verdict import Verdict, Witness

Consistency = Literal[
    "snapshot-isolation",
    "strong-session-snapshot-isolation",
    "strong-snapshot-isolation",
    "serializable",
    "strong-session-serializable",
    "strict-serializable",
]


def check(
    history: History,
    *,
    consistency: Consistency = "strict-serializable",
    model: Model | None = None,
    initial: dict[str, Any] | None = None,
) -> Verdict:
    """Judge the transactions of a history by their timestamps.

    consistency: what was promised. model: list-append or rw-register; None to infer it. initial: what keys held to
    begin with, by key as text; null or empty where it says nothing.
    Evidence: `consistency`, counts by breach (`breaches`), `unplaced` reads, examples. Raises HistoryError by the rules
    of `stamped` and `micro_operations`.
    """
    snapshots, level = ORDERED[consistency]
    if level and not history.real_time:
        how = f"record the invocations too, or ask for {consistency} without them"
        return Verdict.unknown(f"{NOT_RECORDED}; {how}", real_time=False)
    stamped = Stamped.of(history, model, snapshots=snapshots)
    found = _Order(stamped, initial or {}, snapshots=snapshots, level=level)
    breaches = found.breaches()
    t = stamped.transactions
    evidence: dict[str, Any] = {
        "consistency": consistency,
        "model": t.model,
        "transactions": int(stamped.ok.sum()),
        "reads": int(t.known.sum()),
        "unplaced": found.unplaced,
        "breaches": {name: len(some) for name, some in breaches.items()},
        "examples": {name: [_shown(stamped, each) for each in some[:EXAMPLES]] for name, some in breaches.items()},
    }
    if breaches:
        kinds = listing([f"{name} ({len(some):,})" for name, some in breaches.items()])
        first = next(iter(breaches.values()))[0]
        example = described(stamped, first)
        data = {"anomaly": first.name, **example.data}
        witness = Witness(example.text, wording.events(t, example.operations), data)
        return Verdict.invalid(f"the timestamps are not {consistency}: {kinds}", witness, **evidence)
    if not stamped.ok.any():
        return Verdict.unknown("no transaction succeeded", **evidence)
    if not t.known.any():
        return Verdict.unknown("no transaction that succeeded read anything", **evidence)
    if found.unplaced:
        why = f"{count(found.unplaced, 'read')} returned what a crashed transaction wrote, which has no timestamp"
        return Verdict.unknown(why, **evidence)
    transactions = count(evidence["transactions"], "transaction")
    return Verdict.valid(f"the timestamps of {transactions} explain {count(evidence['reads'], 'read')}", **evidence)


def _shown(stamped: Stamped, breach: Breach) -> dict[str, Any]:
    example: Example = described(stamped, breach)
    return {"text": example.text, **example.data}


class _Order:
    """unplaced: reads of what crashed transactions wrote."""

    def __init__(self, stamped: Stamped, initial: Mapping[str, Any], *, snapshots: bool, level: str) -> None:
        self.s, self.t, self.snapshots, self.level = stamped, stamped.transactions, snapshots, level
        self.initial = [initial.get(str(key)) for key in self.t.keys]
        self.unplaced = 0
        t = self.t
        kept = t.write & stamped.ok[t.txn] & (t.final if t.model == "rw-register" else True)
        writes = np.flatnonzero(kept)
        self.width = 2 * len(stamped.stamps) + 2
        code = t.key[writes] * self.width + stamped.done[t.txn[writes]]
        order = np.argsort(code, kind="stable")
        self.writes, self.code = writes[order], code[order]

    def breaches(self) -> dict[str, list[Breach]]:
        """What is wrong, by name, the most telling first."""
        reads = self._registers() if self.t.model == "rw-register" else self._lists()
        found = [*self._timestamps(), *reads, *(self._conflicts() if self.snapshots else [])]
        if self.level == "-process":
            found += self._sessions()
        elif self.level:
            found += self._realtime()
        by_name: dict[str, list[Breach]] = {}
        for name in ("timestamps", "internal", "external", "conflict", "session", "realtime"):
            some = [each for each in found if each.name == name]
            if some:
                by_name[name] = some
        return by_name

    def _timestamps(self) -> list[Breach]:
        s = self.s
        if self.snapshots:
            wrong = np.flatnonzero(s.ok & s.writes & (s.saw > s.done))
            return [Breach("timestamps", txn, None, None) for txn in wrong.tolist()]
        wrote = np.flatnonzero(s.ok & s.writes)
        order = wrote[np.argsort(s.done[wrote], kind="stable")]
        equal = np.flatnonzero(np.diff(s.done[order]) == 0)
        return [
            Breach("timestamps", two, None, one)
            for one, two in zip(order[equal].tolist(), order[equal + 1].tolist(), strict=True)
        ]

    def _newest(self, reads: Integers) -> Integers:
        """By read, how many writes are at its place or before, over all keys."""
        t = self.t
        return np.searchsorted(self.code, t.key[reads] * self.width + self.s.saw[t.txn[reads]], side="right")

    def _registers(self) -> list[Breach]:
        t = self.t
        reads = np.flatnonzero(t.known)
        own = t.own_before[reads]
        place = self._newest(reads) - 1
        newest = np.full(len(reads), ABSENT)
        has = place >= 0
        has[has] = t.key[self.writes[place[has]]] == t.key[reads[has]]
        newest[has] = self.writes[place[has]]
        expected = np.where(own >= 0, own, newest)
        unplaced = self._written_by_crashed()
        found = []
        columns = reads.tolist(), expected.tolist(), own.tolist()
        for read, write, mine in zip(*columns, strict=True):
            key = int(t.key[read])
            value = t.value[write] if write >= 0 else self.initial[key]
            if t.value[read] is value or same([t.value[read]], [value]):
                continue
            if mine < 0 and (key, identity(t.value[read])) in unplaced:
                self.unplaced += 1
                continue
            name = "internal" if mine >= 0 else "external"
            found.append(Breach(name, int(t.txn[read]), read, None if write < 0 else int(t.txn[write]), value))
        return found

    def _lists(self) -> list[Breach]:
        t = self.t
        reads = np.flatnonzero(t.known)
        end = self._newest(reads)
        begin = np.searchsorted(self.code, t.key[reads] * self.width)
        appended = [t.value[write] for write in self.writes.tolist()]
        unplaced = self._written_by_crashed()
        crashed_keys = {key for key, _ in unplaced}
        found = []
        for read, first, last in zip(reads.tolist(), begin.tolist(), end.tolist(), strict=True):
            key, txn = int(t.key[read]), int(t.txn[read])
            own = self._own(read)
            # Under serializability its own commit is after its snapshot, under snapshot isolation too.
            expected = [*(self.initial[key] or ()), *appended[first:last], *own]
            shown = list(t.value[read] or ())
            if same(shown, expected):
                continue
            if key in crashed_keys:
                sure = [each for each in shown if (key, identity(each)) not in unplaced]
                if same(sure, expected):
                    self.unplaced += 1
                    continue
            internal = bool(own) and not same(shown[len(shown) - len(own) :], own)
            by = int(t.txn[self.writes[last - 1]]) if last > first else None
            found.append(Breach("internal" if internal else "external", txn, read, by, expected))
        return found

    def _own(self, read: int) -> list[Any]:
        """What the transaction appended to the list before the read."""
        t, own = self.t, []
        at = int(t.own_before[read])
        while at >= 0:
            own.append(t.value[at])
            at = int(t.own_before[at])
        return own[::-1]

    def _written_by_crashed(self) -> set[tuple[int, Any]]:
        """Keys and values that have no time."""
        t = self.t
        writes = np.flatnonzero(t.write & (t.outcome[t.txn] != OK) & (t.outcome[t.txn] != FAIL))
        return {(int(t.key[at]), identity(t.value[at])) for at in writes.tolist()}

    def _conflicts(self) -> list[Breach]:
        s, t = self.s, self.t
        code = self.code
        writer = t.txn[self.writes]
        one, two = np.arange(max(0, len(code) - 1)), np.arange(1, max(1, len(code)))
        differ = (t.key[self.writes[one]] == t.key[self.writes[two]]) & (writer[one] != writer[two])
        wrong = np.flatnonzero(differ & (s.done[writer[one]] > s.saw[writer[two]])).tolist()
        return [Breach("conflict", int(writer[at + 1]), int(self.writes[at + 1]), int(writer[at])) for at in wrong]

    def _sessions(self) -> list[Breach]:
        s, t = self.s, self.t
        order = np.lexsort((t.invoked, t.process))
        order = order[s.ok[order]]
        same_: Flags = t.process[order[1:]] == t.process[order[:-1]]
        wrong = np.flatnonzero(same_ & (self._over(order[:-1]) > s.saw[order[1:]]))
        return [Breach("session", int(order[at + 1]), None, int(order[at])) for at in wrong]

    def _realtime(self) -> list[Breach]:
        s, t = self.s, self.t
        ended = np.flatnonzero(s.ok)
        ended = ended[np.argsort(t.completed[ended], kind="stable")]
        over = self._over(ended)
        latest = np.maximum.accumulate(over) if len(over) else over
        before = np.searchsorted(t.completed[ended], t.invoked, side="left") - 1
        some = np.flatnonzero(s.ok & (before >= 0))
        wrong = some[latest[before[some]] > s.saw[some]]
        found = []
        for txn in wrong.tolist():
            missed = int(ended[int(np.flatnonzero(over[: before[txn] + 1] == latest[before[txn]])[0])])
            found.append(Breach("realtime", txn, None, missed))
        return found

    def _over(self, txn: Integers) -> Integers:
        """What a later snapshot must have of a transaction: its commit, or of one that only read, its snapshot."""
        return np.where(self.s.writes[txn], self.s.done[txn], self.s.saw[txn])
