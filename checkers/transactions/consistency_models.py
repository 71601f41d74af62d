"""Consistency models: which of them a history rules out, given the anomalies found in it.

1. A model is at least as strong as those listed with it: a history that satisfies the one satisfies the others.
2. A model forbids what is listed with it, what the weaker ones forbid, and every anomaly that implies any of these.
3. An anomaly rules out the models that forbid it and all stronger ones. `weakest` are the ruled-out models without a
   weaker ruled-out one; they say the most.
4. Models have several names. Output uses the common ones (`repeatable-read`, not `PL-2.99`).
5. Of some models, nothing that they forbid is searched for here (`linearizable` of single objects). Their
   `forbids` is empty, and nothing can be said of them.
6. Of some models, all that they forbid is searched for (`searched_whole`), as far as the order of versions is known.
   Others forbid more. Finding nothing against such a model says nothing.
7. `strong-session-` before a name adds that the order of one process's transactions counts. `causal` is transactional
   causal consistency, which counts it; `causal-cerone` is the same without.

"Serializable" is conflict serializability (Bernstein). "Strict" and "strong" serializable are the same. There are no
predicates, so G2 is only ever a G2-item.

Sources: elle/consistency_model.clj (models, direct-proscribed-anomalies), after Adya 1999; Bailis and others 2014
(Highly Available Transactions); Cerone, Bernardi and Gotsman 2015; Daudjee and Salem 2006 (strong session snapshot
isolation); Jepsen's map of models. Anomalies that are not searched for (G-MSR, G-monotonic, G-update, GSI)
are left out. Parallel snapshot isolation forbids G-single by Cerone and Gotsman 2016 (every cycle has two rw); its
sessions are ignored. `garbage-read` stands beside `duplicate-elements`: Adya's histories can have neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from splitbrain.checkers.transactions.anomalies import MEANING, implied
from splitbrain.checkers.transactions.visibility.promises import PROMISES

_ALIASES: Mapping[str, str] = {
    "PL-1": "read-uncommitted",
    "PL-2": "read-committed",
    "read-committed-biswas": "monotonic-atomic-view",
    "PL-CS": "cursor-stability",
    "PL-2L": "monotonic-view",
    "PL-MSR": "monotonic-snapshot-read",
    "PL-2+": "consistent-view",
    "PL-FCV": "forward-consistent-view",
    "PL-2.99": "repeatable-read",
    "PL-SI": "snapshot-isolation",
    "PL-3U": "update-serializable",
    "PL-3": "serializable",
    "conflict-serializable": "serializable",
    "PL-SS": "strict-serializable",
    "strong-serializable": "strict-serializable",
    "strong-session-PL-1": "strong-session-read-uncommitted",
    "strong-session-PL-2": "strong-session-read-committed",
    "strong-PL-1": "strong-read-uncommitted",
    "strong-PL-2": "strong-read-committed",
}

_WEAKER: Mapping[str, tuple[str, ...]] = {
    "read-uncommitted": (),
    "read-committed": ("read-uncommitted",),
    "cursor-stability": ("read-committed",),
    "monotonic-view": ("read-committed",),
    "monotonic-snapshot-read": ("read-committed",),
    "monotonic-atomic-view": ("read-committed",),
    "strong-session-monotonic-atomic-view": ("monotonic-atomic-view", "strong-session-read-committed"),
    "consistent-view": ("cursor-stability", "monotonic-view"),
    "forward-consistent-view": ("consistent-view",),
    "update-serializable": ("forward-consistent-view",),
    "repeatable-read": ("cursor-stability", "monotonic-atomic-view"),
    "read-atomic": ("monotonic-atomic-view",),
    "strong-session-read-atomic": ("read-atomic", "strong-session-monotonic-atomic-view"),
    "ROLA": ("read-atomic",),
    "causal-cerone": ("read-atomic",),
    "parallel-snapshot-isolation": ("causal-cerone", "ROLA"),
    "prefix": ("causal-cerone",),
    "strong-session-prefix": ("prefix", "causal"),
    "snapshot-isolation": (
        "forward-consistent-view",
        "monotonic-atomic-view",
        "monotonic-snapshot-read",
        "parallel-snapshot-isolation",
        "prefix",
    ),
    "view-serializable": (),
    "serializable": ("repeatable-read", "update-serializable", "snapshot-isolation", "view-serializable"),
    "1SR": (),
    "session-serializable": ("1SR",),
    "strong-session-read-uncommitted": ("read-uncommitted",),
    "strong-session-read-committed": ("read-committed", "strong-session-read-uncommitted"),
    "strong-session-snapshot-isolation": ("snapshot-isolation", "strong-session-prefix"),
    "strong-session-serializable": ("serializable", "strong-session-snapshot-isolation"),
    "strong-read-uncommitted": ("strong-session-read-uncommitted",),
    "strong-read-committed": ("strong-session-read-committed", "strong-read-uncommitted"),
    "strong-snapshot-isolation": ("strong-session-snapshot-isolation", "strong-read-committed"),
    "strict-serializable": (
        "strong-session-serializable",
        "strong-snapshot-isolation",
        "session-serializable",
        "linearizable",
    ),
    "monotonic-reads": (),
    "monotonic-writes": (),
    "read-your-writes": (),
    "writes-follow-reads": (),
    "PRAM": ("monotonic-reads", "monotonic-writes", "read-your-writes"),
    "causal": ("causal-cerone", "strong-session-read-atomic", "writes-follow-reads", "PRAM"),
    "sequential": ("writes-follow-reads", "PRAM"),
    "linearizable": ("sequential",),
}

_FORBIDDEN: Mapping[str, tuple[str, ...]] = {
    "read-uncommitted": ("G0", "duplicate-elements", "cyclic-versions", "garbage-read"),
    "read-committed": ("G1",),
    "cursor-stability": ("lost-update", "G-cursor", "own-write-unseen"),
    "monotonic-atomic-view": ("OTV", "own-write-unseen"),
    "strong-session-monotonic-atomic-view": ("OTV-process",),
    "consistent-view": ("G-single",),
    "repeatable-read": ("G2-item", "lost-update"),
    "read-atomic": ("internal", "G1a", "future-read", "fractured-reads"),
    "strong-session-read-atomic": ("fractured-reads-process",),
    "causal-cerone": ("causality-violation",),
    "causal": ("causality-violation-process",),
    "ROLA": ("lost-update",),
    "parallel-snapshot-isolation": ("G-single",),
    "snapshot-isolation": ("internal", "G-nonadjacent"),
    "serializable": ("internal", "G2"),
    "strong-session-read-uncommitted": ("G0-process",),
    "strong-session-read-committed": ("G1c-process",),
    "strong-session-snapshot-isolation": ("G1-process", "G-nonadjacent-process"),
    "strong-session-serializable": ("G1-process", "G2-process"),
    "strong-read-uncommitted": ("G0-realtime",),
    "strong-read-committed": ("G1c-realtime",),
    "strong-snapshot-isolation": ("G1-realtime", "G-nonadjacent-realtime"),
    "strict-serializable": ("G1-realtime", "G2-realtime"),
}

ORDERED: Mapping[str, tuple[bool, str]] = {
    "snapshot-isolation": (True, ""),
    "strong-session-snapshot-isolation": (True, "-process"),
    "strong-snapshot-isolation": (True, "-realtime"),
    "serializable": (False, ""),
    "strong-session-serializable": (False, "-process"),
    "strict-serializable": (False, "-realtime"),
}
"""Models decided by an order of the versions: whether snapshots suffice, and the order in time that is promised."""


PREFIXES: Mapping[str, str] = {"prefix": "", "strong-session-prefix": "-process"}
"""Models decided by an order of beginnings and commits in which two that overlap may write one key: the order in time
that is promised."""


_WHOLE = frozenset(
    {
        *PROMISES,
        *PREFIXES,
        "cursor-stability",
        "read-uncommitted",
        "consistent-view",
        "repeatable-read",
        "snapshot-isolation",
        "serializable",
        *(name for name in _WEAKER if name.startswith("strong-")),
        "strict-serializable",
    }
)


@dataclass(frozen=True, slots=True)
class RuledOut:
    """Models that a history can't satisfy.

    weakest: those that say the most. stronger: the rest, which follow. Both weakest first.
    """

    weakest: tuple[str, ...]
    stronger: tuple[str, ...]


def canonical(name: str) -> str:
    """The model's usual name. Raises ValueError naming those that exist.

    >>> canonical("PL-2.99"), canonical("strong-serializable")
    ('repeatable-read', 'strict-serializable')
    """
    found = _ALIASES.get(name, name)
    if found not in _WEAKER:
        raise ValueError(f"there is no consistency model {name!r}; there are {', '.join(names())}")
    return found


def with_sessions(name: str, counted: bool) -> str:
    """The model like this one of which the order of sessions is a part, or is not. Raises ValueError if there is none.

    >>> with_sessions("read-atomic", True), with_sessions("causal", False)
    ('strong-session-read-atomic', 'causal-cerone')
    """
    plain = canonical(name).removeprefix("strong-session-")
    plain = "causal-cerone" if plain == "causal" else plain
    strong = "causal" if plain == "causal-cerone" else "strong-session-" + plain
    found = strong if counted else plain
    if plain not in _WEAKER or strong not in _WEAKER:
        held = "with" if counted else "without"
        raise ValueError(f"there is no {name} {held} the order of sessions; leave session_order out")
    return found


def names() -> list[str]:
    """Every name of a model: the usual ones, weakest first, then the others."""
    return [*sorted(_WEAKER, key=_strength), *_ALIASES]


def weaker(model: str) -> frozenset[str]:
    """The models that a history which satisfies `model` satisfies too, itself included."""
    found: set[str] = set()
    left = [canonical(model)]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += _WEAKER[name]
    return frozenset(found)


def stronger_than(model: str) -> list[str]:
    """The models whose histories all satisfy `model`, itself included, weakest first."""
    name = canonical(model)
    return sorted((each for each in _WEAKER if name in weaker(each)), key=_strength)


def forbids(model: str) -> frozenset[str]:
    """The anomalies, of those searched for, that no history with that model has."""
    forbidden = {anomaly for each in weaker(model) for anomaly in _FORBIDDEN.get(each, ())}
    return frozenset(anomaly for anomaly in MEANING if implied([anomaly]) & forbidden)


def searched_whole(model: str) -> bool:
    """Whether everything that the model forbids is searched for (rule 6)."""
    return canonical(model) in _WHOLE


def ruled_out(anomalies: Iterable[str], least: Mapping[str, str] | None = None) -> RuledOut:
    """The models that a history with these anomalies can't satisfy.

    least: for anomalies found by an assumption, the weakest model that guarantees it. They speak against that model and
    stronger ones only.

    >>> ruled_out(["G2-item-realtime"])
    RuledOut(weakest=('strict-serializable',), stronger=())
    """
    every = {model: weaker(model) for model in _WEAKER}
    against: set[str] = set()
    for anomaly in anomalies:
        found, begin = implied([anomaly]), (least or {}).get(anomaly)
        hit = {model for model, forbidden in _FORBIDDEN.items() if not found.isdisjoint(forbidden)}
        against |= {
            model for model, has in every.items() if not hit.isdisjoint(has) and (begin is None or begin in has)
        }
    out = sorted(against, key=_strength)
    weakest = tuple(model for model in out if weaker(model).isdisjoint(set(out) - {model}))
    return RuledOut(weakest, tuple(model for model in out if model not in weakest))


def _strength(model: str) -> tuple[int, str]:
    return len(weaker(model)), model
