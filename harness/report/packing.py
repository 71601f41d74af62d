"""The operations packed for the page: columns of integers in byte planes, and their texts, deflated.

1. A column holds what can't be told from the others. Times of start are differences. Who asked is told by the lane,
   since a lane holds one process at a time, and the node where a process changes it. Completions are told by the order
   that their times give them, and how many places they are off.
2. A column of n integers of 32 bits is four planes of n bytes, the lowest first: the higher bytes are nearly always the
   same and deflate to nothing.
3. What the page unpacks is what went in: no operation is left out here. Times are kept to a unit, which is a
   microsecond for up to MANY operations.
4. A value is cut, the more so the more operations there are; a witness's less.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from splitbrain.checkers.histories.history import History
from splitbrain.harness.report.columns import Columns, Integers
from splitbrain.harness.report.plain_text import shown_key, visible
from splitbrain.harness.report.timeline import WITNESS_LIMIT, brief, briefest, cut

ERROR_LIMIT = 160
ERRORS = 1_500
MANY = 50_000
SHORT_LIMIT = 20
"""Of more than MANY operations, values are cut to so many characters."""
UNITS_NS = ((MANY, 1_000), (150_000, 16_000), (1 << 62, 64_000))
"""Up to so many operations, times are kept to a unit of so many ns: a pixel of a larger run is longer anyway."""
COLUMNS = ("start", "took", "index", "late", "lane", "f", "key", "node", "error", "outcome")
LEVEL = 9
# 85 characters that neither JSON, nor HTML, nor a script needs to escape.
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%()*+,-./:;=?@[]^_{}"


def pack(history: History, table: Columns, drawn: Integers, telling: Iterable[int]) -> dict[str, Any]:
    """{"n": rows, "unit": us in a unit of time, "planes", "texts": base 85, "bytes": of each}. O(rows log rows).

    drawn: positions of the rows, ascending. telling: positions of the operations of witnesses.

    planes, in the order of COLUMNS: start (difference), took, index (difference), late: 0 if the operation was never
    completed, else 1 + twice the places that its completion comes after the one its time gives it, or twice the places
    before, less one; lane; f and key as codes; node as 0 if it is that of the process's last operation, else its code
    + 1; error as a code; outcome. texts: JSON of {"names": {"process": numbers, by the first row, "first": these rows,
    both as differences,
    "f", "key", "node", "error"}, "free": the events of no row, as differences, "values": [by f, one a row]}.
    """
    unit_ns = next(unit for most, unit in UNITS_NS if len(drawn) <= most)
    while table.end_ns // unit_ns >= 2**31:
        unit_ns *= 2
    start, took = table.start[drawn] // unit_ns, table.end[drawn] // unit_ns - table.start[drawn] // unit_ns
    index, done = table.index[drawn], table.done[drawn]
    numbers, first = np.unique(table.process[drawn], return_index=True)
    by_first = np.argsort(first)
    f, f_names = _used(table.f[drawn], table.f_names)
    key, key_names = _used(table.key[drawn], table.key_names)
    node, node_names = _used(table.node[drawn], table.node_names)
    values, error, error_names = _texts(history, drawn, set(telling))
    columns = {
        "start": np.diff(start, prepend=0),
        "took": took,
        "index": np.diff(index, prepend=0),
        "late": _late(start + took, done),
        "lane": table.lane[drawn],
        "f": f,
        "key": key,
        "node": _changes(node, table.process[drawn]),
        "error": error,
        "outcome": table.outcome[drawn],
    }
    names = {
        "process": np.diff(numbers[by_first], prepend=0).tolist(),
        "first": np.diff(first[by_first], prepend=0).tolist(),
        "f": [visible(name) for name in f_names],
        "key": [shown_key(name) for name in key_names],
        "node": [visible(name) for name in node_names],
        "error": error_names,
    }
    free = np.ones(len(history.events), dtype=np.bool_)
    free[done[done >= 0]] = False
    free[index] = False
    by_f = [values[row] for row in np.argsort(f, kind="stable")]
    texts = {"names": names, "free": np.diff(np.flatnonzero(free), prepend=0).tolist(), "values": by_f}
    planes = zlib.compress(b"".join(_planes(columns[name]) for name in COLUMNS), LEVEL)
    written = zlib.compress(
        json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"), LEVEL
    )
    return {
        "n": len(drawn),
        "unit": unit_ns / 1000,
        "bytes": [len(planes), len(written)],
        "planes": base85(planes),
        "texts": base85(written),
    }


def _late(end: Integers, done: Integers) -> Integers:
    """How far completions are off the order of their times, folded to be positive."""
    rows = np.flatnonzero(done >= 0)
    expected, actual = np.empty(len(rows), dtype=np.int64), np.empty(len(rows), dtype=np.int64)
    expected[np.argsort(end[rows], kind="stable")] = np.arange(len(rows))
    actual[np.argsort(done[rows])] = np.arange(len(rows))
    off = actual - expected
    late = np.zeros(len(done), dtype=np.int64)
    late[rows] = 1 + np.where(off >= 0, 2 * off, -2 * off - 1)
    return late


def _changes(node: Integers, process: Integers) -> Integers:
    """0 where a process stays with the node of its last operation, else the node's code + 1."""
    order = np.argsort(process, kind="stable")
    same = np.zeros(len(node), dtype=np.bool_)
    same[order[1:]] = (node[order[1:]] == node[order[:-1]]) & (process[order[1:]] == process[order[:-1]])
    return np.where(same, 0, node + 1)


def base85(data: bytes) -> str:
    """Five characters of ALPHABET for four bytes, the last four filled up with zeros. A quarter more than the bytes,
    where base 64 takes a third.
    """
    words = np.frombuffer(data + b"\0" * (-len(data) % 4), dtype=">u4").astype(np.int64)
    digits = np.stack([words // 85**place % 85 for place in (4, 3, 2, 1, 0)], axis=1)
    return np.frombuffer(ALPHABET.encode(), dtype=np.uint8)[digits.ravel()].tobytes().decode()


def _planes(column: Integers) -> bytes:
    """The bytes of 32-bit integers, all the lowest first. Differences of times never fall below zero."""
    return column.astype("<u4").view(np.uint8).reshape(-1, 4).T.tobytes()


def _texts(history: History, drawn: Integers, telling: set[int]) -> tuple[list[str], Integers, list[str]]:
    """The value of each row in brief, the code of its error, and the errors."""
    few = len(drawn) <= MANY
    errors: dict[str, int] = {}
    values: list[str] = []
    codes = np.zeros(len(drawn), dtype=np.int64)
    for row, at in enumerate(drawn.tolist()):
        operation = history.operations[at]
        if at in telling:
            text = brief(operation.value, WITNESS_LIMIT)
        else:
            text = brief(operation.value) if few else briefest(operation.value, SHORT_LIMIT)
        values.append(visible(text))
        text = visible(cut((operation.completion.error if operation.completion else None) or "", ERROR_LIMIT))
        # Texts that name a value or a time are all different: past a number of them their codes have to do.
        known = text if text in errors or len(errors) < ERRORS else text.partition(":")[0]
        codes[row] = errors.setdefault(known, len(errors))
    return values, codes, list(errors)


def _used(codes: Integers, names: tuple[str, ...]) -> tuple[Integers, list[str]]:
    """The codes renumbered so that only the names in use are kept."""
    kept, renumbered = np.unique(codes, return_inverse=True)
    return renumbered, [names[code] for code in kept]
