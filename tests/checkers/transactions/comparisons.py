"""The transactional checker beside brute force."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

from msgspec.structs import replace

from splitbrain.checkers.histories.formats import read
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.notation.edn import write
from splitbrain.checkers.transactions import check, timestamps
from splitbrain.checkers.transactions.consistency_models import ORDERED, PREFIXES
from splitbrain.checkers.transactions.visibility.promises import PROMISES
from splitbrain.checkers.verdict import Verdict
from tests.checkers.comparison import Comparison, Disagreement
from tests.checkers.transactions import (
    commit_orders_oracle,
    generate,
    generate_weak,
    oracle,
    orders_oracle,
    stamped_histories,
    timestamps_oracle,
)

_DATA = {"duplicate-elements", "garbage-read", "cyclic-versions"}
_COMMITTED = {"incompatible-order", "G1a", "dirty-update", "G1b", "future-read"}
_PLAIN = {"G0", "G1c", "G-single", "G-nonadjacent", "G2-item"}
# What some models forbid, by hand.
_READ_COMMITTED = _DATA | _COMMITTED | {"G0", "G1c"}
_SERIALIZABLE = _DATA | _COMMITTED | _PLAIN | {"internal", "lost-update"}
FORBIDS: dict[str, set[str]] = {
    "read-uncommitted": _DATA | {"G0"},
    "read-committed": _READ_COMMITTED,
    "read-atomic": _READ_COMMITTED | {"internal"},
    "parallel-snapshot-isolation": _READ_COMMITTED | {"internal", "lost-update", "G-single"},
    "repeatable-read": _SERIALIZABLE - {"internal"},
    "snapshot-isolation": _SERIALIZABLE - {"G2-item"},
    "serializable": _SERIALIZABLE,
    "strong-session-serializable": _SERIALIZABLE | {name + "-process" for name in _PLAIN},
    "strict-serializable": _SERIALIZABLE | {name + level for name in _PLAIN for level in ("-process", "-realtime")},
}
_ORDERS = ("serializable", "strong-session-serializable", "strict-serializable")
_LISTS = partial(generate.history, model="list-append")
_REGISTERS = partial(generate.history, model="rw-register")
SEEN = frozenset({"valid", "OTV", "fractured-reads-process", "no-order"})
_BREACHES = frozenset({"valid", "unknown", "timestamps", "external", "conflict", "session", "realtime"})
KEYS = ("own", "wfr", "sequential", "linearizable")
# What is taken for granted of keys if nothing is said: of the others, wfr.
UNSAID = {
    "read-uncommitted": "own",
    "strong-session-serializable": "sequential",
    "strict-serializable": "linearizable",
}


def _outcome(names: set[str], consistency: str, depend: bool) -> str:
    if names & FORBIDS[consistency]:
        return "invalid"
    return "valid" if depend and consistency != "parallel-snapshot-isolation" else "unknown"


def _judged(history: History, consistency: str, keys: str | None) -> Verdict:
    return check(history, consistency=consistency, keys=keys)  # type: ignore[arg-type]


def names_of(make: Callable[[Random], History], model: str) -> Callable[[int], str]:
    """The anomalies' names, the counts of those that are no cycles, and the outcome, against every definition; and that
    the cycles shown are cycles of their kind."""

    def compare(seed: int) -> str:
        random = Random(seed)
        history = make(random)
        consistency, keys = random.choice(list(FORBIDS)), random.choice((*KEYS, None))
        verdict = _judged(history, consistency, keys)
        keys = keys or UNSAID.get(consistency, "wfr")
        if verdict.outcome == "unknown" and verdict.reason.startswith("no transaction"):
            return verdict.outcome.value
        if verdict.evidence["model"] != model:
            return verdict.outcome.value  # Nothing but reads of what nobody wrote: it can't be decided.
        names, counts = oracle.anomalies(history, model, keys)
        depend = any(verdict.evidence["dependencies"].values())
        expected = (sorted(names), counts, _outcome(names, consistency, depend))
        described = verdict.evidence["anomalies"]
        found = (
            sorted(verdict.evidence["anomaly_types"]),
            {name: each["count"] for name, each in described.items() if each["counted"] != "dependencies"},
            verdict.outcome.value,
        )
        if verdict.evidence.get("versions_have_an_order") is False:
            found = (*found[:2], "valid")  # That is for `explained` to judge.
        more = set(found[0]) - names
        if more and consistency in PROMISES and not names & FORBIDS[consistency] and verdict.outcome == "invalid":
            # What was seen is for commit orders to judge (`seen`), and has a name of its own.
            counted = {name: count for name, count in found[1].items() if name not in more}
            found = (sorted(set(found[0]) - more), counted, expected[2])
        if found != expected:
            raise Disagreement(history, f"{consistency}, {keys}: found {found}, expected {expected}")
        for name, each in described.items():
            for example in each["examples"]:
                wrong = each["counted"] == "dependencies" and oracle.misnamed(name, example, history, model, keys)
                if wrong:
                    raise Disagreement(history, f"{name}, {keys}: {wrong} in {example}")
        return verdict.outcome.value

    return compare


def orders_of_lists(seed: int) -> str:
    """A history of lists is valid if and only if some serial order explains it, because reads show everything."""
    random = Random(seed)
    history = generate.history(random, "list-append")
    consistency = random.choice(_ORDERS)
    verdict = _judged(history, consistency, "wfr")
    if verdict.outcome == "unknown":
        return "unknown"
    expected = "valid" if consistency in orders_oracle.orders(history) else "invalid"
    if verdict.outcome != expected:
        raise Disagreement(history, f"{consistency}: {verdict.reason}, but brute force says {expected}")
    return expected


def orders_of_registers(seed: int) -> str:
    """What some serial order explains has no anomaly, as long as the order has what was taken for granted of keys."""
    random = Random(seed)
    history = generate.history(random, "rw-register")
    place = random.randrange(3)
    consistency, keys = _ORDERS[place], random.choice((*KEYS[: place + 2], None))
    verdict = _judged(history, consistency, keys)
    if verdict.outcome == "invalid" and consistency in orders_oracle.orders(history):
        raise Disagreement(history, f"{consistency}, {keys}: {verdict.reason}, but there is an order")
    return verdict.outcome.value


def ruled_out(seed: int) -> str:
    """A model is ruled out only if the history has it with no order of versions, whatever was promised or vouched for."""
    random = Random(seed)
    history = generate.history(random, "rw-register", transactions=random.choice((2, 3, 4)))
    verdict = _judged(history, random.choice(list(FORBIDS)), random.choice((*KEYS, None)))
    wrong = orders_oracle.adya(history).intersection((*verdict.evidence["not"], *verdict.evidence["also_not"]))
    if wrong:
        raise Disagreement(history, f"{sorted(wrong)} ruled out, but there are orders of versions: {verdict.reason}")
    return "nothing ruled out" if not verdict.evidence["not"] else verdict.evidence["not"][0]


def snapshots(model: str) -> Callable[[int], str]:
    """What snapshots explain has nothing against snapshot isolation."""

    def compare(seed: int) -> str:
        random = Random(seed)
        history = generate.history(random, model, transactions=random.choice((2, 3, 4)))
        verdict = _judged(history, "snapshot-isolation", "wfr")
        if verdict.outcome == "invalid" and orders_oracle.snapshots(history):
            raise Disagreement(history, f"{verdict.reason}, but there are snapshots")
        return verdict.outcome.value

    return compare


def explained(model: str) -> Callable[[int], str]:
    """Serializability, snapshot isolation and the strong forms of both are decided: valid if and only if all that was
    read is explained by some order."""

    def compare(seed: int) -> str:
        random = Random(seed)
        history = generate.history(random, model, transactions=random.choice((2, 3, 3, 4, 4)))
        consistency = random.choice(list(ORDERED))
        verdict = _judged(history, consistency, None)
        if verdict.outcome == "unknown":
            return "unknown"
        expected = "valid" if orders_oracle.explained(history, consistency) else "invalid"
        if verdict.outcome != expected:
            raise Disagreement(history, f"{consistency}: {verdict.reason}, but brute force says {expected}")
        return "no order" if verdict.evidence.get("versions_have_an_order") is False else expected

    return compare


def seen(model: str) -> Callable[[int], str]:
    """The weak models are decided: valid if and only if some commit order has what their axioms say. Whatever is ruled
    out beside the one that was promised, no commit order has."""

    def compare(seed: int) -> str:
        random = Random(seed)
        history = (generate_weak.history if random.random() < 0.8 else generate.history)(random, model)
        consistency = random.choice([*PROMISES, *PREFIXES, "cursor-stability"])
        verdict = _judged(history, consistency, None)
        had = commit_orders_oracle.models(history)
        wrong = had.intersection((*verdict.evidence["not"], *verdict.evidence["also_not"]))
        if wrong:
            raise Disagreement(
                history, f"{consistency}: {sorted(wrong)} ruled out, but there are orders: {verdict.reason}"
            )
        if verdict.outcome == "unknown":
            return "unknown"
        expected = "valid" if consistency in had else "invalid"
        if verdict.outcome != expected:
            raise Disagreement(history, f"{consistency}: {verdict.reason}, but brute force says {expected}")
        return expected if expected == "valid" else str(verdict.witness and verdict.witness.data["anomaly"])

    return compare


def timestamps_of(model: str) -> Callable[[int], str]:
    """Timestamps explain what was read if and only if every pair of transactions says so. What they explain is never
    invalid without them."""

    def compare(seed: int) -> str:
        random = Random(seed)
        history = stamped_histories.history(random, model)
        consistency: Any = random.choice(list(ORDERED))
        verdict = timestamps.check(history, consistency=consistency)
        expected = timestamps_oracle.verdict(history, consistency)
        if verdict.outcome != expected:
            raise Disagreement(history, f"{consistency}: {verdict.reason}, but brute force says {expected}")
        if verdict.outcome == "valid":
            bare = [
                replace(event, value=event.value["txn"]) if isinstance(event.value, dict) else event
                for event in history.events
            ]
            without = _judged(History(bare), consistency, None)
            if without.outcome == "invalid":
                raise Disagreement(history, f"{consistency}: explained by timestamps, but {without.reason}")
        return verdict.outcome.value if verdict.outcome != "invalid" else next(iter(verdict.evidence["breaches"]))

    return compare


def completions_only(seed: int) -> str:
    """Without invocations a history of lists is judged as it is with them, as far as no order in time is promised; and a
    model that promises one is never said to hold.
    """
    random = Random(seed)
    history = generate.history(random, "list-append")
    ended = {operation.invocation.index for operation in history.operations if operation.completion is None}
    lines = []
    for operation in history.operations:
        event = operation.completion or operation.invocation
        kind = "info" if event.index in ended else event.type
        value = event.value if kind == "ok" else operation.invocation.value
        lines.append((event.index, f"{{:type :{kind}, :value {write(value)}}}\n".encode()))
    alone = read([line for _, line in sorted(lines)])
    if alone.real_time:
        return "unknown"  # There was nothing to read.
    verdict, strict = _judged(alone, "serializable", None), _judged(alone, "strict-serializable", None)
    said = verdict.outcome.value
    if strict.outcome.value != ("invalid" if said == "invalid" else "unknown"):
        raise Disagreement(history, f"serializable: {verdict.reason}; strict-serializable: {strict.reason}")
    expected = "valid" if "serializable" in orders_oracle.orders(history) else "invalid"
    if said not in (expected, "unknown"):
        raise Disagreement(history, f"without invocations: {verdict.reason}, but brute force says {expected}")
    return said


COMPARISONS: Sequence[Comparison] = (
    Comparison("transactions of registers: some order explains them", explained("rw-register")),
    Comparison("transactions of lists: some order explains them", explained("list-append")),
    Comparison("transactions of lists: what was seen, every commit order", seen("list-append"), SEEN),
    Comparison("transactions of registers: what was seen, every commit order", seen("rw-register"), SEEN),
    Comparison("transactions of lists with timestamps: every pair", timestamps_of("list-append"), _BREACHES),
    Comparison("transactions of registers with timestamps: every pair", timestamps_of("rw-register"), _BREACHES),
    Comparison("transactions of lists: anomalies by definition", names_of(_LISTS, "list-append")),
    Comparison("transactions of registers: anomalies by definition", names_of(_REGISTERS, "rw-register")),
    Comparison(
        "transactions in generated graphs: anomalies by definition", names_of(generate.generated_graph, "list-append")
    ),
    Comparison("transactions of lists: every serial order", orders_of_lists),
    Comparison("transactions of lists, completions only: every serial order", completions_only),
    Comparison("transactions of registers: every serial order", orders_of_registers),
    Comparison(
        "transactions of registers: every order of versions",
        ruled_out,
        frozenset({"nothing ruled out", "read-uncommitted", "read-committed", "strong-snapshot-isolation"}),
    ),
    Comparison("transactions of lists: every snapshot", snapshots("list-append")),
    Comparison("transactions of registers: every snapshot", snapshots("rw-register")),
)
