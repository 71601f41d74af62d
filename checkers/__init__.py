"""Checkers: histories in, verdicts out. No I/O and no harness, so that any recorded history can be checked.

    history = read(open("history.jsonl", "rb"))
    verdict = check("lost-writes", history)
    verdict = check_all(history, ["lost-writes", "stats"])
    verdict = check_all(history, {"lost-writes": {}, "latency": {"sla_ms": 300}})

`names()` and `catalogue()` list the checkers. Each opens with the rules it judges by. Begin with `verdict` and
`registry`, then the room of a checker:

- `histories`: reading histories. `versions`: which version a read returned, and which are newer. `algorithms`: shared.
- `eventual`: lost writes, siblings, convergence, staleness. `sessions`, `causal`: consistency for one client and
  between clients. `linearizability`, `transactions`: strong consistency, of objects and of transactions.
- `invariants`: counters, queues, banks and the like. `service`: availability, latency, errors, evidence.
- `compose`: several checkers, one verdict. `budget`: when to give up.
"""

from splitbrain.checkers.compose import check_all
from splitbrain.checkers.histories.event import Event, HistoryError, encode
from splitbrain.checkers.histories.formats import read
from splitbrain.checkers.histories.history import History, Operation
from splitbrain.checkers.histories.jepsen import edn_lines
from splitbrain.checkers.registry import catalogue, check, names
from splitbrain.checkers.verdict import Outcome, Verdict, Witness

__all__ = [
    "Event",
    "History",
    "HistoryError",
    "Operation",
    "Outcome",
    "Verdict",
    "Witness",
    "catalogue",
    "check",
    "check_all",
    "edn_lines",
    "encode",
    "names",
    "read",
]
