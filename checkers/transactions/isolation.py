"""Transactions: which anomalies a history has, and which consistency models they rule out.

1. `micro_operations` says what is refused. `list_append` and `rw_register` derive dependencies from versions.
   `dependencies` says which transactions count. `cycle_kinds` finds cycles. `consistency_models` says which model
   forbids which anomaly.
2. Invalid if an anomaly is there that the consistency model forbids. Anomalies that it allows are in the evidence too.
   `implied_types` are the anomalies that every history with these has as well; other tools may report those instead.
3. If nothing forbidden was found: unknown if no transaction succeeded, if none read, or if no two depend on each other,
   because then nothing was tested. Unknown too if only part of what the model forbids is searched for
   (`consistency_models`). Unknown too if time or memory ran out. The evidence then says how far the check came, and has
   the anomalies found by then.
4. A history of completions only (`History.real_time` is false) is judged without the order in real time and within
   processes, and the reason says so. If nothing was found, a model that promises such an order is unknown.
5. The versions of a list follow from its reads, without assumptions. The versions of a register follow only with what
   the promised model guarantees (`keys`). What is found that way speaks only against models with that guarantee.

An anomaly that is found is there: nothing that the ruled-out models allow explains the history. Valid means as much in
one case only. If a history of lists is valid as serializable or stronger, some order of the transactions explains it.
For weaker models, and for registers, it means that nothing forbidden follows from what was read. One reason: the order
of appends that nobody read is not known. Each such order may have a cycle that snapshot isolation forbids, without any
cycle being in all of them.

Kingsbury and Alvaro, Elle (VLDB 2020).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from splitbrain.checkers.budget import Budget, Megabytes, Seconds
from splitbrain.checkers.histories.columns import FAIL, INFO, OK
from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import count, listing
from splitbrain.checkers.real_time import NOT_RECORDED, recorded_line
from splitbrain.checkers.transactions import wording
from splitbrain.checkers.transactions.anomalies import CYCLES, MEANING, implied, worst_first
from splitbrain.checkers.transactions.consistency_models import canonical, forbids, ruled_out, searched_whole, weaker
from splitbrain.checkers.transactions.cycle_kinds import kinds
from splitbrain.checkers.transactions.dependencies import AnomalyFinding
from splitbrain.checkers.transactions.explain import explain
from splitbrain.checkers.transactions.graph import Graph
from splitbrain.checkers.transactions.lists import list_append
from splitbrain.checkers.transactions.micro_operations import Model, Transactions, parse
from splitbrain.checkers.transactions.registers import rw_register
from splitbrain.checkers.transactions.registers.keys import KEPT_FROM, Keys, kept_by, up_to
from splitbrain.checkers.transactions.shortest import shortest
from splitbrain.checkers.verdict import Verdict, Witness


class _OutOfBudget(Exception):
    """Time or memory ran out: why, and before which stage."""

    def __init__(self, why: str, stage: str) -> None:
        super().__init__(why)
        self.why, self.stage = why, stage


def check(
    history: History,
    *,
    model: Model | None = None,
    consistency: str = "strict-serializable",
    keys: Keys | None = None,
    timeout_s: Seconds | None = None,
    memory_mb: Megabytes | None = None,
) -> Verdict:
    """Judge the transactions of a history.

    model: list-append or rw-register; None to infer it from the operations.
    consistency: the model that was promised, by any of its names.
    keys: what may be assumed of registers; None for what the promised model guarantees, see `keys`.
    timeout_s, memory_mb: when to give up (`budget`). Raises ValueError for a consistency model that doesn't exist,
    HistoryError for what `micro_operations` refuses. O(m log m) in micro-operations and elements read; for cycles see
    `cycle_kinds`.
    """
    name = canonical(consistency)
    return _Check(history, name, model, keys or kept_by(name), Budget(timeout_s, memory_mb)).verdict()


class _Check:
    """least: for each anomaly of registers, the weakest model under which what it was found by holds."""

    def __init__(self, history: History, consistency: str, model: Model | None, keys: Keys, budget: Budget) -> None:
        self.history, self.model, self.keys, self.budget = history, model, keys, budget
        self.consistency, self.forbidden = consistency, forbids(consistency)
        self.held = 0
        self.evidence: dict[str, Any] = {"consistency": consistency}
        self.untimed = "" if history.real_time else f"; judged without real time: {NOT_RECORDED}"
        if self.untimed:
            self.evidence["real_time"] = False
        self.found: dict[str, AnomalyFinding] = {}
        self.components: dict[str, int] = {}
        self.least: dict[str, str] = {}

    def watch(self, stage: str) -> None:
        why = self.budget.spent(self.held)
        if why is not None:
            raise _OutOfBudget(why, stage)

    def verdict(self) -> Verdict:
        nothing: str | None = None
        stopped: _OutOfBudget | None = None
        try:
            transactions = parse(self.history, self.model)
        except HistoryError as problem:
            raise HistoryError(recorded_line(self.history, problem.line), problem.problem) from None
        try:
            nothing = self._search(transactions)
        except _OutOfBudget as reason:
            stopped = reason
        return self._conclude(transactions, nothing, stopped)

    def _search(self, transactions: Transactions) -> str | None:
        """Find the anomalies. Returns why there was nothing to judge, or None."""
        # Columns of micro-operations: about ten numbers each, including what sorting needs.
        self.held = 80 * len(transactions.txn)
        self.evidence |= _figures(transactions)
        self.watch("the order of versions")
        if transactions.model == "list-append":
            analysis = list_append.analyse(transactions)
        else:
            analysis = rw_register.analyse(transactions, self.keys)
            self.evidence["keys_are"] = self.keys
            self.least = dict.fromkeys(analysis.findings, KEPT_FROM["own"])
            self._least_of(analysis.findings)
        self.found |= analysis.findings
        committed = analysis.committed
        self.evidence["transactions"]["crashed_and_seen"] = int((committed & (transactions.outcome == INFO)).sum())
        self.evidence["dependencies"] = {
            "ww": len(analysis.ww),
            "wr": len(analysis.wr),
            "rw": len(analysis.rw),
        }
        if not (transactions.outcome == OK).any():
            return "no transaction succeeded"
        if not transactions.known.any():
            return "no transaction that succeeded read anything"
        self.held += 150 * (len(analysis.ww) + len(analysis.wr) + len(analysis.rw) + len(transactions))
        self.watch("cycles")
        graph = Graph.of(transactions, analysis).cyclic()
        self.evidence["transactions"]["on_cycles"] = len(graph)
        for kind in kinds(graph, self.watch):
            examples = [explain(kind.name, each, graph, analysis, transactions) for each in shortest(graph, kind)]
            self.found[kind.name] = AnomalyFinding(len(kind.charged), "dependencies", examples)
            self.components[kind.name] = kind.components
        if transactions.model == "rw-register":
            self._least_of(self.components)
            self._take_less(transactions)
        if not any(self.evidence["dependencies"].values()):
            return "no two transactions depend on each other"
        return None

    def _least_of(self, found: Iterable[str], keys: Keys | None = None) -> None:
        """Record which of the anomalies depend on what is assumed of keys."""
        depend = (name for name in found if name == "cyclic-versions" or name.startswith(CYCLES))
        self.least |= dict.fromkeys(depend, KEPT_FROM[keys or self.keys])

    def _take_less(self, transactions: Transactions) -> None:
        """Find which anomalies remain if less is assumed of keys. These speak against more models."""
        more, *rules = reversed(up_to(self.keys))
        for rule in rules:
            if KEPT_FROM[more] not in self.least.values():
                break
            analysis = rw_register.analyse(transactions, rule)
            self._least_of(analysis.findings, rule)
            self._least_of([kind.name for kind in kinds(Graph.of(transactions, analysis).cyclic(), self.watch)], rule)
            more = rule

    def _conclude(self, transactions: Transactions, nothing: str | None, stopped: _OutOfBudget | None) -> Verdict:
        names = worst_first(self.found)
        against = [name for name in names if name in self.forbidden]
        out = ruled_out([*names, *self.least], self.least)
        evidence = {
            **self.evidence,
            "anomaly_types": names,
            "implied_types": worst_first(implied(names) - set(names)),
            "forbidden": against,
            "not": list(out.weakest),
            "also_not": list(out.stronger),
            "anomalies": {name: self._described(name) for name in names},
        }
        came = ""
        if stopped is not None:
            evidence["stopped"] = stopped.why
            evidence["stopped_before"] = stopped.stage
            came = f"; {stopped.why} before {stopped.stage}, so there may be more"
        if against:
            worst = self.found[against[0]]
            kinds_of = listing([f"{name} ({self.found[name].count:,})" for name in against])
            example = worst.examples[0]
            data = {"anomaly": against[0], **example.data}
            witness = Witness(example.text, wording.events(transactions, example.operations), data)
            vouched = self.least and KEPT_FROM[self.keys] not in weaker(self.consistency)
            given = f", given {self.keys} keys" if vouched else ""
            reason = f"not {self.consistency}: {kinds_of}{given}{came}{self.untimed}"
            return Verdict.invalid(reason, witness, **evidence)
        if stopped is not None:
            return Verdict.unknown(f"{stopped.why} before {stopped.stage}", **evidence)
        if nothing is not None:
            return Verdict.unknown(nothing, **evidence)
        if not self.forbidden:
            why = f"{self.consistency} forbids nothing that transactions are searched for here"
            return Verdict.unknown(why, **evidence)
        there = f"; {listing(names)} {'is' if len(names) == 1 else 'are'} there" if names else ""
        if not searched_whole(self.consistency):
            why = f"nothing against {self.consistency}, but only part of what it forbids is searched for{there}"
            return Verdict.unknown(why, **evidence)
        if self.untimed and any(name.endswith(("-process", "-realtime")) for name in self.forbidden):
            why = f"nothing against {self.consistency} but for the order in time that it promises: {NOT_RECORDED}; "
            return Verdict.unknown(f"{why}record the invocations too, or ask for serializable{there}", **evidence)
        depending = count(sum(self.evidence["dependencies"].values()), "dependency", "dependencies")
        succeeded = count(self.evidence["transactions"]["ok"], "transaction")
        reason = f"nothing against {self.consistency} in {succeeded} with {depending} between them"
        reason += f"{there}, which it allows" if names else ""
        return Verdict.valid(reason + self.untimed, **evidence)

    def _described(self, name: str) -> dict[str, Any]:
        finding = self.found[name]
        described: dict[str, Any] = {
            "meaning": MEANING[name],
            "forbidden": name in self.forbidden,
            "count": finding.count,
            "counted": finding.of,
            "examples": [{"text": example.text, **example.data} for example in finding.examples],
        }
        return described | ({"components": self.components[name]} if name in self.components else {})


def _figures(transactions: Transactions) -> dict[str, Any]:
    outcome = transactions.outcome
    return {
        "model": transactions.model,
        "transactions": {
            "ok": int((outcome == OK).sum()),
            "failed": int((outcome == FAIL).sum()),
            "crashed": int((outcome == INFO).sum()),
        },
        "micro_operations": len(transactions.txn),
        "keys": len(transactions.keys),
    }
