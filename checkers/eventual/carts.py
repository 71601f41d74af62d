"""Shopping carts: no addition is lost; what was removed may come back.

Operations: `add` of an item, `remove` of an item, `checkout` whose `ok` value lists what was ordered and leaves the
cart empty, `read` of the items. Any other is refused. An item is any value (`element`). Keys are carts, judged
separately.

1. Acknowledged, indeterminate, failed: as `acknowledged` says. An item may be added again and again. Its acknowledged
   add that was invoked last is the one that is judged: whatever accounts for that one accounts for those before.
2. A remove of the item takes it out, and a checkout whose order lists it, if these are `ok`. An indeterminate remove of
   it may have, and an indeterminate checkout of anything. Either may have taken an add if it was over only after the
   add was invoked, for before that there was nothing to take. Failed ones took nothing.
3. An acknowledged add is kept if a concluding read of its cart (`final_reads`) shows the item; else taken, if something
   took it or may have; else lost. Kept, it is missing from a concluding read that does not show it, unless something
   may have taken it.
4. Resurfaced: kept, although an `ok` remove or checkout took it that was invoked after every add of it was over. That
   is allowed: a client that had not seen the removal merges the item back in.
5. Never read: acknowledged, not taken, and its cart has no final read. Vanished: see `acknowledged`; an indeterminate
   add that something may have taken did not vanish.
6. Phantom: read or ordered, though all its adds failed, which promises that they did not happen. Unexpected: read or
   ordered, though no client had ever added it to that cart. Neither is possible.
7. The verdict follows from these as `acknowledged` says.

Source: Dynamo (SOSP 2007), section 4.4: "an 'add to cart' operation can never be forgotten or rejected", and merging by
union "deleted items can resurface".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from splitbrain.checkers.eventual import acknowledged
from splitbrain.checkers.eventual.acknowledged import SHOWN_READS, FirstReads, KeyWrites, Loss, Value, completion_of
from splitbrain.checkers.eventual.element import element_of
from splitbrain.checkers.histories.final_reads import FinalReads, Key, concluding_reads
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, key_name
from splitbrain.checkers.histories.told_arguments import filled_in
from splitbrain.checkers.histories.values import operations_of, refusal
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict

_RANK = {"fail": 0, "info": 1, "ok": 2}
_FIGURES = (
    *("attempted", "acknowledged", "failed", "indeterminate"),
    *("lost", "kept", "taken", "resurfaced", "missing", "never_read", "vanished"),
    *("phantom", "unexpected", "reads", "final_reads"),
)
_KINDS = ("phantom", "unexpected")


@dataclass
class Cart:
    """One key: its adds and reads, what took items out, and what came back.

    orders: the checkouts that are `ok`. removals: by item, the removes and `ok` checkouts of it that did not fail.
    open_checkouts: the indeterminate ones. last_add: by item, the end of its adds, as an event index.
    """

    writes: KeyWrites
    orders: list[Operation] = field(default_factory=list)
    removals: dict[Value, list[Operation]] = field(default_factory=dict)
    open_checkouts: list[Operation] = field(default_factory=list)
    last_add: dict[Value, float] = field(default_factory=dict)
    resurfaced: set[Value] = field(default_factory=set)

    def counts(self) -> dict[str, int]:
        numbers = self.writes.counts()
        numbers["resurfaced"] = len(self.resurfaced)
        return {figure: numbers[figure] for figure in _FIGURES}

    def may_be_taken(self, item: Value) -> bool:
        """Whether something may have taken the item's judged add (rule 2)."""
        since = self.writes.writes[item].invocation.index
        return any(_end(each) > since for each in (*self.removals.get(item, ()), *self.open_checkouts))


@needs_real_time
def check(history: History) -> Verdict:
    """Judge the carts of a history by the rules above.

    Evidence: the counts named in the rules, in total and by key (`keys`), `lost_fraction` of the acknowledged.
    Attempted, acknowledged and so on count items, not adds.
    Raises HistoryError for a read or an order that is no list, and for an operation that a cart does not have.
    O(items read + adds * removals of an item).
    """
    final = FinalReads.of(history)
    carts = _gather(history, final)
    for cart in carts.values():
        _judge(cart)
    return acknowledged.verdict(
        history,
        {key: cart.writes for key, cart in carts.items()},
        CartWording(carts),
        counts={key: cart.counts() for key, cart in carts.items()},
        latencies={},
        final=final,
    )


def _gather(history: History, final: FinalReads) -> dict[Key, Cart]:
    told = filled_in(history, ("add", "remove"))
    carts: dict[Key, Cart] = {}
    for operation in operations_of(told, "a cart", ("add", "remove", "checkout", "read")):
        if operation.key not in carts:
            carts[operation.key] = Cart(KeyWrites(operation.key, impossible={kind: {} for kind in _KINDS}))
        _note(carts[operation.key], operation)
    for key, reads in final.by_key.items():
        carts[key].writes.final = reads
    return carts


def _note(cart: Cart, operation: Operation) -> None:
    match operation.f:
        case "add":
            item = element_of(operation.invocation.value)
            before = cart.writes.writes.get(item)
            # Of several that are ok the last invoked: operations come in the order of their invocations.
            if before is None or _RANK[operation.outcome] >= max(_RANK[before.outcome], 1):
                cart.writes.writes[item] = operation
            if operation.outcome != "fail":
                cart.last_add[item] = max(cart.last_add.get(item, -1), _end(operation))
        case "remove" if operation.outcome != "fail":
            cart.removals.setdefault(element_of(operation.invocation.value), []).append(operation)
        case "checkout" if operation.outcome == "ok":
            cart.orders.append(operation)
            for item in shown(operation):
                cart.removals.setdefault(item, []).append(operation)
        case "checkout" if operation.outcome == "info":
            cart.open_checkouts.append(operation)
        case "read" if operation.outcome == "ok":
            cart.writes.reads.append(operation)
        case _:
            pass


def shown(operation: Operation) -> set[Value]:
    """The items that an ok read or checkout lists. Raises HistoryError where it lists none."""
    completion = completion_of(operation)
    if not isinstance(completion.value, list):
        raise refusal(completion, f"an ok {operation.f} of a cart needs a list of items")
    return {element_of(value) for value in completion.value}


def _judge(cart: Cart) -> None:
    """Fill in what became of the items of a cart."""
    writes, first = cart.writes, FirstReads()
    for each in (*writes.reads, *cart.orders):
        items = shown(each)
        if each.f == "read":
            first.note(each, items)
        for item in sorted(items, key=str):
            if item not in writes.writes:
                writes.impossible["unexpected"].setdefault(item, each)
            elif writes.writes[item].outcome == "fail":
                writes.impossible["phantom"].setdefault(item, each)
    concluding = [(read, shown(read)) for read in concluding_reads(writes.final)]
    remains = set().union(*(items for _, items in concluding))
    for item in writes.with_outcome("ok"):
        taken = cart.may_be_taken(item)
        if item in remains:
            writes.fate[item] = "kept"
            lacking = next((read for read, items in concluding if item not in items), None)
            if lacking is not None and not taken:
                writes.missing[item] = lacking
        elif taken:
            writes.fate[item] = "taken"
        else:
            writes.fate[item] = "lost" if writes.final else "never_read"
    cart.resurfaced = {item for item in remains & cart.removals.keys() if _was_taken_last(cart, item)}
    writes.note_vanished(
        first, [read for read, _ in concluding], lambda item: item not in remains and not cart.may_be_taken(item)
    )


def _was_taken_last(cart: Cart, item: Value) -> bool:
    """Whether an ok removal of the item was invoked after every add of it was over."""
    last = cart.last_add.get(item, -1)
    return any(each.outcome == "ok" and each.invocation.index > last for each in cart.removals[item])


def _end(operation: Operation) -> float:
    return operation.completion.index if operation.completion and operation.outcome == "ok" else float("inf")


class CartWording:
    """How anomalies of carts are worded (see `Wording`)."""

    f = "add"
    thing = "item"
    impossible: Mapping[str, str] = {
        "phantom": "in a cart or an order whose adds had failed",
        "unexpected": "in a cart or an order that nobody added",
    }

    def __init__(self, carts: Mapping[Key, Cart]) -> None:
        self._carts = carts

    def valid(self, totals: Mapping[str, int]) -> str:
        return f": {totals['kept']:,} kept, {totals['taken']:,} taken, {totals['resurfaced']:,} resurfaced"

    def done(self, each: KeyWrites, value: Value) -> str:
        return f"{value} was added to {key_name(each.key)}"

    def loss(self, each: KeyWrites, value: Value) -> Loss:
        since = each.acknowledgement(value).index
        later = [read for read in each.reads if read.invocation.index > since]
        holding = next((read for read in reversed(later) if value in shown(read)), None)
        after = holding.invocation.index if holding else since
        missed = next(read for read in later if read.invocation.index > after)
        was = f"was last read at {at(completion_of(holding))}" if holding else "was in no read since"
        text = f"{was}; no remove and no order took it, and the read at {at(completion_of(missed))} lacks it"
        earlier = self._carts[each.key].removals.get(value, ())
        concluding = concluding_reads(each.final)[:SHOWN_READS]
        return Loss(text, missed, [*([holding] if holding else []), *earlier, *concluding])

    def missing(self, each: KeyWrites, value: Value) -> tuple[Operation, str]:
        holding = next(read for read in reversed(concluding_reads(each.final)) if value in shown(read))
        lacking = at(completion_of(each.missing[value]))
        return holding, f"the final read at {at(completion_of(holding))} holds it and that at {lacking} lacks it"

    def impossible_read(self, each: KeyWrites, kind: str, value: Value) -> tuple[str, Operation | None]:
        operation, add = each.impossible[kind][value], each.writes.get(value)
        verb = "read" if operation.f == "read" else "ordered"
        why = "though its add had failed" if kind == "phantom" else "which nobody had added to it"
        moment = at(completion_of(operation))
        return f"process {operation.process} {verb} {value} from {key_name(each.key)} at {moment}, {why}", add

    def figures(self, each: KeyWrites, value: Value) -> Mapping[str, Any]:
        return {}
