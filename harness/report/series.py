"""Series over time: counted from every operation, and small enough to draw.

1. Rates, availability and quantiles count all of the clients' operations, without the harness's own replica polls.
2. Availability is counted where an operation was invoked. A bin without an invocation has none, and one without a
   completion has no quantile: it is a gap, never zero or a hundred per cent.
3. Where nobody looked, nothing is drawn: a line ends at the last sighting before a silence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from splitbrain.checkers.histories.history import History
from splitbrain.harness.report.columns import OUTCOMES, Columns

BINS = 240
QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
KEYS_DRAWN = 40
USUAL = 3
LONGEST_S = 5.0
"""A silence is a gap if it is longer than this, or USUAL times as long as the median one."""
Numbers = list[float | None]
Floats = npt.NDArray[np.float64]


def bin_seconds(duration_s: float, bins: int = BINS) -> float:
    """The smallest of 1, 2, 5 times a power of ten that covers the duration in at most `bins` bins."""
    least = max(duration_s / bins, 0.001)
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= least * 0.999999))


def over_time(table: Columns) -> dict[str, Any]:
    """Rates, availability and latency quantiles by bin. O(n log n).

    Returns {"bin_s", "t": bin centres in s, "rate": {outcome: 1/s}, "availability": shares of ok,
    "latency": {"all" or an f: {quantile: ms of ok operations}}}.
    Rates are by completion; availability is the share of those invoked in the bin that were acknowledged.
    """
    width = bin_seconds(table.end_ns / 1e9)
    count = int(table.end_ns / 1e9 / width) + 1
    load = ~table.observing
    bins = np.minimum((table.end / 1e9 / width).astype(np.int64), count - 1)
    finished = load & (table.done >= 0)
    tally = np.zeros((len(OUTCOMES), count), dtype=np.int64)
    np.add.at(tally, (table.outcome[finished], bins[finished]), 1)
    # By invocation: in a total outage nothing completes, yet clients ask, and are not served.
    asked_in = np.minimum((table.start / 1e9 / width).astype(np.int64), count - 1)
    asked = np.bincount(asked_in[load], minlength=count)
    served = np.bincount(asked_in[load & (table.outcome == 0)], minlength=count)
    share = np.where(asked > 0, served / np.maximum(asked, 1), np.nan)
    well = finished & (table.outcome == 0)
    latency = (table.end - table.due) / 1e6
    kinds = [code for code in range(len(table.f_names)) if (well & (table.f == code)).any()]
    chosen = {"all": well} | {table.f_names[code]: well & (table.f == code) for code in kinds}
    return {
        "bin_s": width,
        "t": [round((number + 0.5) * width, 6) for number in range(count)],
        "rate": {name: _plain(tally[code] / width) for code, name in enumerate(OUTCOMES)},
        "availability": _plain(share),
        "latency": {name: _quantiles(bins[mask], latency[mask], count) for name, mask in chosen.items()},
    }


def _quantiles(bins: npt.NDArray[np.int64], values: Floats, count: int) -> dict[str, Numbers]:
    """Nearest-rank quantiles by bin."""
    order = np.lexsort((values, bins))
    ranked = values[order]
    sizes = np.bincount(bins, minlength=count)
    first = np.cumsum(sizes) - sizes
    lines: dict[str, Numbers] = {}
    for name, share in QUANTILES:
        rank = first + np.maximum(np.ceil(sizes * share).astype(np.int64) - 1, 0)
        line = np.full(count, np.nan)
        line[sizes > 0] = ranked[rank[sizes > 0]]
        lines[name] = _plain(line)
    return lines


def _plain(values: Floats) -> Numbers:
    return [None if np.isnan(value) else round(float(value), 4) for value in values]


@dataclass(frozen=True, slots=True)
class Sighting:
    """How many versions of a key were seen at a time."""

    at_ns: int
    key: str
    count: int


def sightings(history: History) -> tuple[str, list[Sighting]]:
    """What a sibling count was taken from, in words, and the counts. O(n).

    Reads of versioned registers return their siblings; sets hide theirs behind a union, so their replicas are
    asked.
    """
    operations = history.operations
    registers = any(
        operation.f == "put" and isinstance(operation.invocation.value, dict) and "write" in operation.invocation.value
        for operation in operations
    )
    found: list[Sighting] = []
    for operation in operations:
        done = operation.completion
        if done is None or done.type != "ok" or operation.key is None:
            continue
        if registers and operation.f == "read" and isinstance(done.value, list):
            found.append(Sighting(done.time, str(operation.key), len(done.value)))
        elif not registers and operation.f == "replica" and isinstance(done.value, dict) and done.value.get("home"):
            found.append(Sighting(done.time, str(operation.key), len(done.value.get("versions") or ())))
    return ("values returned by a read" if registers else "versions held by a home replica"), found


def siblings(found: Iterable[Sighting], duration_s: float) -> dict[str, Any]:
    """{"t": s, "most": by bin, "mean": by bin, "keys": {key: most by bin}}. Bins without a sighting are left out, but
    where a silence was longer than usual one of them stands, empty. O(n).
    """
    width = bin_seconds(duration_s)
    cells: dict[int, list[int]] = defaultdict(list)
    by_key: dict[str, dict[int, int]] = defaultdict(dict)
    for sighting in found:
        at = int(sighting.at_ns / 1e9 / width)
        cells[at].append(sighting.count)
        by_key[sighting.key][at] = max(sighting.count, by_key[sighting.key].get(at, 0))
    bins = sorted(cells)
    steps = sorted(later - earlier for earlier, later in pairwise(bins))
    usual = min(USUAL * steps[len(steps) // 2], LONGEST_S / width) if steps else 0
    bins = sorted([*bins, *(earlier + 1 for earlier, later in pairwise(bins) if later - earlier > usual)])
    ranked = sorted(by_key, key=lambda key: (-max(by_key[key].values()), key))[:KEYS_DRAWN]
    return {
        "t": [round((at + 0.5) * width, 6) for at in bins],
        "most": [max(cells[at]) if at in cells else None for at in bins],
        "mean": [round(sum(cells[at]) / len(cells[at]), 3) if at in cells else None for at in bins],
        "keys": {key: [by_key[key].get(at) for at in bins] for key in ranked},
    }
