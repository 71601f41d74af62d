"""Histories of transactions with timestamps.

1. The completion of a transaction that is `ok` is an object: `{"txn": [...], "start": 3, "commit": 7}`. `txn` lists its
   micro-operations as `micro_operations` says. The invocation lists them as it does without timestamps, or in `txn`.
2. Timestamps are integers that the system gave, of any size; only their order counts. `commit`: when the writes became
   visible. `start`: what the reads saw, all that was committed at or before it; or, if it is the transaction's commit
   too, all before it.
3. A transaction that wrote has a `commit`; if snapshots suffice, a `start` too. One that only read has one of both:
   that is its snapshot.
4. A history that breaks a rule is refused by its line. Timestamps of what failed or crashed are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from splitbrain.checkers.histories.columns import OK, Integers
from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import literal
from splitbrain.checkers.histories.values import is_integer
from splitbrain.checkers.transactions.micro_operations import Flags, Model, Transactions, parse_columns

_FIELDS = frozenset({"txn", "start", "commit"})


@dataclass(frozen=True)
class Stamped:
    """Transactions and their times.

    ok, writes: by transaction, whether it is `ok`, and whether it wrote. Of those that are not ok, the rest means
    nothing.
    stamps: every timestamp, ascending. saw: by transaction, its snapshot: twice the place of its timestamp in `stamps`,
    and one more if what was committed at that very time is in it. done: the same for when it was over; a write is in a
    snapshot if `done` of its transaction is at most `saw` of the reader.
    """

    transactions: Transactions
    ok: Flags
    writes: Flags
    stamps: list[int]
    saw: Integers
    done: Integers

    @classmethod
    def of(cls, history: History, model: Model | None, *, snapshots: bool) -> Stamped:
        """Read the history. snapshots: whether a transaction reads at its start, or else at its commit."""
        columns = history.columns
        values, times = list(columns.value), dict[int, tuple[Any, Any]]()
        for at, value in enumerate(values):
            if isinstance(value, dict) and "txn" in value:
                odd = value.keys() - _FIELDS
                if odd:
                    _refuse(history, at, f"a transaction has txn, start and commit, and no {sorted(odd)[0]!r}")
                values[at] = value["txn"]
                times[at] = value.get("start"), value.get("commit")
        t = parse_columns(replace(columns, value=values), model)
        ok = t.outcome == OK
        writes = np.zeros(len(t), bool)
        writes[t.txn[t.write]] = True
        begun, over = [0] * len(t), [0] * len(t)
        for txn, at in zip(np.flatnonzero(ok).tolist(), t.completed[ok].tolist(), strict=True):
            start, commit = times.get(at, (None, None))
            for stamp in (start, commit):
                if stamp is not None and not is_integer(stamp):
                    _refuse(history, at, "a timestamp is an integer")
            if writes[txn] and commit is None:
                _refuse(history, at, "a transaction that wrote says when it committed")
            if writes[txn] and snapshots and start is None:
                _refuse(history, at, "a transaction that wrote at a snapshot says which, as its start")
            if start is None and commit is None:
                _refuse(history, at, "a transaction says when it committed, or at which start it read")
            if not writes[txn]:
                begun[txn] = over[txn] = start if start is not None and (snapshots or commit is None) else commit
            else:
                begun[txn], over[txn] = (start if snapshots else commit), commit
        stamps = sorted({stamp for some in (begun, over) for stamp in some})
        place = {stamp: at for at, stamp in enumerate(stamps)}
        saw = np.array([2 * place[stamp] for stamp in begun], dtype=np.int64)
        # What is as if alone at its commit saw what was committed before, and not itself.
        saw += (~writes | snapshots).astype(np.int64)
        saw -= (writes & snapshots & (np.array(begun, dtype=object) == np.array(over, dtype=object))).astype(np.int64)
        done = np.array([2 * place[stamp] + 1 for stamp in over], dtype=np.int64)
        return cls(t, ok, writes, stamps, saw, done)

    def snapshot(self, txn: int) -> str:
        """When it read, in words."""
        return f"{'at' if self.saw[txn] % 2 else 'just before'} {self.stamps[int(self.saw[txn]) // 2]}"

    def commit(self, txn: int) -> int:
        """When it was over."""
        return self.stamps[int(self.done[txn]) // 2]


def _refuse(history: History, at: int, rule: str) -> None:
    columns = history.columns
    example = '{"txn": [["w", "x", 1]], "start": 3, "commit": 7}'
    shown = literal(columns.value[at])
    raise HistoryError(at + 1, f"{rule}, as in {example}; a transaction of process {columns.process[at]} has {shown}")
