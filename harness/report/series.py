"""Series over time: counted from every operation, and small enough to draw.

1. Rates, availability and quantiles count all of the clients' operations, without the harness's own replica polls.
2. A bin without a completion has no availability and no quantile: it is a gap, never zero or a hundred per cent.
3. Divergence counts home replicas that answered within one round. A round with fewer than two of them says nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.replica_polls import polls
from splitbrain.harness.report.columns import OUTCOMES, Columns

BINS = 240
QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
KEYS_DRAWN = 40
ROUNDS_DRAWN = 400
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
    """
    width = bin_seconds(table.end_ns / 1e9)
    count = int(table.end_ns / 1e9 / width) + 1
    load = ~table.observing
    bins = np.minimum((table.end / 1e9 / width).astype(np.int64), count - 1)
    finished = load & (table.done >= 0)
    tally = np.zeros((len(OUTCOMES), count), dtype=np.int64)
    np.add.at(tally, (table.outcome[finished], bins[finished]), 1)
    done = tally.sum(axis=0)
    share = np.where(done > 0, tally[0] / np.maximum(done, 1), np.nan)
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
    """{"t": s, "most": by bin, "mean": by bin, "keys": {key: most by bin}}, bins without a sighting left out. O(n)."""
    width = bin_seconds(duration_s)
    cells: dict[int, list[int]] = defaultdict(list)
    by_key: dict[str, dict[int, int]] = defaultdict(dict)
    for sighting in found:
        at = int(sighting.at_ns / 1e9 / width)
        cells[at].append(sighting.count)
        by_key[sighting.key][at] = max(sighting.count, by_key[sighting.key].get(at, 0))
    bins = sorted(cells)
    ranked = sorted(by_key, key=lambda key: (-max(by_key[key].values()), key))[:KEYS_DRAWN]
    return {
        "t": [round((at + 0.5) * width, 6) for at in bins],
        "most": [max(cells[at]) for at in bins],
        "mean": [round(sum(cells[at]) / len(cells[at]), 3) for at in bins],
        "keys": {key: [by_key[key].get(at) for at in bins] for key in ranked},
    }


@dataclass
class Round:
    """One look at a key on all its replicas. lists: node -> its versions, home replicas only."""

    at_ns: int
    lists: dict[str, tuple[str | int, ...]]

    @property
    def distinct(self) -> int:
        return len(set(self.lists.values()))


def rounds(history: History) -> dict[str, list[Round]]:
    """Poll rounds by key: a node that answers a second time opens the next round. O(n log n)."""
    try:
        found = polls(history)
    except HistoryError:
        # A checker says what is wrong with it; the report goes on without.
        return {}
    by_key: dict[str, list[Round]] = defaultdict(list)
    for poll in found:
        done = poll.operation.completion
        if poll.versions is None or done is None:
            continue
        of_key = by_key[str(done.key)]
        if not of_key or poll.node in of_key[-1].lists:
            of_key.append(Round(done.time, {}))
        of_key[-1].lists[poll.node] = poll.versions
        of_key[-1].at_ns = done.time
    return {key: [look for look in looks if len(look.lists) > 1] for key, looks in by_key.items()}


def divergence(by_key: dict[str, list[Round]]) -> dict[str, Any]:
    """{"keys": [...], "rounds": [[[t in s, distinct, answered], ...] a key], "left_out": keys not drawn}.

    The keys that differ last, then longest, come first. Long runs of rounds keep each first, last and change.
    """
    looks = {key: found for key, found in by_key.items() if found}

    def trouble(key: str) -> tuple[int, int, str]:
        return (-looks[key][-1].distinct, -sum(look.distinct > 1 for look in looks[key]), key)

    ranked = sorted(looks, key=trouble)
    drawn = ranked[:KEYS_DRAWN]
    return {
        "keys": drawn,
        "rounds": [
            [[round(look.at_ns / 1e9, 4), look.distinct, len(look.lists)] for look in _changes(looks[key])]
            for key in drawn
        ],
        "left_out": len(ranked) - len(drawn),
    }


def _changes(looks: list[Round]) -> list[Round]:
    if len(looks) <= ROUNDS_DRAWN:
        return looks
    kept = [
        look for at, look in enumerate(looks) if at in (0, len(looks) - 1) or look.distinct != looks[at - 1].distinct
    ]
    # One that flaps at every look still has to end: its last changes tell whether it settled.
    return [kept[0], *kept[1:][-(ROUNDS_DRAWN - 1) :]]
