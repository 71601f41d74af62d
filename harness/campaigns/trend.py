"""The trend: a line for each campaign in the same place, so that commits can be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from splitbrain.harness.campaigns.campaign import Summary
from splitbrain.harness.campaigns.outcomes import counts, failures
from splitbrain.harness.running.facts import commit
from splitbrain.harness.running.results import write_whole

TREND = "trend.jsonl"


def append_trend(summary: Summary) -> list[dict[str, Any]]:
    """Add a line for the campaign to the trend beside its folder. Returns all of it. Raises ResultsError."""
    path = summary.folder.parent / TREND
    line = {
        "campaign": summary.folder.name,
        "commit": commit(),
        **counts(summary.outcomes),
        "signatures": len(failures(summary.outcomes)),
        "cpu_s": round(summary.cpu_s, 1),
    }
    known = read_trend(path)
    known = [each for each in known if each.get("campaign") != line["campaign"]] + [line]
    write_whole(path, "".join(json.dumps(each) + "\n" for each in known))
    return known


def read_trend(path: Path) -> list[dict[str, Any]]:
    """The lines of a trend; none if there is no file. A line that is none is left out."""
    found = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            each = json.loads(line)
        except ValueError:
            continue
        if isinstance(each, dict):
            found.append(each)
    return found
