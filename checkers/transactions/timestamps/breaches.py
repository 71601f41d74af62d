"""Breaches of the order that timestamps give, in words: a transaction, and mostly another that it should have seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from splitbrain.checkers.transactions import wording
from splitbrain.checkers.transactions.dependencies import Example
from splitbrain.checkers.transactions.timestamps.stamped import Stamped


@dataclass(frozen=True, slots=True)
class Breach:
    """name: as in `transaction_order`. txn: whose. at: its micro-operation, if it is of one. other: the transaction
    that was to be seen, overlaps, or has the same time; None for none. expected: what a read should have returned.
    """

    name: str
    txn: int
    at: int | None
    other: int | None
    expected: Any = None


def described(stamped: Stamped, breach: Breach) -> Example:
    """The breach as an example of its kind."""
    t, s, who = stamped.transactions, stamped, wording.who(stamped.transactions, breach.txn)
    other = None if breach.other is None else wording.who(t, breach.other)
    key = None if breach.at is None else wording.key(t, int(t.key[breach.at]))
    match breach.name:
        case "timestamps" if breach.other is None:
            text = f"{who} started {s.snapshot(breach.txn)} and committed at {s.commit(breach.txn)}, before that"
        case "timestamps":
            text = f"{other} and {who} both wrote and committed at {s.commit(breach.txn)}, which is no order"
        case "internal" | "external":
            assert breach.at is not None
            expected = [] if breach.expected is None and t.model == "list-append" else breach.expected
            text = (
                f"{who} read {key} as {wording.read(t, breach.at)} {s.snapshot(breach.txn)}, where it was "
                f"{wording.value(expected)}"
            )
            if breach.name == "internal":
                text += ", which it had written itself"
            elif breach.other is not None:
                text += f" by {other}, committed at {s.commit(breach.other)}"
        case "conflict":
            assert breach.other is not None
            text = (
                f"{who} wrote {key} {s.snapshot(breach.txn)} and committed at {s.commit(breach.txn)}; between the two, "
                f"at {s.commit(breach.other)}, {other} committed a write of it"
            )
        case _:
            assert breach.other is not None
            how = "its process had run" if breach.name == "session" else "before it began there was over"
            verb = "committed at" if s.writes[breach.other] else "which read"
            when = s.commit(breach.other) if s.writes[breach.other] else s.snapshot(breach.other)
            text = f"{who} read {s.snapshot(breach.txn)}, though {how} {other}, {verb} {when}"
    operations = [breach.txn] if breach.other is None else [breach.other, breach.txn]
    named = {} if breach.at is None else {"key": t.keys[t.key[breach.at]]}
    return wording.example(t, f"{breach.name}: {text}", operations, **named)
