"""Compare checkers with their oracles on many random histories.

    python -m tests.checkers.oracle_run [EXAMPLES=100000] [FIRST_SEED=0]

Prints how many histories of each verdict were compared. Stops at the first disagreement, with its seed and history.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import checkers
from checkers.history import History, encode
from checkers.verdict import Verdict
from tests.checkers import generate
from tests.checkers.oracles import ORACLES

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


def show(history: History) -> str:
    return "".join(encode(event).decode() for event in history.events)


def main(examples: int, first_seed: int) -> int:
    compared = {name: Counter[str]() for name in ORACLES}
    for seed in range(first_seed, first_seed + examples):
        history = generate.history(Random(seed), generate.SHAPES[seed % 2])
        for name in ORACLES:
            found = disagreement(name, history)
            if found:
                print(f"{show(history)}seed {seed}: {name} and its oracle disagree: {found}")
                return 1
            compared[name][checkers.check(name, history, **OPTIONS.get(name, {})).outcome] += 1
    for name, outcomes in compared.items():
        told = ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(outcomes.items()))
        print(f"{name}: agrees with its oracle on {outcomes.total():,} histories ({told})")
    return 0


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]] or [100_000]
    sys.exit(main(arguments[0], arguments[1] if len(arguments) > 1 else 0))
