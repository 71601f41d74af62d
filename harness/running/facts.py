"""The facts of a run that run.json keeps, written before anything starts.

1. They are all that is needed to run it again, and the versions of what ran it.
2. A simulated run has no date: the same seed gives the same facts.
"""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from splitbrain.harness.running.experiment import Prepared


def facts(prepared: Prepared) -> dict[str, Any]:
    """The facts of a run, JSON-able."""
    experiment = prepared.experiment
    return {
        "workload": experiment.workload,
        "system": experiment.system,
        "environment": experiment.environment,
        "nodes": list(experiment.names),
        **({"named": list(experiment.named), "hosts": experiment.hosts} if experiment.named else {}),
        "seed": experiment.seed,
        "time_limit_s": experiment.time_limit_s,
        "rate": experiment.rate,
        "concurrency": experiment.concurrency,
        "spare_clients": experiment.spare_clients,
        "faults": list(experiment.faults),
        "fault_interval_s": experiment.fault_interval_s,
        "config": dict(experiment.config),
        "fail_if": list(experiment.fail_if),
        **({} if experiment.compose is None else {"compose": experiment.compose}),
        "system_config": {**prepared.plan.config, **prepared.system.describe()},
        "command": experiment.command,
        "started": None if prepared.kind.simulated else datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"splitbrain": version("splitbrain"), "python": platform.python_version()},
        "commit": commit(),
    }


@cache
def commit() -> str | None:
    """The commit of the checkout splitbrain runs from, if it is one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=12", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
