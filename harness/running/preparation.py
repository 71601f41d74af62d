"""Preparation: what is asked of workloads and systems before a run starts.

1. They are anybody's. Whatever their code raises here, SystemExit too, is one line for their author.
2. Only what ends the run itself passes through.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from splitbrain.harness.running.experiment import Experiment, Prepared, UsageProblem
from splitbrain.harness.running.facts import facts
from splitbrain.harness.running.interrupts import interrupting, located


def prepared_for(experiment: Experiment) -> Prepared:
    """All parts of the experiment. Raises UsageProblem."""
    with _refused(experiment, "be prepared"):
        return experiment.prepare()


def described(prepared: Prepared) -> Mapping[str, Any]:
    """The facts of the run, JSON-able. Raises UsageProblem."""
    with _refused(prepared.experiment, "be described"):
        found = facts(prepared)
        json.dumps(found)  # What a system says of itself need not be JSON.
        return found


@contextlib.contextmanager
def _refused(experiment: Experiment, what: str) -> Iterator[None]:
    """Workloads and systems are anybody's: whatever their code raises before the start is for their author."""
    try:
        yield
    except UsageProblem:
        raise
    except BaseException as problem:
        if interrupting(problem):
            raise
        raise UsageProblem(
            f"{experiment.workload} on {experiment.system} can't {what} ({located(problem)}); "
            "correct the package that registers it"
        ) from problem
