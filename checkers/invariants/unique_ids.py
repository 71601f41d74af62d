"""Unique ids: no id is given out twice.

Operations: `generate`, whose `ok` value is the id. Keys are judged separately: each is a generator of its own.

1. An id is anything but null. Two are the same as `values` says: 1 and "1" are two ids, and so are 1 and true.
2. Duplicated: given out by more than one `ok` generate of its key. What a failed or crashed generate may have returned
   was given to no client, so it counts for nothing.
3. Invalid if an id is duplicated. Unknown if no key gave out two, for one alone is always distinct. Otherwise valid.
4. An `ok` generate without an id is refused. Operations of other names are irrelevant to ids, and are passed over.

Source: jepsen.checker/unique-ids (Jepsen 0.3).
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from splitbrain.checkers.histories.final_reads import Key
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, count, key_name, listing, literal
from splitbrain.checkers.histories.values import identity, refusal
from splitbrain.checkers.verdict import Verdict, Witness

_LISTED = 100
_SHOWN = 20


def check(history: History) -> Verdict:
    """Look for ids that were given out twice.

    Evidence: `attempted`, `acknowledged` generates; `keys`; `duplicated`, how many ids came more than once; `surplus`,
    how many generates too many that makes; `duplicates`, the 100 that came most often [{key, id, times}]; `range`
    [least, greatest] where all ids are integers or all are strings, else None.
    Raises HistoryError by rule 4. O(n), and O(size) for ids that are neither integers nor strings.
    """
    attempted, given = _gather(history)
    twice = [some for ids in given.values() for some in ids.values() if len(some) > 1]
    acknowledged = sum(len(some) for ids in given.values() for some in ids.values())
    surplus = sum(len(some) - 1 for some in twice)
    evidence: dict[str, Any] = {
        "attempted": attempted,
        "acknowledged": acknowledged,
        "keys": len(given),
        "duplicated": len(twice),
        "surplus": surplus,
        "duplicates": [_as_data(some) for some in sorted(twice, key=len, reverse=True)[:_LISTED]],
        "range": _range([id_ for ids in given.values() for id_ in ids]),
    }
    if twice:
        reason = f"{count(len(twice), 'id')} given out more than once, {surplus:,} of {acknowledged:,} too many"
        first = min(twice, key=lambda some: _completed(some[1]))
        return Verdict.invalid(reason, _witness(first), **evidence)
    if not acknowledged:
        return Verdict.unknown("no generate was ok, so no id was given out", **evidence)
    if acknowledged == len(given):
        return Verdict.unknown("no generator gave out more than one id, so none could come twice", **evidence)
    return Verdict.valid(f"{count(acknowledged, 'id')}, all distinct", **evidence)


def _gather(history: History) -> tuple[int, dict[Key, dict[Hashable, list[Operation]]]]:
    """How many generates there are, and by key and id the ok ones that gave it out. Raises HistoryError by rule 4."""
    attempted = 0
    given: dict[Key, dict[Hashable, list[Operation]]] = {}
    for operation in history.operations:
        if operation.f != "generate":
            continue
        attempted += 1
        if operation.outcome == "ok" and operation.completion is not None:
            if operation.completion.value is None:
                raise refusal(operation.completion, "an ok generate needs an id")
            times = given.setdefault(operation.key, {}).setdefault(identity(operation.completion.value), [])
            times.append(operation)
    return attempted, given


def _completed(operation: Operation) -> int:
    assert operation.completion is not None
    return operation.completion.index


def _range(ids: list[Any]) -> list[int | str] | None:
    kinds = {type(id_) for id_ in ids}
    return [min(ids), max(ids)] if kinds in ({int}, {str}) else None


def _as_data(some: list[Operation]) -> dict[str, Any]:
    assert some[0].completion is not None
    return {"key": some[0].key, "id": some[0].completion.value, "times": len(some)}


def _witness(some: list[Operation]) -> Witness:
    receivers = [f"process {o.process} at {at(o.completion)}" for o in some if o.completion is not None]
    key = "" if some[0].key is None else f" for {key_name(some[0].key)}"
    assert some[0].completion is not None
    text = f"the id {literal(some[0].completion.value)} was given out {len(some):,} times{key}: to {listing(receivers)}"
    events = {event.index for o in some[:_SHOWN] for event in (o.invocation, o.completion) if event}
    return Witness(text, tuple(sorted(events)), {"kind": "duplicated", **_as_data(some)})
