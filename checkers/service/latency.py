"""Latency: how long clients waited for what they got.

1. A latency is the time from the moment when an operation was due to its `ok` completion. It was due when it was
   invoked, or earlier if its invocation says so: it then waited for a free client, and a stall must not hide itself
   (coordinated omission). What failed or was never answered has none: `availability` judges that.
2. Percentiles are by nearest rank (`quantiles`): for each `f`, for all client operations together, and for those that a
   fault struck (`faults`) and those that none struck. Replica polls have a figure of their own and are in no other.
3. With `sla_ms`, the `percentile`-th of all client operations must not be above it, else invalid. Unknown if there is
   no ok operation. Otherwise valid: without a bound this describes.

Source: Dynamo (SOSP 2007), section 2.2: an SLA is 300 ms at the 99.9th percentile, because a mean describes no client.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from splitbrain.checkers.algorithms.quantiles import percentile as nearest_rank
from splitbrain.checkers.algorithms.quantiles import quantiles_ms
from splitbrain.checkers.histories.faults import Span, faults
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.prose import at, count, key_name, milliseconds
from splitbrain.checkers.histories.replica_polls import POLL
from splitbrain.checkers.real_time import needs_real_time
from splitbrain.checkers.verdict import Verdict, Witness


@needs_real_time
def check(
    history: History,
    *,
    sla_ms: Annotated[float, Meta(gt=0)] | None = None,
    percentile: Annotated[float, Meta(gt=0, le=100)] = 99.9,
) -> Verdict:
    """Describe latencies, and judge them where there is a bound.

    sla_ms: the most the percentile may be; None judges nothing. percentile: of all ok client operations, in
    percent.
    Evidence, all quantiles in ms: `overall`, `by_f`, `under_fault`, `without_fault`; `operations`;
    `over_sla`, how many took longer, where there is a bound. O(n log n).
    """
    served = [operation for operation in history.operations if operation.outcome == "ok"]
    took = took_ns(served)
    names = np.array([operation.f for operation in served], dtype=object)
    asked = names != POLL if served else np.zeros(0, dtype=np.bool_)
    if not asked.any():
        return Verdict.unknown("no client operation was ok, so none has a latency")
    struck = Span.of(served).struck_by_any(faults(history))
    evidence: dict[str, Any] = {
        "operations": int(asked.sum()),
        "overall": quantiles_ms(took[asked]),
        "by_f": {f: quantiles_ms(took[names == f]) for f in sorted(set(names))},
        "under_fault": quantiles_ms(took[asked & struck]),
        "without_fault": quantiles_ms(took[asked & ~struck]),
    }
    reached = milliseconds(nearest_rank(np.sort(took[asked]), percentile))
    summary = f"{percentile:g}% of {count(int(asked.sum()), 'ok operation')} took at most {reached:,} ms"
    if sla_ms is None:
        return Verdict.valid(summary, **evidence)
    evidence["over_sla"] = int((took[asked] > sla_ms * 1e6).sum())
    if reached <= sla_ms:
        return Verdict.valid(f"{summary}, within the {sla_ms:,g} ms agreed", **evidence)
    slowest = served[int(np.argmax(np.where(asked, took, -1)))]
    assert slowest.completion is not None
    text = (
        f"{evidence['over_sla']:,} of {count(int(asked.sum()), 'ok operation')} took longer than {sla_ms:,g} ms; "
        f"the slowest, {slowest.f} of {key_name(slowest.key)} by process {slowest.process}, was invoked at "
        f"{at(slowest.invocation)} and took {milliseconds(int(took[asked].max())):,} ms"
    )
    events = (slowest.invocation.index, slowest.completion.index)
    data = {"kind": "sla", "percentile": percentile, "reached_ms": reached, "sla_ms": sla_ms}
    return Verdict.invalid(f"{summary}, more than the {sla_ms:,g} ms agreed", Witness(text, events, data), **evidence)


def took_ns(operations: Sequence[Operation]) -> npt.NDArray[np.int64]:
    """How long each of some completed operations took (rule 1)."""
    return np.array([o.completion.time - o.invocation.intended_time for o in operations if o.completion], np.int64)
