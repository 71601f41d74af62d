"""Rendering transactions: as text and as JSON.

1. A transaction is named by its number among the operations of the history.
2. A long list is shown by its end, where the relevant elements are. The elements left out are counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from splitbrain.checkers.histories.columns import FOREVER, TYPES
from splitbrain.checkers.histories.prose import literal, seconds
from splitbrain.checkers.transactions.dependencies import Example
from splitbrain.checkers.transactions.micro_operations import Transactions

_TAIL = 12
_SHOWN = 24  # Micro-operations of one transaction in a sentence or as data.


def value(read_or_written: Any) -> str:
    """A value in a sentence; of a long list, its end.

    >>> value([1, "a"]), value(None), value(list(range(100)))[:24]
    ('[1, "a"]', 'null', '[88 more, 88, 89, 90, 91')
    """
    if isinstance(read_or_written, list | tuple) and len(read_or_written) > _TAIL:
        tail = ", ".join(literal(each) for each in read_or_written[-_TAIL:])
        return f"[{len(read_or_written) - _TAIL} more, {tail}]"
    return literal(read_or_written)


def key(transactions: Transactions, code: int) -> str:
    """A key in a sentence."""
    return str(transactions.keys[code])


def who(transactions: Transactions, txn: int) -> str:
    """A transaction in a sentence: `transaction 12 (process 3, 0.010 s to 0.012 s)`."""
    time = transactions.columns.time
    began, ended = int(transactions.invoked[txn]), int(transactions.completed[txn])
    outcome = TYPES[transactions.outcome[txn]]
    when = seconds(int(time[began])) + (f" to {seconds(int(time[ended]))}" if ended != FOREVER else "")
    became = {"fail": ", failed", "info": ", crashed"}.get(outcome, "")
    return f"transaction {txn} (process {transactions.process[txn]}, {when}{became})"


def what(transactions: Transactions, txn: int) -> str:
    """Its micro-operations in a sentence: `append 5 to x, read y as [1]`."""
    clauses = []
    for at in list(transactions.of(txn))[:_SHOWN]:
        name = key(transactions, int(transactions.key[at]))
        if transactions.write[at]:
            verb = "append" if transactions.model == "list-append" else "write"
            clauses.append(f"{verb} {value(transactions.value[at])} to {name}")
        elif transactions.known[at]:
            clauses.append(f"read {name} as {read(transactions, at)}")
        else:
            clauses.append(f"read {name}")
    left = len(transactions.of(txn)) - len(clauses)
    return ", ".join(clauses) + (f" and {left} more" if left else "")


def read(transactions: Transactions, at: int) -> str:
    """What a read returned, in a sentence."""
    returned = transactions.value[at]
    return value([] if returned is None and transactions.model == "list-append" else returned)


def node(transactions: Transactions, txn: int) -> dict[str, Any]:
    """A transaction as data: operation, process, node, events and times, outcome, micro-operations."""
    columns = transactions.columns
    began, ended = int(transactions.invoked[txn]), int(transactions.completed[txn])
    over = ended != FOREVER
    every = list(transactions.of(txn))
    known = transactions.known[every].tolist()
    return {
        "operation": txn,
        "process": int(transactions.process[txn]),
        "node": columns.nodes[columns.node[began]],
        "outcome": TYPES[transactions.outcome[txn]],
        "invoked": began,
        "completed": ended if over else None,
        "invoked_ns": int(columns.time[began]),
        "completed_ns": int(columns.time[ended]) if over else None,
        "micro_operations": [
            _micro_operation(transactions, at, read_known)
            for at, read_known in zip(every[:_SHOWN], known, strict=False)
        ],
        "micro_operations_left_out": max(0, len(every) - _SHOWN),
    }


def _micro_operation(transactions: Transactions, at: int, known: bool) -> dict[str, Any]:
    shown = {"f": "r", "key": transactions.keys[transactions.key[at]]}
    if transactions.write[at]:
        shown["f"] = "append" if transactions.model == "list-append" else "w"
    held = transactions.value[at] if known or transactions.write[at] else None
    if isinstance(held, list | tuple) and len(held) > _SHOWN:
        return {**shown, "value": list(held[-_SHOWN:]), "left_out": len(held) - _SHOWN}
    return {**shown, "value": held}


def events(transactions: Transactions, operations: Iterable[int]) -> tuple[int, ...]:
    """The event indices of the transactions' invocations and completions, ascending."""
    found = {int(at) for txn in operations for at in (transactions.invoked[txn], transactions.completed[txn])}
    return tuple(sorted(found - {FOREVER}))


def example(transactions: Transactions, text: str, operations: Iterable[int], **data: Any) -> Example:
    """An occurrence of an anomaly other than a cycle. Its transactions become the nodes of the data."""
    involved = tuple(dict.fromkeys(operations))
    return Example(text, involved, {"nodes": [node(transactions, txn) for txn in involved], "edges": [], **data})
