"""A comparison of a checker with an oracle that gives some of the same figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.verdict import Verdict
from tests.checkers.comparison import Comparison, Disagreement

Options = Mapping[str, Any]
EVERY_OUTCOME = frozenset({"valid", "invalid", "unknown"})


def nothing(_: Any) -> Options:
    return {}


def against_oracle(
    name: str,
    check: Callable[..., Verdict],
    oracle: Callable[..., dict[str, Any]],
    make: Callable[[Random], History],
    more: Callable[[Mapping[str, Any]], Options] = nothing,
    options: Callable[[Random], Options] = nothing,
    outcomes: frozenset[str] = EVERY_OUTCOME,
) -> Comparison:
    """more: figures that the oracle gives, and the checker's evidence only in another form."""

    def compare(seed: int) -> str:
        random = Random(seed)
        history = make(random)
        chosen = options(random)
        verdict = check(history, **chosen)
        said = {"verdict": verdict.outcome.value, **verdict.evidence, **more(verdict.evidence)}
        right = oracle(history, **chosen)
        wrong = {figure: (said[figure], value) for figure, value in right.items() if said[figure] != value}
        if wrong:
            raise Disagreement(history, f"{name} {dict(chosen)} and its oracle: {wrong}")
        return verdict.outcome.value

    return Comparison(name, compare, outcomes)
