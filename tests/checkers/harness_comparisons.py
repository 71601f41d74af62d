"""What judges the harness's own runs beside its oracles, on random histories of sets and versioned registers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from splitbrain import checkers
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.verdict import Verdict
from tests.checkers import generate
from tests.checkers.comparison import Comparison, Disagreement
from tests.checkers.eventual.convergence_oracle import convergence
from tests.checkers.eventual.lost_elements_oracle import lost_elements
from tests.checkers.eventual.lost_versions_oracle import lost_versions
from tests.checkers.eventual.siblings_oracle import siblings
from tests.checkers.plain_history import ops
from tests.checkers.service.availability_oracle import availability
from tests.checkers.service.evidence_oracle import evidence
from tests.checkers.service.latency_oracle import latency


def lost_writes(history: History) -> dict[str, Any]:
    if ops(history, "add"):
        return lost_elements(history)
    if ops(history, "put"):
        return lost_versions(history)
    shown = any(op.outcome == "ok" and op.comp and op.comp.value for op in ops(history, "read"))
    return {"verdict": "invalid" if shown else "unknown"}


ORACLES: Mapping[str, Callable[[History], dict[str, Any]]] = {
    "lost-writes": lost_writes,
    "siblings": siblings,
    "convergence": convergence,
    "availability": availability,
    "latency": latency,
    "evidence": evidence,
}
"""Each takes a history and returns the figures that the checker of that name must agree with."""
OPTIONS: Mapping[str, Mapping[str, Any]] = {"evidence": {"faults": ("partition", "kill"), "min_operations": 3}}


def agreement(name: str, verdict: Verdict) -> dict[str, Any]:
    """The figures of a verdict that the oracle of that name gives too."""
    form = verdict.as_dict()
    match name:
        case "availability" if "windows" in form:

            def rate(some: Mapping[str, Any]) -> tuple[int, int]:
                return some["operations"], some["ok"]

            return {
                "verdict": form["verdict"],
                "all": rate(form),
                "free": rate(form["without_fault"]),
                "windows": [rate(window) for window in form["windows"]],
                "longest_silence_ms": form["longest_silence_ms"],
                "recovered": [window["recovered_after_ms"] for window in form["windows"]],
            }
        case "latency":
            return {**form, "reads": form.get("by_f", {}).get("read", {})}
        case "convergence":
            return {**form, "never_converged": sorted(form.get("never_converged", ()))}
        case "evidence":
            hit = {family: form["faults"].get(family, {"struck": 0})["struck"] for family in ("partition", "kill")}
            unread = set(form["nodes"]) - set(form["nodes_read_at_the_end"])
            return {
                "verdict": form["verdict"],
                "hit": hit,
                "ineffective": len(form["ineffective"]),
                "unread": len(unread),
            }
        case _:
            return form


def disagreement(name: str, history: History) -> dict[str, tuple[Any, Any]]:
    """What a checker and its oracle say differently of a history: field -> (checker, oracle)."""
    said = agreement(name, checkers.check(name, history, **OPTIONS.get(name, {})))
    return {
        field: (said.get(field), right) for field, right in ORACLES[name](history).items() if said.get(field) != right
    }


def _comparison(name: str) -> Comparison:
    def compare(seed: int) -> str:
        history = generate.history(Random(seed), generate.SHAPES[seed % 2])
        found = disagreement(name, history)
        if found:
            raise Disagreement(history, f"{name} and its oracle disagree: {found}")
        return checkers.check(name, history, **OPTIONS.get(name, {})).outcome.value

    # What only describes has nothing to call invalid unless it is asked to.
    describes = name in ("availability", "latency")
    return Comparison(name, compare, frozenset({"valid"} if describes else {"valid", "invalid", "unknown"}))


COMPARISONS = tuple(map(_comparison, ORACLES))
