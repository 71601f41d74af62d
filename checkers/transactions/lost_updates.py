"""Lost updates, of lists and registers: two ok transactions first read the same version of a key, and then both wrote
it.

1. What counts is a transaction's first read of a key, if it comes before its first write there.
2. No cycle need be known. Whichever of the two wrote first, the other had not seen it, and both committed.

Adya 1999, history H_lu; elle/txn.clj (lost-update-cases).
"""

from __future__ import annotations

from collections.abc import Sequence

from splitbrain.checkers.transactions import wording
from splitbrain.checkers.transactions.dependencies import EXAMPLES, Example
from splitbrain.checkers.transactions.micro_operations import Transactions


def describe_lost_update(transactions: Transactions, reads: Sequence[int]) -> Example:
    """A lost update as an example: two or more transactions, by their reads of one version, which each of them then
    wrote.
    """
    t, code = transactions, int(transactions.key[reads[0]])
    key, verb = wording.key(t, code), "appended to" if t.model == "list-append" else "wrote"
    updates = []
    for read in reads[:2]:
        txn = int(t.txn[read])
        write = next(at for at in t.of(txn) if at > read and t.write[at] and t.key[at] == code)
        updates.append(f"{wording.who(t, txn)} {verb} it, {wording.value(t.value[write])}")
    more = f", and {len(reads) - 2} more did" if len(reads) > 2 else ""
    text = (
        f"lost-update: of those who read {key} as {wording.read(t, reads[0])}, {updates[0]}, and {updates[1]}{more}. "
        "Whichever came second had not seen the first, and wrote over it"
    )
    return wording.example(t, text, [int(t.txn[read]) for read in reads[:EXAMPLES]], key=t.keys[code])
