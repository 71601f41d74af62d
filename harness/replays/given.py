"""A run that is given: operations and strikes as a test writes them, and what an experiment takes from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from splitbrain.harness.nemesis.strike import Strike
from splitbrain.harness.replays.scripted import ScriptedOperation
from splitbrain.harness.running.experiment import UsageProblem


def given(operations: Sequence[Any], strikes: Sequence[Any]) -> dict[str, Any]:
    """The arguments of an experiment with these operations and strikes.

    A strike without a number has its place as one. Each process is on a thread of its own. The faults are the strikes'.
    Raises UsageProblem naming what is no operation or no strike.
    """
    numbered = [
        {"number": number, **strike} if isinstance(strike, Mapping) else strike for number, strike in enumerate(strikes)
    ]
    try:
        script = msgspec.convert(list(operations), tuple[ScriptedOperation, ...])
    except msgspec.ValidationError as problem:
        form = "give each as (seconds, process, f, key, value, node)"
        raise UsageProblem(f"not all of these are operations ({problem}); {form}") from None
    try:
        schedule = msgspec.convert(numbered, tuple[Strike, ...])
    except msgspec.ValidationError as problem:
        form = 'give each as {"family": ..., "at_s": ..., "for_s": ..., "how": {...}}'
        raise UsageProblem(f"not all of these are strikes ({problem}); {form}") from None
    return {
        "operations": script,
        "strikes": schedule,
        "concurrency": 1 + max((operation.process for operation in script), default=0),
        "faults": tuple(dict.fromkeys(strike.family for strike in schedule)),
    }
