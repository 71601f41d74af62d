"""The checkers of weak consistency beside their oracles.

python -m tests.checkers.sessions.comparisons [EXAMPLES=100000] [FIRST_SEED=0]
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from splitbrain.checkers import causal, sessions
from splitbrain.checkers.eventual import staleness
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.sessions.guarantee_finding import GUARANTEES
from splitbrain.checkers.verdict import Verdict
from tests.checkers.comparison import Comparison, Disagreement
from tests.checkers.sessions import generate, oracles

SHORT = dict(zip(("ryw", "mr", "mw", "wfr"), GUARANTEES, strict=True))
ALL = frozenset({"valid", "invalid", "unknown"})


def _told(history: History, said: Any, expected: Any) -> None:
    if said != expected:
        raise Disagreement(history, f"checker: {said}\noracle:  {expected}")


def _history(seed: int, shape: generate.Shape) -> History:
    return generate.history(Random(seed), shape)


def _sessions(history: History, expected: dict[str, dict[str, Any]] | None) -> str:
    verdict = sessions.check(history)
    if expected is None:
        _told(history, verdict.outcome.value, "unknown")
        return "unknown"
    assumed = {SHORT[short] for short, each in expected.items() if each.pop("assumed", False)}
    if "guarantees" in verdict.evidence:
        said = {short: dict(verdict.evidence["guarantees"][name]) for short, name in SHORT.items()}
        for each in said.values():
            each.pop("witness", None)
        _told(history, said, expected)
    _told(history, {name for name in GUARANTEES if name in verdict.reason.partition("contradictory if")[2]}, assumed)
    verdicts = [each["verdict"] for each in expected.values()]
    unclear = any(each["unprovable"] for each in expected.values())
    unclear = unclear or not any(each["checked"] for each in expected.values())
    _told(history, verdict.outcome.value, "invalid" if "violated" in verdicts else "unknown" if unclear else "valid")
    _whole(history, verdict)
    return verdict.outcome.value


def _distinct_sessions(seed: int) -> str:
    history = _history(seed, "distinct")
    return _sessions(history, oracles.distinct_sessions(history))


def _versioned_sessions(seed: int) -> str:
    history = _history(seed, "versioned")
    return _sessions(history, oracles.versioned_sessions(history))


def _distinct_causal(level: Any) -> Callable[[int], str]:
    def compare(seed: int) -> str:
        history = _history(seed, "distinct")
        verdict = causal.check(history, level=level)
        _told(history, verdict.outcome.value, oracles.distinct_causal(history, level))
        _whole(history, verdict)
        return verdict.outcome.value

    return compare


def _versioned_causal(seed: int) -> str:
    history = _history(seed, "versioned")
    outcome, counts = oracles.versioned_causal(history)
    verdict = causal.check(history)
    if verdict.evidence["registers"] == "versioned":
        _told(history, verdict.evidence["patterns"], counts)
    _told(history, verdict.outcome.value, outcome)
    _whole(history, verdict)
    return verdict.outcome.value


def _staleness(history: History, missed: list[tuple[int, Any, int, int]] | None, seed: int) -> str:
    max_k, max_t_ms = seed % 3, (None, 1.0, 4.0)[seed // 3 % 3]
    verdict = staleness.check(history, max_k=max_k, max_t_ms=max_t_ms)
    acknowledged = any(op.f != "read" and op.outcome == "ok" for op in oracles.ops_of(history))
    if not missed or not acknowledged:
        _told(history, verdict.outcome.value, "unknown")
        return "unknown"
    said = {
        "reads": len(missed),
        "stale": sum(k > 0 for _, _, k, _ in missed),
        "keys": {
            key: {
                "reads": sum(of == key for _, of, _, _ in missed),
                "stale": sum(of == key and k > 0 for _, of, k, _ in missed),
                "max_k": max(k for _, of, k, _ in missed if of == key),
                "max_t_ms": max(ns for _, of, _, ns in missed if of == key) / 1e6,
            }
            for key in {of for _, of, _, _ in missed}
        },
        "k_fresh": [[b, round(sum(k <= b for _, _, k, _ in missed) / len(missed), 6)] for b in (0, 1, 2, 3, 5, 10)],
        "t_fresh": [[b, round(sum(t <= b * 1e6 for _, _, _, t in missed) / len(missed), 6)] for b in (0, 1, 2, 5, 10)],
    }
    found = {name: verdict.evidence[name] for name in said}
    found["k_fresh"], found["t_fresh"] = found["k_fresh"][:6], found["t_fresh"][:5]
    _told(history, found, said)
    over = any(k > max_k for _, _, k, _ in missed)
    over = over or (max_t_ms is not None and any(t > max_t_ms * 1e6 for _, _, _, t in missed))
    _told(history, verdict.outcome.value, "invalid" if over else "valid")
    _whole(history, verdict)
    return verdict.outcome.value


def _distinct_staleness(seed: int) -> str:
    history = _history(seed, "distinct")
    return _staleness(history, oracles.distinct_missed(history), seed)


def _versioned_staleness(seed: int) -> str:
    history = _history(seed, "versioned")
    return _staleness(history, oracles.versioned_missed(history), seed)


def _whole(history: History, verdict: Verdict) -> None:
    """A witness shows events of the history, ascending."""
    if verdict.witness is not None:
        events = verdict.witness.events
        inside = bool(events) and events[0] >= 0 and events[-1] < len(history.events)
        _told(history, (inside, events), (True, tuple(sorted(set(events)))))


COMPARISONS: Sequence[Comparison] = (
    Comparison("session guarantees of distinct writes", _distinct_sessions, ALL),
    Comparison("session guarantees of versioned registers", _versioned_sessions, ALL),
    Comparison("causal consistency (cc) of distinct writes", _distinct_causal("cc"), ALL),
    Comparison("causal convergence (ccv) of distinct writes", _distinct_causal("ccv"), ALL),
    Comparison("causal memory (cm) of distinct writes", _distinct_causal("cm"), ALL),
    Comparison("causal consistency of versioned registers", _versioned_causal, ALL),
    Comparison("staleness of distinct writes", _distinct_staleness, ALL),
    Comparison("staleness of versioned registers", _versioned_staleness, ALL),
)


def main(examples: int, first: int) -> None:
    for comparison in COMPARISONS:
        counts = Counter(comparison.compare(seed) for seed in range(first, first + examples))
        print(f"{comparison.name}: {dict(sorted(counts.items()))}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
