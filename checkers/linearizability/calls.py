"""Calls: a history's operations as models see them, the parts of the object apart.

1. `ok` operations are calls, `info` ones and those that were never completed are calls whose result nobody knows.
2. `fail` operations did not happen: no calls, but for those that the model takes as observations.
3. A call that nobody knows and that reads only changes nothing, whether or not it happened: left out.
4. Polls of single replicas (`replica`, what a harness asks nodes behind the clients' back) are no calls.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from splitbrain.checkers.histories.columns import FAIL, FOREVER, OK
from splitbrain.checkers.histories.history import History, HistoryError
from splitbrain.checkers.histories.replica_polls import POLL
from splitbrain.checkers.linearizability.frozen_values import freeze
from splitbrain.checkers.linearizability.model import Call, Model, ModelError


def calls_of(history: History, model: Model) -> Mapping[Hashable, list[Call]]:
    """The calls of each part, in the order of their invocations; parts in that of their first. O(n).

    Raises HistoryError for an operation that the model doesn't know, or that it says has the wrong shape.
    """
    columns = history.columns
    operations = columns.operations
    values, fs, keys, errors = columns.value, columns.fs, columns.keys, columns.errors
    for code, asked in enumerate(fs):
        if model.fs is not None and asked not in model.fs and asked != POLL:
            used = (columns.f == code) & (columns.process >= 0)
            if used.any():
                exist = ", ".join(sorted(model.fs))
                raise HistoryError(int(used.argmax()) + 1, f"a {model.name} has no operation {asked!r}; it has {exist}")
    parts: dict[Hashable, list[Call]] = {}
    # What a model leaves as it is need not be asked a million times.
    shaped, divided = type(model).malformed is not Model.malformed, type(model).part is not Model.part
    invoked = operations.invoked
    for at, returned, outcome, f_code, key_code in zip(
        invoked.tolist(),
        operations.completed.tolist(),
        operations.outcome.tolist(),
        columns.f[invoked].tolist(),
        columns.key[invoked].tolist(),
        strict=True,
    ):
        f = fs[f_code]
        if f == POLL:
            continue
        failed = outcome == FAIL
        observed = failed and model.observes(f, errors[columns.error[returned]])
        known = bool(observed or outcome == OK)
        call = Call(
            f,
            freeze(values[at]),
            freeze(values[returned]) if known else None,
            known,
            observed,
            at,
            returned if known else FOREVER,
            keys[key_code],
        )
        try:
            problem = model.malformed(call) if shaped else None
            part = model.part(call) if divided else call.key
            hash(part)
        except Exception as failure:
            raise ModelError(f"the model {model.name!r} failed at event {at}, {f}: {failure}") from failure
        if problem is not None:
            raise HistoryError(at + 1, f"{f} by process {int(columns.process[at])}: {problem}")
        if not known and (failed or model.read_only(call)):
            continue
        if part in parts:
            parts[part].append(call)
        else:
            parts[part] = [call]
    return parts
