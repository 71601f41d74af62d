"""Checkers: histories in, verdicts out. No I/O, no harness, of use to anyone with a recorded history.

    history = read(open("history.jsonl", "rb"))
    verdict = check("lost-writes", history)
    verdict = check_all(history, {"lost-writes": {}, "latency": {"sla_ms": 300}, "evidence": {"faults":
    ["partition"]}})

`names()` and `catalogue()` say which there are. Each checker is a module that opens with the rules it judges
by.
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
