"""What `carts` must say: every add is looked at by itself, beside everything that may have taken it."""

from __future__ import annotations

from random import Random
from typing import Any

from splitbrain.checkers.histories.event import Event
from splitbrain.checkers.histories.history import History
from tests.checkers.plain_history import Op, concluding_reads, disagreed, final_reads, ops

ITEMS = ("eggs", "figs", "milk", "tea")


def may_take(op: Op, add: Op) -> bool:
    if op.inv.key != add.inv.key or op.outcome == "fail" or (op.outcome == "ok" and op.end < add.inv.index):
        return False
    if op.inv.f == "remove":
        return op.inv.value == add.inv.value
    return op.outcome == "info" or (op.comp is not None and add.inv.value in op.comp.value)


def carts(history: History) -> dict[str, Any]:
    adds, takers = ops(history, "add"), ops(history, "remove", "checkout")
    if not ops(history):
        return {"verdict": "unknown"}
    final = final_reads(history)
    fates = {"lost": 0, "kept": 0, "taken": 0, "never_read": 0}
    missing = vanished = resurfaced = acknowledged = 0
    for cart, item in sorted({(str(op.inv.key), op.inv.value) for op in adds}):
        mine = [op for op in adds if (op.inv.key, op.inv.value) == (cart, item)]
        words = concluding_reads(history, cart)
        held = [bool(op.comp and item in op.comp.value) for op in words]
        acked = [op for op in mine if op.outcome == "ok"]
        acknowledged += bool(acked)
        untaken = [op for op in acked if not any(may_take(taker, op) for taker in takers)]
        if acked:
            if any(held):
                fates["kept"] += 1
                missing += bool(untaken) and not all(held)
            elif not untaken:
                fates["taken"] += 1
            elif not [op for op in final if op.inv.key == cart]:
                fates["never_read"] += 1
            else:
                fates["lost"] += 1
        elif doubtful := [op for op in mine if op.outcome == "info"]:
            reads = [op for op in ops(history, "read") if op.outcome == "ok" and op.inv.key == cart]
            before = [
                op for op in reads if op.comp and item in op.comp.value and all(op.end < w.inv.index for w in words)
            ]
            may = any(may_take(taker, doubtful[-1]) for taker in takers)
            vanished += bool(words) and bool(before) and not any(held) and not may
        over = max((op.end if op.outcome == "ok" else float("inf") for op in mine if op.outcome != "fail"), default=-1)
        gone = [op for op in takers if op.outcome == "ok" and op.inv.key == cart and op.inv.index > over]
        gone = [op for op in gone if item in (op.comp.value if op.inv.f == "checkout" and op.comp else [op.inv.value])]
        resurfaced += any(held) and bool(gone)
    unexpected, phantom = set(), set()
    for op in ops(history, "read", "checkout"):
        for item in op.comp.value if op.outcome == "ok" and op.comp else ():
            outcomes = {add.outcome for add in adds if (add.inv.key, add.inv.value) == (op.inv.key, item)}
            if not outcomes:
                unexpected.add((op.inv.key, item))
            elif outcomes == {"fail"}:
                phantom.add((op.inv.key, item))
    figures = {
        **fates,
        "missing": missing,
        "vanished": vanished,
        "phantom": len(phantom),
        "unexpected": len(unexpected),
    }
    # What nobody added is no item of the cart's, so neither is what came back of it.
    if fates["lost"] or phantom or unexpected:
        return {"verdict": "invalid", **figures}
    figures["resurfaced"] = resurfaced
    doubt = vanished or not acknowledged or fates["never_read"]
    return {"verdict": disagreed(history, missing, "unknown" if doubt else "valid"), **figures}


def random_carts(random: Random) -> History:
    """A few clients shop from a store that keeps its promises; half of the time some answers are changed."""
    events: list[Event] = []
    carts = [f"cart{number}" for number in range(random.randint(1, 2))]
    held: dict[str, set[str]] = {cart: set() for cart in carts}
    opened: dict[int, tuple[str, str, Any]] = {}
    idle, fresh = list(range(random.randint(1, 4))), 4

    def note(process: Any, type_: Any, f: str, key: Any = None, value: Any = None, **more: Any) -> None:
        events.append(Event(len(events), 1_000_000 * len(events), process, type_, f, key, value, **more))

    def begin(f: str, cart: str, node: str = "n1") -> int:
        process = idle.pop(random.randrange(len(idle)))
        item = random.choice(ITEMS) if f in ("add", "remove") else None
        opened[process] = (f, cart, item)
        note(process, "invoke", f, cart, item, node=node)
        return process

    def end(process: int, outcome: str | None = None) -> None:
        nonlocal fresh
        f, cart, item = opened.pop(process)
        outcome = outcome or random.choices(["ok", "fail", "info"], [8, 1, 1])[0]
        answer: Any = item
        if outcome != "fail" and (outcome == "ok" or random.random() < 0.5):
            answer = sorted(held[cart]) if f in ("read", "checkout") else item
            held[cart] |= {item} if f == "add" else set()
            held[cart] -= {item} if f == "remove" else held[cart] if f == "checkout" else set()
        note(
            process,
            outcome,
            f,
            cart,
            answer if outcome == "ok" else None,
            error=None if outcome == "ok" else "timeout: no",
        )
        if outcome == "info":
            fresh += 1
            process = fresh
        idle.append(process)

    if random.random() < 0.7:
        note("nemesis", "info", "stage", value="load")
        stages = [name for name in ("convergence", "final-reads") if random.random() < 0.85]
    else:
        stages = []
    for _ in range(random.randint(0, 40)):
        if opened and (not idle or random.random() < 0.6):
            end(random.choice(sorted(opened)))
        else:
            begin(random.choices(["add", "remove", "checkout", "read"], [5, 2, 1, 2])[0], random.choice(carts))
    for process in sorted(opened):
        if random.random() < 0.8:
            end(process)
        else:
            del opened[process]
            idle.append(fresh + 1)
            fresh += 1
    for name in stages:
        note("nemesis", "info", "stage", value=name)
    for cart in carts:
        for node in random.sample(["n1", "n2", "n3"], random.choice([0, 2, 3, 3])):
            end(begin("read", cart, node), "ok" if random.random() < 0.95 else "info")
    if random.random() < 0.5:
        for _ in range(random.randint(1, 2)):
            _change(random, events)
    return History(events)


def _change(random: Random, events: list[Event]) -> None:
    """One answer loses an item, or shows one more; or one of all of a cart's answers loses it from some moment on."""
    answers = [e for e in events if e.f in ("read", "checkout") and e.type == "ok"]
    if not answers:
        return
    event, item, since = random.choice(answers), random.choice(ITEMS), random.randrange(len(events))
    match random.randrange(3):
        case 0:
            event.value[:] = [each for each in event.value if each != item]
        case 1:
            event.value[:] = sorted({*event.value, item})
        case _:
            for each in answers:
                if each.key == event.key and each.index >= since:
                    each.value[:] = [one for one in each.value if one != item]
