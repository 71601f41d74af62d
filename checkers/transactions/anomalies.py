"""Anomalies: what can be wrong with transactions, by the field's names.

1. A cycle of dependencies is named after the weakest kind of dependencies that it needs. G0: only ww. G1c: ww and wr.
   G-single: one rw. G-nonadjacent: several rw, no two in a row. G2-item: any.
2. `-process` after the name: the cycle also needs the order of one process's transactions. `-realtime`: it also needs
   that one transaction was over before another began. The process order is part of the real-time order. A crashed
   transaction was never over.
3. An anomaly implies those that every history with it has too. Every read here names its key, since there are no
   predicates. So a G-single or G-nonadjacent is a G2-item as well; newer versions of Elle call these G-single-item and
   G-nonadjacent-item.

4. What a transaction saw of others, and what it did not (`visibility`): OTV implies fractured reads, and these imply a
   causality violation.

Sources: Adya, Weak Consistency (1999), chapters 3 and 4. Bailis and others, Highly Available Transactions (VLDB 2014)
for OTV, Scalable Atomic Visibility with RAMP Transactions (SIGMOD 2014) for fractured reads. Cerone and Gotsman,
Analysing Snapshot Isolation (2016), for G-nonadjacent. Cerone, Bernardi and Gotsman (2015) for `internal`.
Kingsbury and Alvaro, Elle (VLDB 2020), and elle/consistency_model.clj (implied-anomalies) for the
rest. `garbage-read` implies G1a as `incompatible-order` does there: what was never written was never committed either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

CYCLES = ("G0", "G1c", "G-single", "G-nonadjacent", "G2-item")
LEVELS = ("", "-process", "-realtime")
"""What a cycle may need besides data, least first."""

_CYCLE_MEANING = {
    "G0": "a cycle of writes over writes",
    "G1c": "circular information flow: each saw or overwrote the one before",
    "G-single": "read skew: a cycle with a single read of what was then overwritten",
    "G-nonadjacent": "a cycle with several reads of what was then overwritten, no two of them in a row",
    "G2-item": "write skew: a cycle with reads of what was then overwritten, two of them in a row",
}

SEEN = {
    "OTV": "observed transaction vanishes: a part of what another wrote was read, and then what that had overwritten",
    "fractured-reads": "a part of what another transaction wrote was read, and beside it what that had overwritten",
    "causality-violation": "a transaction saw another, by whatever way, and read what that had overwritten",
}

MEANING: Mapping[str, str] = {
    "duplicate-elements": "a read holds an element twice that was appended once",
    "garbage-read": "a read holds what nobody ever wrote to that key",
    "cyclic-versions": "the versions of a key can't be put in any order",
    "incompatible-order": "two reads of a key can't both be prefixes of one list",
    "G0": _CYCLE_MEANING["G0"],
    "G1a": "an aborted transaction's write was read",
    "dirty-update": "a committed transaction built on an aborted one's write",
    "G1b": "a version was read that its writer went on to change",
    "future-read": "a transaction read what it was only about to write",
    "internal": "a transaction's read contradicts what it itself read or wrote before",
    "G1c": _CYCLE_MEANING["G1c"],
    "own-write-unseen": "a transaction read a key without what it had written to it just before",
    "G-cursor": "a transaction read a key and wrote it, and between the two another one wrote it",
    **SEEN,
    **{name + "-process": meaning + ", given the order within a process" for name, meaning in SEEN.items()},
    "lost-update": "two transactions read the same version of a key, and both wrote the key",
    **{name: _CYCLE_MEANING[name] for name in CYCLES[2:]},
    **{name + "-process": _CYCLE_MEANING[name] + ", given the order within a process" for name in CYCLES},
    **{name + "-realtime": _CYCLE_MEANING[name] + ", given the order in real time" for name in CYCLES},
}
"""Every anomaly that can be found, the worst first, and what it is in a line."""


def _implications() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {
        "G1a": ("G1",),
        "G1b": ("G1",),
        "garbage-read": ("G1a",),
        "incompatible-order": ("G1a",),
        "dirty-update": ("G1a",),
        "future-read": ("G1c",),
        "lost-update": ("G2-item",),
        "own-write-unseen": ("internal",),
        "G-cursor": ("G-single",),
    }
    for level, with_sessions in (("", ("-process",)), ("-process", ())):
        for name, weaker in zip(SEEN, [*list(SEEN)[1:], ""], strict=True):
            also = (weaker + level,) if weaker else ()
            found[name + level] = (*also, *(name + more for more in with_sessions))
    within = {
        "G0": ("G1c",),
        "G1c": ("G1",),
        "G1": (),
        "G-single": ("G-nonadjacent",),
        "G-nonadjacent": ("G2-item",),
        "G2-item": ("G2",),
        "G2": (),
    }
    for name, implied in within.items():
        for level, further in zip(LEVELS, (*LEVELS[1:], None), strict=True):
            wider = () if further is None else (name + further,)
            found[name + level] = (*(each + level for each in implied), *wider)
    return found


IMPLIES: Mapping[str, tuple[str, ...]] = _implications()
"""What each anomaly directly implies. G1 and G2 are only ever implied: they are what models forbid."""


def implied(names: Iterable[str]) -> frozenset[str]:
    """The anomalies with all that they imply.

    >>> sorted(implied(["incompatible-order"]) - {"G1-process", "G1-realtime"})
    ['G1', 'G1a', 'incompatible-order']
    """
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += IMPLIES.get(name, ())
    return frozenset(found)


def worst_first(names: Iterable[str]) -> list[str]:
    """The anomalies in the order of MEANING."""
    given = set(names)
    return [name for name in MEANING if name in given]
