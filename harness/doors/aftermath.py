"""The aftermath of a run whose process came to its end without a verdict: what it had recorded is judged, and what it
held is removed.

1. It runs in a process of its own, for as long as the guard grants (`guard`). The results are written before anything
   is judged, so that the folder says `broken` if the time does not suffice.
2. The run is `broken`, or invalid if what was recorded proves it. A verdict that was printed nowhere is none.
3. The same goes to the terminal as at the end of any run. Then containers are removed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from splitbrain.checkers import check_all
from splitbrain.harness.doors import check
from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.running.experiment import UsageProblem
from splitbrain.harness.running.interrupts import located
from splitbrain.harness.running.results import Result, ResultsError, RunFolder, conclude, read_history
from splitbrain.harness.terminal import say, warn


def told(folder: str, why: str) -> int:
    """Tell what became of the run in this folder, and remove what it held. Returns the exit code of its result.

    why: how its process came to its end, as a sentence.
    """
    kept = RunFolder(Path(folder))
    facts = _object(kept.path / "run.json")
    problem = ResultsError(why)
    result = Result("broken", str(problem), None, kept.path, str(facts.get("command", "")))
    before = _object(kept.path / "results.json")
    with suppress(ResultsError):
        kept.write_result(result)
    try:
        result = _judged(kept, result, problem)
    except (UsageProblem, ResultsError) as refusal:
        result = replace(result, notes=(f"what was recorded can't be judged: {refusal}",))
    except Exception as failure:  # The workload's checkers are a user's code.
        result = replace(result, notes=(f"what was recorded can't be judged: {located(failure)}",))
    if before:
        result = replace(result, notes=(*result.notes, f"before that it was {before.get('verdict')}, and not told"))
    with suppress(ResultsError):
        kept.write_result(result)
    if "--json" in sys.argv:
        say(result.as_json())
    else:
        warn("\n".join(result.lines()))
    if facts.get("environment") != "sim":
        _remove()
    return result.exit_code


def _judged(kept: RunFolder, result: Result, problem: Exception) -> Result:
    if not kept.history.exists():
        return result
    history = read_history(kept.history)
    verdict = check_all(history, check.told(kept.path, history).checkers)
    status, reason = conclude(verdict, problem, ())
    return replace(result, status=status, reason=reason, verdict=verdict)


def _remove() -> None:
    from splitbrain.harness.hosts.containers.leftovers import remove_own  # Only containers need the engine.

    try:
        remove_own(warn)
    except EnvironmentFailure as problem:
        warn(f"cleaning up failed ({problem}); `splitbrain clean` removes what is left")


def _object(path: Path) -> Mapping[str, Any]:
    """The JSON object in a file; an empty one if there is none."""
    try:
        parsed = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
