"""Calls: a history's operations as models see them, by part of the object.

1. An `ok` operation is a call. So is an `info` one, and one that was never completed, but its outcome is indeterminate.
2. A `fail` operation did not happen and is no call, unless the model takes the failure as an observation.
3. An indeterminate call that only reads is left out: it changes nothing, whether or not it happened.
4. An `ok` completion may fill in the argument of what the model calls `repeating` (`histories.told_arguments`).
5. Polls of single replicas (`replica`, with which a harness looks behind the clients' interface) are no calls.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from splitbrain.checkers.histories.columns import FAIL, FOREVER, OK
from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.replica_polls import POLL
from splitbrain.checkers.histories.told_arguments import filled_in
from splitbrain.checkers.linearizability.frozen_values import freeze
from splitbrain.checkers.linearizability.model import Call, Model, ModelError


def calls_of(history: History, model: Model) -> Mapping[Hashable, list[Call]]:
    """The calls of each part, in the order of their invocations. Parts come in the order of their first call. O(n).

    Raises HistoryError for an operation that the model doesn't have, or that it calls malformed, and as `filled_in`
    does; ModelError if the model fails.
    """
    columns = filled_in(history, model.repeating).columns
    operations = columns.operations
    values, fs, keys, errors = columns.value, columns.fs, columns.keys, columns.errors
    for code, asked in enumerate(fs):
        if model.fs is not None and asked not in model.fs and asked != POLL:
            used = (columns.f == code) & (columns.process >= 0)
            if used.any():
                exist = ", ".join(sorted(model.fs))
                raise HistoryError(int(used.argmax()) + 1, f"a {model.name} has no operation {asked!r}; it has {exist}")
    parts: dict[Hashable, list[Call]] = {}
    # A hook that the model doesn't override is not called for each of a million operations.
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
