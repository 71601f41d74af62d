"""A test of a shrunk run: a file for pytest that fails as long as the defect is there.

1. It needs nothing of the run's folder: all that the run is stands in it.
2. It is formatted as ruff and black would do it, for lines of 120 characters, so that it can be committed as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from splitbrain.harness.nemesis.strike import Strike
from splitbrain.harness.replays.finding import Finding
from splitbrain.harness.replays.scripted import ScriptedOperation
from splitbrain.harness.running.experiment import Experiment

_WIDTH = 120
_DEFAULTS = {item.name: item.default for item in fields(Experiment)}
_LEFT_OUT = ("workload", "environment", "faults", "time_limit_s", "rate", "concurrency", "strikes", "operations")
"""What the script says itself, or what has no bearing on one."""


def test_of(experiment: Experiment, finding: Finding) -> tuple[str, str]:
    """The name of the file, and its text."""
    words = re.sub(r"\W+", "_", f"{experiment.workload} {finding.checker} {finding.kind}".lower()).strip("_")
    given = {
        item.name: value
        for item in fields(experiment)
        if item.name not in _LEFT_OUT
        and (value := getattr(experiment, item.name)) != _DEFAULTS[item.name]
        and value not in ({}, ())
    }
    lines = [
        f'"""Shrunk from a run that failed: {finding}."""',
        "",
        "import pytest",
        "",
        "",
        *_call("@pytest.mark.jepsen", [f"{name}={_literal(value)}" for name, value in given.items()]),
        f"def test_{words}(cluster):",
        "    # When (s), process, operation, key, value, node.",
        *_assigned("operations", [_row(operation) for operation in experiment.operations or ()]),
        *_assigned("strikes", [_strike(*each) for each in enumerate(experiment.strikes or ())]),
        f'    cluster.script("{experiment.workload}", operations, strikes).require_valid()',
        "",
    ]
    return f"test_{words}.py", "\n".join(lines)


def _row(operation: ScriptedOperation) -> tuple[Any, ...]:
    return (operation.at_s, operation.process, operation.f, operation.key, operation.value, operation.node)


def _strike(number: int, strike: Strike) -> Mapping[str, Any]:
    row = {"family": strike.family, "at_s": strike.at_s, "for_s": strike.for_s, "how": strike.how}
    # A strike has its place as its number unless it says another; what is drawn for it hangs on that.
    return row if strike.number == number else {"number": strike.number, **row}


def _call(name: str, arguments: list[str]) -> list[str]:
    line = f"{name}({', '.join(arguments)})"
    if len(line) <= _WIDTH:
        return [line]
    return [f"{name}(", *(f"    {argument}," for argument in arguments), ")"]


def _assigned(name: str, rows: list[Any]) -> list[str]:
    """A row a line, however short they are."""
    if not rows:
        return [f"    {name} = []"]
    return [f"    {name} = [", *(line for row in rows for line in _fitted(" " * 8, row, ",", " " * 8)), "    ]"]


def _fitted(before: str, value: Any, after: str, indent: str) -> list[str]:
    """The value on one line; where that is too long, each of its items on one or more of its own."""
    line = f"{before}{_literal(value)}{after}"
    inner = f"{indent}    "
    if len(line) <= _WIDTH or not isinstance(value, Mapping | list | tuple):
        return [line]
    if isinstance(value, Mapping):
        opened, closed = "{", "}"
        items = [_fitted(f"{inner}{_literal(name)}: ", item, ",", inner) for name, item in value.items()]
    else:
        opened, closed = "[]" if isinstance(value, list) else "()"
        items = [_fitted(inner, item, ",", inner) for item in value]
    return [f"{before}{opened}", *(line for item in items for line in item), f"{indent}{closed}{after}"]


def _literal(value: Any) -> str:
    """As Python source, with double quotes."""
    match value:
        case str():
            text = repr(value)
            return text if '"' in text else f'"{text[1:-1]}"'
        case Mapping():
            return "{" + ", ".join(f"{_literal(name)}: {_literal(inner)}" for name, inner in value.items()) + "}"
        case list():
            return f"[{', '.join(_literal(inner) for inner in value)}]"
        case tuple():
            return f"({', '.join(_literal(inner) for inner in value)}{',' if len(value) == 1 else ''})"
        case _:
            return repr(value)
