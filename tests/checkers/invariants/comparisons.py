"""The shelf's checkers beside their oracles, on random histories."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.invariants import bank, counter, long_fork, total_queue, unique_ids
from splitbrain.checkers.service import stats, unhandled_errors
from splitbrain.checkers.verdict import Verdict
from tests.checkers.comparison import Comparison, Disagreement
from tests.checkers.invariants import generate, oracles

Options = Mapping[str, Any]
ALL = frozenset({"valid", "invalid", "unknown"})


def _bank_options(random: Random) -> Options:
    given: list[Options] = [{}, {"total": 10}, {"accounts": (0, 1, 2)}, {"total": 10, "accounts": ("0", "1", "2")}]
    return random.choice(given)


def _surplus(evidence: Mapping[str, Any]) -> Options:
    return {"surplus": evidence["unexpected"] + evidence["phantom"] + evidence["duplicated"]}


def _bank_kinds(evidence: Mapping[str, Any]) -> Options:
    return {"kinds": {kind: summary["count"] for kind, summary in evidence["errors"].items()}}


def _strangers(evidence: Mapping[str, Any]) -> Options:
    return {"strangers": evidence["unexpected"] + evidence["phantom"]}


def _stats_figures(evidence: Mapping[str, Any]) -> Options:
    by_f = {f: (each["count"], each["ok"], each["fail"], each["info"]) for f, each in evidence["by_f"].items()}
    return {"by_f": by_f, "total": evidence["count"]}


def _errors(evidence: Mapping[str, Any]) -> Options:
    return {
        "counts": {each["code"]: each["count"] for each in evidence["by_code"]},
        "examples": {each["code"]: each["example"]["index"] for each in evidence["by_code"]},
    }


def _nothing(_: Any) -> Options:
    return {}


def _compare(
    name: str,
    check: Callable[..., Verdict],
    make: Callable[[Random], History],
    more: Callable[[Mapping[str, Any]], Options],
    options: Callable[[Random], Options] = _nothing,
) -> Callable[[int], str]:
    """more: figures that the oracle gives, and the checker's evidence only in another form."""

    def compare(seed: int) -> str:
        random = Random(seed)
        history = make(random)
        chosen = options(random)
        verdict = check(history, **chosen)
        said = {"verdict": verdict.outcome.value, **verdict.evidence, **more(verdict.evidence)}
        right = oracles.ORACLES[name](history, **chosen)
        wrong = {figure: (said[figure], value) for figure, value in right.items() if said[figure] != value}
        if wrong:
            raise Disagreement(history, f"{name} {dict(chosen)} and its oracle: {wrong}")
        return verdict.outcome.value

    return compare


def _forbidden(_: Random) -> Options:
    return {"forbidden": ("conflict", "ssh")}


COMPARISONS: Sequence[Comparison] = (
    Comparison("counter", _compare("counter", counter.check, generate.counter, _nothing), ALL),
    Comparison("total-queue", _compare("total-queue", total_queue.check, generate.total_queue, _surplus), ALL),
    Comparison("unique-ids", _compare("unique-ids", unique_ids.check, generate.unique_ids, _nothing), ALL),
    Comparison("bank", _compare("bank", bank.check, generate.bank, _bank_kinds, _bank_options), ALL),
    Comparison("long-fork", _compare("long-fork", long_fork.check, generate.long_fork, _strangers), ALL),
    Comparison(
        "stats", _compare("stats", stats.check, generate.any_kind, _stats_figures), frozenset({"valid", "unknown"})
    ),
    Comparison(
        "unhandled-errors",
        _compare("unhandled-errors", unhandled_errors.check, generate.any_kind, _errors, _forbidden),
        ALL,
    ),
)
