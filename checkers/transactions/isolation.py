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

6. For serializability, snapshot isolation and prefix consistency, and for the strong forms of these, nothing forbidden
   is not enough: some order of the versions must explain all of it (`version_search`). So `valid` means that one does,
   and `invalid` that none does. The order of versions that no read shows is searched for. Where the budget ends before
   it is found, the verdict is unknown.
7. Read committed, monotonic atomic view, read atomic and causal consistency, with sessions or without, are decided by
   what each transaction saw (`visibility`), if one of these was promised and nothing else forbids it.

An anomaly that is found is there: nothing that the ruled-out models allow explains the history. For other models valid
means less: nothing forbidden follows from what was read.

Kingsbury and Alvaro, Elle (VLDB 2020).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from splitbrain.checkers.budget import Budget, Megabytes, Seconds
from splitbrain.checkers.histories.columns import FAIL, INFO, OK
from splitbrain.checkers.histories.event import HistoryError
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.prose import count, listing
from splitbrain.checkers.real_time import NOT_RECORDED, recorded_line
from splitbrain.checkers.transactions import wording
from splitbrain.checkers.transactions.anomalies import CYCLES, LEVELS, MEANING, implied, worst_first
from splitbrain.checkers.transactions.consistency_models import (
    ORDERED,
    PREFIXES,
    canonical,
    forbids,
    ruled_out,
    searched_whole,
    stronger_than,
    weaker,
    with_sessions,
)
from splitbrain.checkers.transactions.cycle_kinds import kinds
from splitbrain.checkers.transactions.dependencies import Analysis, AnomalyFinding, Example, Unordered
from splitbrain.checkers.transactions.explain import explain
from splitbrain.checkers.transactions.graph import Graph
from splitbrain.checkers.transactions.lists import list_append
from splitbrain.checkers.transactions.micro_operations import Model, Transactions, parse
from splitbrain.checkers.transactions.polygraph import Polygraph
from splitbrain.checkers.transactions.registers import rw_register
from splitbrain.checkers.transactions.registers.keys import KEPT_FROM, Keys, kept_by, up_to
from splitbrain.checkers.transactions.shortest import shortest
from splitbrain.checkers.transactions.version_search import disputed, some_order, without_order
from splitbrain.checkers.transactions.visibility.commit_order import CommitOrder
from splitbrain.checkers.transactions.visibility.cursors import of_updates
from splitbrain.checkers.transactions.visibility.prefix_cycles import cycle_of
from splitbrain.checkers.transactions.visibility.promises import PROMISES
from splitbrain.checkers.transactions.visibility.violations import broken, own_unseen
from splitbrain.checkers.verdict import Verdict, Witness

_TRANSACTIONS_MAX = 200_000  # As tuples in Python, the edges of more take too long.
_BITS_BYTES_MAX = 1_500_000_000
_ROUNDS = 20  # So often a solver is asked for an order that keeps to real time, where none was promised.


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
    session_order: bool | None = None,
    timeout_s: Seconds | None = None,
    memory_mb: Megabytes | None = None,
) -> Verdict:
    """Judge the transactions of a history.

    model: list-append or rw-register; None to infer it from the operations.
    consistency: the model that was promised, by any of its names.
    keys: what may be assumed of registers; None for what the promised model guarantees, see `keys`.
    session_order: whether the order of one process's transactions is part of what was promised; None for what the
    model's name says. It turns `read-atomic` into `strong-session-read-atomic`, `causal` into `causal-cerone`, or back.
    timeout_s, memory_mb: when to give up (`budget`). Raises ValueError for a consistency model that doesn't exist,
    HistoryError for what `micro_operations` refuses. O(m log m) in micro-operations and elements read; for cycles see
    `cycle_kinds`.
    """
    name = canonical(consistency) if session_order is None else with_sessions(consistency, session_order)
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
        self.ordered: bool | None = None
        self.disputed: Unordered | None = None
        self.cycle: Example | None = None

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
        whole = Graph.of(transactions, analysis)
        graph = whole.cyclic()
        self.evidence["transactions"]["on_cycles"] = len(graph)
        for kind in kinds(graph, self.watch):
            examples = [explain(kind.name, each, graph, analysis, transactions) for each in shortest(graph, kind)]
            self.found[kind.name] = AnomalyFinding(len(kind.charged), "dependencies", examples)
            self.components[kind.name] = kind.components
        if transactions.model == "rw-register":
            self._least_of(self.components)
            self._take_less(transactions)
        if self.consistency in PROMISES and not self.forbidden.intersection(self.found):
            self._look_at_what_was_seen(transactions, analysis)
        if not any(self.evidence["dependencies"].values()):
            return "no two transactions depend on each other"
        if self.forbidden.intersection(self.found):
            return None
        if self.consistency in ORDERED:
            self._look_for_an_order(transactions, analysis, whole, *ORDERED[self.consistency])
        if self.consistency == "cursor-stability":
            self._look_at_cursors(transactions, of_updates(transactions, analysis))
        if self.consistency in PREFIXES:
            level = PREFIXES[self.consistency]
            self._look_for_an_order(transactions, analysis, whole, True, level, overlapping=True)
        return None

    def _look_at_cursors(self, transactions: Transactions, updates: Analysis) -> None:
        """Whether nobody wrote between another's read of a key and its write (`cursors`)."""
        if len(updates.reads.own_unseen):
            self.found["own-write-unseen"] = own_unseen(transactions, updates)
            return
        whole = Graph.of(transactions, updates)
        graph = whole.cyclic()
        for kind in kinds(graph, self.watch):
            if not kind.level:
                examples = [explain("G-cursor", each, graph, updates, transactions) for each in shortest(graph, kind)]
                self.found["G-cursor"] = AnomalyFinding(len(kind.charged), "dependencies", examples)
                self.components["G-cursor"] = kind.components
                self._given_keys(transactions, "G-cursor")
                return
        self._look_for_an_order(transactions, updates, whole, False, "")

    def _look_at_what_was_seen(self, transactions: Transactions, analysis: Analysis) -> None:
        """Whether the transactions have an order in which each read the newest of what it saw (rule 7)."""
        promise, held = PROMISES[self.consistency], self.held
        if promise.sessions and self.untimed:
            return

        def watch(stage: str, more: int) -> None:
            self.held = held + more
            if more > _BITS_BYTES_MAX:
                raise _OutOfBudget(f"what was seen takes more than {_BITS_BYTES_MAX / 1e6:,.0f} MB", stage)
            self.watch(stage)

        found = broken(CommitOrder(transactions, analysis), promise, watch)
        if found is not None:
            self.found[found[0]] = found[1]
            self._given_keys(transactions, found[0])

    def _given_keys(self, transactions: Transactions, name: str) -> None:
        """Note that an anomaly was found with what is assumed of registers."""
        if transactions.model == "rw-register":
            self.least[name] = KEPT_FROM[self.keys]

    def _look_for_an_order(
        self,
        transactions: Transactions,
        analysis: Analysis,
        graph: Graph,
        snapshots: bool,
        level: str,
        *,
        overlapping: bool = False,
    ) -> None:
        """Whether some order of the versions explains all of it (rule 6). snapshots, level, overlapping: as `Polygraph`
        has it.
        """
        if level and self.untimed:
            return
        # Where no key has two versions that no read puts in order, there is an order unless there is a cycle.
        alone = len(np.unique(analysis.unordered.key)) == len(analysis.unordered.key)
        known = transactions.model == "list-append" and (alone or not snapshots or overlapping)
        if known and not overlapping:
            self.evidence["versions_have_an_order"] = self.ordered = True
            return
        open_ = analysis.unordered.none() if known else analysis.unordered
        stage = "an order of the versions"
        if len(graph) > _TRANSACTIONS_MAX:
            raise _OutOfBudget(f"there are more than {_TRANSACTIONS_MAX:,} transactions", stage)
        self.watch(stage)
        held = self.held

        def explained(unordered: Unordered, level: str = level, rounds: int | None = None) -> bool:
            polygraph = Polygraph.of(graph, unordered, snapshots=snapshots, level=level, overlapping=overlapping)
            self.held = held + polygraph.bits_bytes
            if polygraph.bits_bytes > _BITS_BYTES_MAX:
                raise _OutOfBudget(f"what leads where takes more than {_BITS_BYTES_MAX / 1e6:,.0f} MB", stage)
            self.watch(stage)
            return bool(some_order(polygraph, self.watch, rounds=rounds))

        # Most stores keep to real time, promised or not. With it far fewer choices are left.
        kept = level != LEVELS[-1] and not self.untimed and explained(open_, LEVELS[-1], _ROUNDS)
        self.ordered = kept or explained(open_)
        self.evidence["versions_have_an_order"] = self.ordered
        if not self.ordered:
            self.disputed = open_
            if overlapping:
                alone_ = Polygraph.of(graph, open_.none(), snapshots=True, level=level, overlapping=True)
                self.cycle = cycle_of(transactions, graph, alone_)
            if self.cycle is None:
                self.disputed = disputed(open_, explained)

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
        if self.ordered is False:
            return self._without_order(transactions, evidence)
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

    def _without_order(self, transactions: Transactions, evidence: dict[str, Any]) -> Verdict:
        """The verdict if every order of the versions has a cycle that the model forbids."""
        assert self.disputed is not None
        vouched = transactions.model == "rw-register" and KEPT_FROM[self.keys] not in weaker(self.consistency)
        stronger = [name for name in stronger_than(self.consistency) if name != self.consistency]
        evidence |= {"not": [] if vouched else [self.consistency], "also_not": [] if vouched else stronger}
        example = self.cycle or without_order(transactions, self.disputed)
        keys_ = listing([wording.key(transactions, code) for code in sorted(set(self.disputed.key.tolist()))], 8)
        whichever = "in whichever order transactions began and committed, one saw what it could not, or the reverse"
        if self.cycle is None:
            whichever = f"whichever order the versions of {keys_} came in, a cycle is left"
        reason = f"not {self.consistency}: {whichever}"
        given = f", given {self.keys} keys" if vouched else ""
        witness = Witness(
            example.text, wording.events(transactions, example.operations), {"anomaly": "no-order", **example.data}
        )
        return Verdict.invalid(f"{reason}{given}{self.untimed}", witness, **evidence)

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
