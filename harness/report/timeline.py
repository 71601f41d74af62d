"""Which operations the page holds, and their values in brief.

1. It holds every operation of a run, and at most LIMIT of one that is larger. Those of witnesses are always among them,
   then their neighbours, those that failed or are unknown, the slowest of each slice of the run, and an even sample of
   the rest.
2. What was left out is said in words.
3. Values are cut to VALUE_LIMIT characters; a witness's to WITNESS_LIMIT.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from splitbrain.harness.report.columns import Booleans, Columns, Integers

LIMIT = 1_000_000
WITNESSES = 500
NEIGHBOURS = 100_000
UNSURE = 250_000
SLICES = 50_000
VALUE_LIMIT = 72
MICRO_OPERATIONS = 12
WITNESS_LIMIT = 600


def sample(table: Columns, witnesses: Sequence[int]) -> Integers:
    """Positions of the operations to draw, ascending. O(n log n).

    witnesses: positions of operations in witnesses, the most telling first.
    """
    if table.n <= LIMIT:
        return np.arange(table.n, dtype=np.int64)
    chosen = np.zeros(table.n, dtype=np.bool_)
    shown = list(witnesses)[:WITNESSES]
    chosen[shown] = True
    if shown:
        reach = max(NEIGHBOURS // len(shown) // 2, 1)
        for at in shown:
            chosen[max(0, at - reach) : at + reach + 1] = True
    unsure = np.flatnonzero(table.outcome != 0)
    chosen[_evenly(unsure, UNSURE)] = True
    chosen[_slowest(table)] = True
    rest = np.flatnonzero(~chosen)
    chosen[_evenly(rest, max(LIMIT - int(chosen.sum()), 0))] = True
    return np.flatnonzero(chosen)


def _evenly(positions: Integers, count: int) -> Integers:
    if len(positions) <= count:
        return positions
    return positions[np.linspace(0, len(positions) - 1, count).astype(np.int64)] if count else positions[:0]


def _slowest(table: Columns) -> Integers:
    """The slowest operation that began in each slice of the run."""
    slices = table.start * SLICES // (table.end_ns + 1)
    order = np.lexsort((table.end - table.start, slices))
    last: Booleans = np.append(slices[order][1:] != slices[order][:-1], True)
    return order[last]


def words(table: Columns, drawn: int) -> str:
    """What the timeline holds, in a sentence."""
    if drawn == table.n:
        return f"All {table.n:,} operations are here."
    return (
        f"{drawn:,} of {table.n:,} operations are here: all of the witnesses and their neighbours, "
        f"up to {UNSURE:,} that failed or are unknown, the slowest of each 1/{SLICES:,} of the run, "
        "and an even sample of the rest. Every count, rate and quantile on this page is of all of them."
    )


def brief(value: Any, limit: int = VALUE_LIMIT) -> str:
    """A value in at most about `limit` characters; a long list keeps both its ends and says how long it is."""
    match value:
        case None:
            return ""
        case str():
            return cut(value, limit)
        case {"write": write, "seen": list(seen)}:
            return f"{brief(write, limit)} having seen {brief(seen, limit)}" if seen else f"{write} having seen nothing"
        case {"write": write, **rest} if not rest:
            return brief(write, limit)
        case {"versions": list(versions), "home": home}:
            held = f"{len(versions)} version{'' if len(versions) == 1 else 's'}"
            where = "home" if home else "no home"
            return cut(f"{held} ({where}) {brief(versions, limit)}", limit)
        case [[str(), _, _], *_] if len(value) <= MICRO_OPERATIONS and all(_micro_operation(each) for each in value):
            return cut("; ".join(micro_operation(each[0], each[1], each[2], limit // 3) for each in value), limit)
        case list():
            return _list(value, limit)
        case _:
            return cut(msgspec.json.encode(value).decode(), limit)


def _micro_operation(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and value[0] in ("r", "w", "append")


def micro_operation(f: str, key: Any, value: Any, limit: int) -> str:
    """A micro-operation of a transaction as a person reads it.

    >>> micro_operation("append", "x3", 288, 24), micro_operation("r", "x1", [1, 2], 24)
    ('append 288 to x3', 'read x1 → [1 2]')
    """
    if f == "r":
        return f"read {key} → {brief(value, limit) or 'null'}"
    return f"{'write' if f == 'w' else f} {brief(value, limit)} to {key}"


def briefest(value: Any, limit: int) -> str:
    """A value in fewer characters: what a write had seen, and the versions that a replica held, are only counted,
    and of a list the last item is shown.
    """
    match value:
        case {"write": write, "seen": list(seen)}:
            return f"{brief(write, limit)} having seen {len(seen)}"
        case {"versions": list(versions), "home": home}:
            return f"{len(versions)} version{'' if len(versions) == 1 else 's'}{' (home)' if home else ''}"
        case list() if len(value) > limit // 4:
            return f"[… {brief(value[-1], limit // 2)}] ({len(value):,})"
        case _:
            return brief(value, limit)


def _list(items: list[Any], limit: int) -> str:
    # A set of 100,000 must not be walked to show 70 characters of it.
    if len(items) <= limit // 2:
        whole = "[" + " ".join(brief(item, limit) for item in items) + "]"
        if len(whole) <= limit:
            return whole
    few = max(limit // 24, 1)
    head = " ".join(brief(item, 12) for item in items[:few])
    tail = " ".join(brief(item, 12) for item in items[-few:])
    return f"[{head} … {tail}], {len(items):,} in all"


def cut(text: str, limit: int) -> str:
    """The text, or its first `limit` - 1 characters and an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
