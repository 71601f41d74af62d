"""The summary of a campaign as one HTML file, which works offline.

1. All text goes through jinja2's autoescape. The page has no script, and makes no request.
2. The same outcomes give the same page, byte for byte, wherever and whenever they were made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from splitbrain.harness.campaigns.campaign import Summary, situation_counts
from splitbrain.harness.campaigns.outcomes import RunOutcome, counts, failures
from splitbrain.harness.campaigns.shrinking import Shrunk
from splitbrain.harness.campaigns.signature import Signature
from splitbrain.harness.campaigns.situations import SITUATIONS
from splitbrain.harness.running.results import unwritable

PAGE = "index.html"
SHOWN = 200
"""Rows of runs that were not valid: the page stays small however long a campaign goes on."""
_WIDTH, _HEIGHT = 600, 80


def write_page(summary: Summary, trend: Sequence[Mapping[str, Any]], shrunk: Mapping[Signature, Shrunk]) -> Path:
    """Write the page into the campaign's folder. Returns its path. Raises ResultsError."""
    path = summary.folder / PAGE
    try:
        path.write_text(page(summary, trend, shrunk), encoding="utf-8")
    except OSError as problem:
        raise unwritable(path, problem) from None
    return path


def page(summary: Summary, trend: Sequence[Mapping[str, Any]], shrunk: Mapping[Signature, Shrunk]) -> str:
    """The page. trend: earlier campaigns and this one, as `trend` has them. shrunk: failures that were made smaller."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    outcomes = summary.outcomes
    others = [outcome for outcome in outcomes if outcome.status != "valid"]
    met = situation_counts(outcomes)
    return environment.get_template("campaign.html.j2").render(
        summary=summary,
        counts=counts(outcomes),
        failures=failures(outcomes),
        shrunk=shrunk,
        others=others[:SHOWN],
        left=len(others) - len(others[:SHOWN]),
        workloads=_by_workload(outcomes),
        overlaps=_overlaps(outcomes),
        met=[(name, number) for name, number in met.items() if number],
        never=[name for name, number in met.items() if not number],
        untold=[situation.name for situation in SITUATIONS if situation.name not in met],
        trend=list(trend),
        line=_line([each.get("signatures", 0) for each in trend]),
        width=_WIDTH,
        height=_HEIGHT,
        operations=sum(outcome.operations for outcome in outcomes),
        strikes=sum(outcome.strikes for outcome in outcomes),
        twice=sum(outcome.twice for outcome in outcomes),
    )


def _by_workload(outcomes: Sequence[RunOutcome]) -> list[tuple[str, Counter[str], float]]:
    """By workload, how many runs of each status, and the CPU seconds of one."""
    found: dict[str, list[RunOutcome]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.workload, []).append(outcome)
    return [
        (name, Counter(each.status for each in some), sum(each.cpu_s for each in some) / len(some))
        for name, some in sorted(found.items())
    ]


def _overlaps(outcomes: Sequence[RunOutcome]) -> tuple[list[str], dict[tuple[str, str], int]]:
    """The families that stood, and in how many runs each pair of them stood at once; one with itself: that it stood."""
    found: Counter[tuple[str, str]] = Counter()
    for outcome in outcomes:
        for pair in outcome.overlaps:
            one, _, other = pair.partition("+")
            if other:
                found[one, other] += 1
                if one != other:
                    found[other, one] += 1
            else:
                found[one, "alone"] += 1
    return sorted({one for one, _ in found}), dict(found)


def _line(figures: Sequence[int]) -> str:
    """The points of a line through the figures, for SVG."""
    top = max([1, *figures])
    step = _WIDTH / max(1, len(figures) - 1)
    return " ".join(
        f"{at * step:.1f},{_HEIGHT - figure / top * (_HEIGHT - 4) - 2:.1f}" for at, figure in enumerate(figures)
    )
