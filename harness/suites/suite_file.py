"""Suite files: TOML that says which runs there are.

    budget = "2h"

    [defaults]
    env = "docker"
    time-limit = 30

    [[cases]]
    system = "redis-sentinel"
    workload = "g-set"
    faults = ["partition", "kill,pause"]
    seed = [1, 2, 3]
    expect = "invalid"

1. The keys of a case are the options of `splitbrain run`. A list has one run for each of its entries, and several lists
   one for each combination.
2. Everything is checked before the first run: an unknown key, a value of the wrong kind, a run that would be refused.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from splitbrain.harness.running.experiment import Experiment, UsageProblem
from splitbrain.harness.running.preparation import prepared_for
from splitbrain.harness.running.results import Status
from splitbrain.harness.spans import seconds_of
from splitbrain.harness.suggestions import did_you_mean

EXPECTED = ("valid", "invalid", "unknown")


@dataclass(frozen=True)
class Case:
    """One run of a suite. title: for people. expect: the verdict that is wanted."""

    title: str
    experiment: Experiment
    expect: Status = "valid"


@dataclass(frozen=True)
class SuiteFile:
    """What a file says. budget_s: how long runs are started, in seconds; None for as long as it takes."""

    cases: tuple[Case, ...]
    budget_s: float | None = None


def read_suite(path: Path) -> SuiteFile:
    """Raises UsageProblem, naming the file, the case and the key."""
    try:
        said = tomllib.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise UsageProblem(f"can't read {path} ({problem.strerror}); give a suite's file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise UsageProblem(f"{path} is no TOML: {problem}") from None
    _known(path, "the file", said, ("budget", "defaults", "cases"))
    defaults, tables = said.get("defaults", {}), said.get("cases", [])
    if not isinstance(defaults, dict) or not isinstance(tables, list) or not tables:
        raise UsageProblem(f"{path} has no cases; write each as a table under [[cases]], and defaults under [defaults]")
    cases = []
    for number, table in enumerate(tables, 1):
        where = f"case {number}"
        if not isinstance(table, dict):
            raise UsageProblem(f"{path}, {where}: not a table; write [[cases]]")
        _known(path, where, {**defaults, **table}, _READ)
        cases += list(cases_of(path, where, {**defaults, **table}))
    return SuiteFile(tuple(cases), _budget(path, said))


def cases_of(path: Path, where: str, table: Mapping[str, Any]) -> Iterator[Case]:
    """The runs of one table: rule 1. where: its name in messages. Raises UsageProblem."""
    expect = table.get("expect", "valid")
    if expect not in EXPECTED:
        raise UsageProblem(f"{path}, {where}: expect is {expect!r}; give one of {', '.join(EXPECTED)}")
    if "workload" not in table:
        raise UsageProblem(f"{path}, {where}: there is no workload; give one, as in `splitbrain list`")
    keys = [key for key in table if key not in ("expect", "title")]
    choices = [table[key] if isinstance(table[key], list) else [table[key]] for key in keys]
    for chosen in itertools.product(*choices):
        values = {}
        for key, value in zip(keys, chosen, strict=True):
            name, read = _OPTIONS[key]
            try:
                values[name] = read(value)
            except (TypeError, ValueError) as problem:
                raise UsageProblem(f"{path}, {where}: {key} is {value!r}; {problem}") from None
        experiment = Experiment(**values)
        try:
            prepared_for(experiment)
        except UsageProblem as problem:
            raise UsageProblem(f"{path}, {where}: {problem}") from None
        yield Case(str(table.get("title", "")) or _title(experiment), experiment, cast(Status, expect))


def _title(experiment: Experiment) -> str:
    """What tells it from others, for people."""
    config = [f"{key}={value}" for key, value in experiment.config.items()]
    faults = ",".join(experiment.faults) or "no fault"
    return " ".join([experiment.system, experiment.workload, faults, *config, f"seed {experiment.seed}"])


def _budget(path: Path, said: Mapping[str, Any]) -> float | None:
    if "budget" not in said:
        return None
    seconds = seconds_of(str(said["budget"]))
    if seconds is None:
        raise UsageProblem(f"{path}: budget is {said['budget']!r}; write it as 90s, 30m or 8h")
    return seconds


def _known(path: Path, where: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            raise UsageProblem(
                f"{path}, {where}: unknown key {key!r}; known: {', '.join(known)}{did_you_mean(key, known)}"
            )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("give a text in quotes")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("give a whole number")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError("give a number")
    return float(value)


def _names(value: Any) -> tuple[str, ...]:
    return tuple(name.strip() for name in _text(value).split(",") if name.strip())


def _table(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError('give a table, as in { key = "value" }')
    return {key: str(each).lower() if isinstance(each, bool) else str(each) for key, each in value.items()}


_OPTIONS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "workload": ("workload", _text),
    "system": ("system", _text),
    "env": ("environment", _text),
    "faults": ("faults", _names),
    "nodes": ("nodes", _whole),
    "seed": ("seed", _whole),
    "time-limit": ("time_limit_s", _number),
    "rate": ("rate", _number),
    "concurrency": ("concurrency", _whole),
    "fault-interval": ("fault_interval_s", _number),
    "config": ("config", _table),
    "fail-if": ("fail_if", _names),
}
_READ = (*_OPTIONS, "expect", "title")
