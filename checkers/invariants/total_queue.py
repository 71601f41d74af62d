"""Total queue: what goes in comes out, once.

Operations: `enqueue` of a value; `dequeue`, whose `ok` value is what it took, or null if it found nothing; `drain`,
whose `ok` value lists what it took until it found nothing more. Keys are judged separately, and in no order: for that
there is the linearizability checker. The same value may be enqueued many times.

1. A dequeue or drain that is `ok` takes its values out. One that crashed (`info`, or never completed) may have taken a
   value for itself, a crashed drain any number. A failed one took nothing.
2. A dequeue found nothing if it is `ok` with null, or failed with the code "empty" or "exhausted", or failed without
   any error: that there was nothing is how a dequeue fails for certain. An error with another code is no evidence: it
   may have been refused.
3. An enqueue that is `ok` put its value in, a crashed one may have, a failed one did not. What comes out came from an
   enqueue of that value invoked before it was out, each from its own. If several assignments would do, the one is taken
   that leaves the fewest to be lost (`queue_account`).
4. Unexpected: out, and no enqueue of it had begun. Phantom: out, and only enqueues that failed had begun. Duplicated:
   out more often than enqueues of it had begun.
5. A queue was emptied after an enqueue if a drain that is `ok` was invoked after that was acknowledged; or if a dequeue
   found nothing, and was invoked after the last acknowledgement of all. (While clients still enqueue, a node that finds
   nothing may merely lag. A drain is the test's own word that it took everything.)
6. Lost: acknowledged and never out, though the queue was emptied after it, and no crashed dequeue accounts for it. A
   crashed dequeue may account for one value, if it was invoked before the emptying was over: that value is maybe taken,
   which is allowed. Undelivered: acknowledged and never out, and the queue was not emptied after it: it may still be
   there. Recovered: out, and only a crashed enqueue accounts for it, which is allowed.
7. Invalid if anything is lost, unexpected or phantom, or duplicated (allowed with `at_least_once`). Otherwise unknown
   if no enqueue was acknowledged, or if anything is undelivered. Otherwise valid.
8. Refused: an enqueue of null, a drain that is `ok` without a list or with a null in it, an operation of another name.

Source: jepsen.checker/total-queue (Jepsen 0.3), whose words these are. It takes for granted that the queue was drained,
and calls lost what a crashed dequeue may have taken. It allows duplicates, takes a failed enqueue for an attempt like
any other, and does not ask whether a value came out before it went in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from splitbrain.checkers.histories.final_reads import Key
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, count, key_name, listing, literal
from splitbrain.checkers.histories.values import operations_of, refusal
from splitbrain.checkers.invariants.queue_account import Enqueued, QueueAccount, Taken
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict, Witness

_LISTED = 100
_NOTHING_THERE = frozenset({"empty", "exhausted"})
_CLAUSE = {
    "unexpected": "which nobody had begun to enqueue",
    "phantom": "though its enqueue had failed",
    "duplicated": "more often than it had been enqueued",
}


@needs_real_time
def check(history: History, *, at_least_once: bool = False) -> Verdict:
    """QueueAccount for everything that went in and came out.

    at_least_once: the queue promises to deliver at least once only, so duplicates are allowed.
    Evidence: `attempted`, `acknowledged`, `failed`, `indeterminate` enqueues; `dequeued`, how many values came out;
    `crashed_dequeues`; the counts of the rules, `lost`, `maybe_taken`, `undelivered`, `recovered`, `unexpected`,
    `phantom`, `duplicated`; `keys`; and in `anomalies` the first 100 of what is wrong [{kind, key, value, index}].
    Raises HistoryError by rule 8. O(n log n).
    """
    outcomes, accounts = _gather(history)
    found = Counter(QueueAccount().counts())
    for account in accounts.values():
        found.update(account.counts())
    wrong = _anomalies(accounts)
    evidence: dict[str, Any] = {
        "attempted": outcomes.total(),
        "acknowledged": outcomes["ok"],
        "failed": outcomes["fail"],
        "indeterminate": outcomes["info"],
        **found,
        "keys": len(accounts),
        "anomalies": [_as_data(kind, each) for kind, each in wrong[:_LISTED]],
    }
    complaints = _complaints(found, outcomes["ok"], at_least_once)
    if complaints:
        kind, first = next(pair for pair in wrong if pair[0] != "duplicated" or not at_least_once)
        witness = (
            _surplus_witness(kind, first) if isinstance(first, Taken) else _lost_witness(first, accounts[first.key])
        )
        return Verdict.invalid("; ".join(complaints), witness, **evidence)
    doubt = _doubt(found, outcomes["ok"], accounts)
    if doubt is not None:
        return Verdict.unknown(doubt, **evidence)
    reason = f"{count(outcomes['ok'], 'acknowledged enqueue')}, none lost; {count(found['dequeued'], 'value')} came out"
    if found["maybe_taken"]:
        reason += f"; {found['maybe_taken']:,} may have been taken by dequeues that crashed"
    return Verdict.valid(reason, **evidence)


def _gather(history: History) -> tuple[Counter[str], dict[Key, QueueAccount]]:
    """How many enqueues had each outcome, and the account of each queue, settled. Raises HistoryError by rule 8."""
    outcomes = Counter[str]()
    accounts: dict[Key, QueueAccount] = {}
    for operation in operations_of(history, "a queue", ("enqueue", "dequeue", "drain"), "enqueue"):
        account = accounts.setdefault(operation.key, QueueAccount())
        if operation.f == "enqueue":
            outcomes[operation.outcome] += 1
            if operation.invocation.value is None:
                raise refusal(operation.invocation, "an enqueue needs a value")
            account.enqueue(operation)
        else:
            _take(account, operation)
    for account in accounts.values():
        account.settle()
    return outcomes, accounts


def _doubt(found: Mapping[str, int], acknowledged: int, accounts: Mapping[Key, QueueAccount]) -> str | None:
    """Why nothing wrong proves nothing (rule 7), or None."""
    if not acknowledged:
        return "no enqueue was acknowledged, so none can be lost"
    if not found["undelivered"]:
        return None
    full = [key_name(key) for key, account in accounts.items() if account.undelivered]
    were = "was" if len(full) == 1 else "were"
    return (
        f"{found['undelivered']:,} of {count(acknowledged, 'acknowledged enqueue')} never came out, and nothing says "
        f"that {listing(full)} {were} emptied after them"
    )


def _take(account: QueueAccount, operation: Operation) -> None:
    completion = operation.completion
    if operation.outcome == "info" or completion is None:
        account.crash(operation)
    elif operation.outcome == "fail":
        code = (completion.error or "").partition(":")[0].strip()
        if operation.f == "dequeue" and (not code or code in _NOTHING_THERE):
            account.found_nothing(operation)
    elif operation.f == "dequeue":
        if completion.value is None:
            account.found_nothing(operation)
        else:
            account.take(operation, completion.value)
    elif not isinstance(completion.value, list) or None in completion.value:
        raise refusal(completion, "an ok drain needs a list of values, none of them null")
    else:
        account.drained(operation)
        for value in completion.value:
            account.take(operation, value)


def _anomalies(accounts: Mapping[Key, QueueAccount]) -> list[tuple[str, Enqueued | Taken]]:
    """What is lost, in the order of acknowledgements; then what came out too often, in the order in which it came."""
    lost = sorted((each for account in accounts.values() for each in account.lost), key=lambda each: each.acknowledged)
    surplus = [pair for account in accounts.values() for pair in account.surplus]
    surplus.sort(key=lambda pair: (pair[1].out, pair[1].number))
    return [*(("lost", each) for each in lost), *surplus]


def _complaints(found: Mapping[str, int], acknowledged: int, at_least_once: bool) -> list[str]:
    parts = []
    if found["lost"]:
        parts.append(f"{found['lost']:,} of {count(acknowledged, 'acknowledged enqueue')} lost")
    if found["unexpected"]:
        parts.append(f"{count(found['unexpected'], 'value')} came out that nobody had enqueued")
    if found["phantom"]:
        parts.append(f"{count(found['phantom'], 'value')} came out whose enqueue had failed")
    if found["duplicated"] and not at_least_once:
        parts.append(f"{count(found['duplicated'], 'value')} came out once too often")
    return parts


def _as_data(kind: str, each: Enqueued | Taken) -> dict[str, Any]:
    return {"kind": kind, "key": each.key, "value": each.value, "index": each.operation.invocation.index}


def _lost_witness(enqueued: Enqueued, account: QueueAccount) -> Witness:
    enqueue, emptied = enqueued.operation, account.emptying_after(enqueued)
    assert enqueue.completion is not None and emptied is not None and emptied.completion is not None
    how = "drained it" if emptied.f == "drain" else "found nothing there"
    text = (
        f"process {enqueue.process} was told at {at(enqueue.completion)} that {literal(enqueued.value)} was enqueued "
        f"in {key_name(enqueued.key)}; it never came out, though process {emptied.process} {how} from "
        f"{at(emptied.invocation)} to {at(emptied.completion)}"
    )
    if account.maybe_taken:
        missing = count(len(account.lost) + len(account.maybe_taken), "value")
        taken = f"no more than {len(account.maybe_taken):,} can be with dequeues that crashed"
        text += f"; {missing} went missing like that, and {taken}"
    crashed = [each.taker for each in account.maybe_taken[:_LISTED] if each.taker is not None]
    return Witness(text, _events([enqueue, emptied, *crashed]), {**_as_data("lost", enqueued)})


def _surplus_witness(kind: str, taken: Taken) -> Witness:
    operation = taken.operation
    assert operation.completion is not None
    text = (
        f"process {operation.process} took {literal(taken.value)} out of {key_name(taken.key)} at "
        f"{at(operation.completion)}, {_CLAUSE[kind]}"
    )
    if taken.others:
        text += f"; it had come out before, at {listing(at(o.completion) for o in taken.others if o.completion)}"
    return Witness(text, _events([operation, *taken.others, *taken.enqueues]), _as_data(kind, taken))


def _events(operations: Sequence[Operation]) -> tuple[int, ...]:
    return tuple(sorted({event.index for o in operations for event in (o.invocation, o.completion) if event}))
