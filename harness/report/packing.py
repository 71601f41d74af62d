"""The operations packed for the page: columns of integers in byte planes, and their texts, both deflated.

1. Columns that grow are kept as differences. A column of n integers of 32 bits is four planes of n bytes, the lowest
   first, since the higher bytes are nearly always the same and deflate to nothing.
2. What the page unpacks is what went in: no operation is left out here, and no figure rounded but times, to the unit.
3. A value is cut, the more so the more operations there are; a witness's less.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from splitbrain.checkers.histories.history import History
from splitbrain.harness.report.columns import Columns, Integers
from splitbrain.harness.report.plain_text import shown_key, visible
from splitbrain.harness.report.timeline import VALUE_LIMIT, WITNESS_LIMIT, brief, cut

ERROR_LIMIT = 160
ERRORS = 1_500
SHORTER = 20_000
"""From so many operations on, a value is cut to SHORT_LIMIT characters."""
SHORT_LIMIT = 32
COLUMNS = ("start", "took", "index", "done", "process", "f", "key", "node", "error", "outcome")
LEVEL = 9


def pack(history: History, table: Columns, drawn: Integers, telling: Iterable[int]) -> dict[str, Any]:
    """{"n": rows, "unit": us in a unit of time, "planes": base64, "texts": base64}. O(rows).

    drawn: positions of the rows, ascending. telling: positions of the operations of witnesses.

    planes, in the order of COLUMNS: start (difference), took, index (difference), done less index, or 0 if there was
    none, codes of process, f, key, node and error, outcome. texts: JSON of {"names": {"process": numbers, "lane": the
    lane of each process, "f", "key", "node", "error"}, "values": [one a row]}.
    """
    unit_ns = 1000
    while table.end_ns // unit_ns >= 2**31:
        unit_ns *= 2
    start, index, done = table.start[drawn] // unit_ns, table.index[drawn], table.done[drawn]
    process, first, process_code = np.unique(table.process[drawn], return_index=True, return_inverse=True)
    f, f_names = _used(table.f[drawn], table.f_names)
    key, key_names = _used(table.key[drawn], table.key_names)
    node, node_names = _used(table.node[drawn], table.node_names)
    values, error, error_names = _texts(history, drawn, set(telling))
    columns = {
        "start": np.diff(start, prepend=0),
        "took": table.end[drawn] // unit_ns - start,
        "index": np.diff(index, prepend=0),
        "done": np.where(done < 0, 0, done - index),
        "process": process_code,
        "f": f,
        "key": key,
        "node": node,
        "error": error,
        "outcome": table.outcome[drawn],
    }
    planes = b"".join(_planes(columns[name]) for name in COLUMNS)
    names = {
        "process": process.tolist(),
        "lane": table.lane[drawn][first].tolist(),
        "f": [visible(name) for name in f_names],
        "key": [shown_key(name) for name in key_names],
        "node": [visible(name) for name in node_names],
        "error": error_names,
    }
    texts = json.dumps({"names": names, "values": values}, ensure_ascii=False, separators=(",", ":"))
    return {
        "n": len(drawn),
        "unit": unit_ns / 1000,
        "planes": _deflated(planes),
        "texts": _deflated(texts.encode("utf-8", "replace")),
    }


def _planes(column: Integers) -> bytes:
    """The bytes of 32-bit integers, all the lowest first. Differences of times never fall below zero."""
    return column.astype("<u4").view(np.uint8).reshape(-1, 4).T.tobytes()


def _deflated(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, LEVEL)).decode()


def _texts(history: History, drawn: Integers, telling: set[int]) -> tuple[list[str], Integers, list[str]]:
    """The value of each row in brief, the code of its error, and the errors."""
    limit = VALUE_LIMIT if len(drawn) < SHORTER else SHORT_LIMIT
    errors: dict[str, int] = {}
    values: list[str] = []
    codes = np.zeros(len(drawn), dtype=np.int64)
    for row, at in enumerate(drawn.tolist()):
        operation = history.operations[at]
        values.append(visible(brief(operation.value, WITNESS_LIMIT if at in telling else limit)))
        text = visible(cut((operation.completion.error if operation.completion else None) or "", ERROR_LIMIT))
        # Texts that name a value or a time are all different: past a number of them their codes have to do.
        known = text if text in errors or len(errors) < ERRORS else text.partition(":")[0]
        codes[row] = errors.setdefault(known, len(errors))
    return values, codes, list(errors)


def _used(codes: Integers, names: tuple[str, ...]) -> tuple[Integers, list[str]]:
    """The codes renumbered so that only the names in use are kept."""
    kept, renumbered = np.unique(codes, return_inverse=True)
    return renumbered, [names[code] for code in kept]
