"""Compare checkers with their oracles on many random histories.

    python -m tests.checkers.oracle_run [EXAMPLES=100000] [FIRST_SEED=0]

Prints how many histories of each verdict were compared. Stops at the first disagreement, with its seed and history.
"""

from __future__ import annotations

import sys
from collections import Counter
from random import Random
from typing import Any

import checkers
from checkers.history import History, encode
from tests.checkers import generate
from tests.checkers.oracles import OPTIONS, ORACLES, agreement


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
