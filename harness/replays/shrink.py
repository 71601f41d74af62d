"""Shrinking: from a run that failed to the smallest one that fails in the same way.

1. The failure is kept by its finding: checker and kind of anomaly. Every step is a simulated run that was judged like
   any other.
2. Parameters first, for they cost least. Then the run is taken as it is, strikes and operations as values: strikes,
   operations, and at last values get smaller.
3. The smallest run so far is always in its folder, as a run's folder like any other. An interrupt, or the end of the
   budget, leaves it there.
4. Operations are the clients' in the load. Polls of replicas, and what is asked once all is healed, are not counted.

After Zeller and Hildebrandt (2002), and QuickCheck's shrinking of what a generator drew.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from splitbrain.checkers.histories.prose import count
from splitbrain.checkers.histories.replica_polls import POLL
from splitbrain.harness.catalogue import DEFAULT_ENVIRONMENT, home, workload
from splitbrain.harness.nemesis import family_named
from splitbrain.harness.nemesis.strike import Strike
from splitbrain.harness.replays import parameters, simpler_operations, simpler_strikes
from splitbrain.harness.replays.ddmin import ddmin
from splitbrain.harness.replays.finding import Finding, findings
from splitbrain.harness.replays.recorded import RecordedRun, recorded, script
from splitbrain.harness.replays.replay import with_operations
from splitbrain.harness.replays.scripted import ScriptedOperation
from splitbrain.harness.replays.shrunk_folder import ShrunkFolder
from splitbrain.harness.replays.trials import BudgetUsed, Trial, Trials
from splitbrain.harness.running.experiment import Experiment, UsageProblem, replaying
from splitbrain.harness.terminal import Progress

PARAMETERS_SHARE = 0.4
"""Of the budget: what is left goes to strikes and operations, where each trial costs less."""


def failure(before: RecordedRun) -> Finding:
    """The failure of a run that is to be shrunk.

    Raises UsageProblem if it has none or its system has no simulation, ResultsError if it has no end.
    """
    results = before.results()
    known = findings(results)
    if not known:
        status = results.get("verdict", "unknown")
        raise UsageProblem(
            f"{before.folder} is {status}: there is nothing to shrink; give the folder of an invalid run"
        )
    tested = before.experiment.system
    if (place := home(tested)) != DEFAULT_ENVIRONMENT:
        raise UsageProblem(
            f"a run is shrunk in simulation, and {tested} runs in --env {place} alone; "
            f"`{replaying(before.folder)}` runs it again"
        )
    return known[0]


@dataclass
class Shrinking:
    """The work on one run.

    before: the run. trials: run candidates. kept: the folder of the smallest so far. best: that run's experiment.
    operations, strikes: how many it has; operations_before, strikes_before: how many the run had.
    """

    before: RecordedRun
    trials: Trials
    kept: ShrunkFolder
    progress: Progress
    best: Experiment = field(init=False)
    operations: int = field(init=False)
    strikes: int = field(init=False)
    operations_before: int = field(init=False)
    strikes_before: int = field(init=False)

    def __post_init__(self) -> None:
        self.best = self.before.experiment.elsewhere("sim")
        self._note(self.before)
        self.operations_before, self.strikes_before = self.operations, self.strikes

    def go(self) -> None:
        """Until nothing gets smaller, or the budget is used up."""
        try:
            if self.best.operations is None:
                self._smaller_parameters()
                if not self._as_script():
                    return
            # Each trial polls and reads every key through every node, so few keys make all that follows cheap.
            self._fewer_keys()
            self._first(self._with_fewer_keys(), "keys")
            for simplify in (self._fewer_strikes, self._fewer_operations, self._simpler_strikes, self._smaller_values):
                simplify()
        except BudgetUsed:
            self.progress("the budget is used up; the smallest run so far is kept")

    def end(self) -> None:
        """Draw the report of the smallest run, if there is one."""
        if self.kept.made:
            self.kept.draw_report()
            self.progress(f"the smallest run so far: {self.kept.path}")

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        wanted, folder = self.trials.wanted, self.kept.path if self.kept.made else self.before.folder
        return {
            "finding": {"checker": wanted.checker, "kind": wanted.kind},
            "reproduced": self.kept.made,
            "operations": self.operations,
            "strikes": self.strikes,
            "nodes": self.best.nodes,
            "operations_before": self.operations_before,
            "strikes_before": self.strikes_before,
            "trials": self.trials.made,
            "cpu_s": round(self.trials.cpu_s, 1),
            "folder": str(folder),
            "test": None if self.kept.test is None else str(self.kept.test),
        }

    def lines(self) -> list[str]:
        """For people."""
        trials = self.trials
        spent = f"{trials.made:,} trials, {trials.cpu_s:.1f} CPU s"
        if not self.kept.made:
            return [f"{trials.wanted}: it did not come again in simulation ({spent})"]
        size = f"{_counted(self.operations, self.strikes)} on {count(self.best.nodes, 'node')}"
        return [
            f"{trials.wanted}: {size}; it had {_counted(self.operations_before, self.strikes_before)} ({spent})",
            "",
            *([f"test    {self.kept.test}"] if self.kept.test is not None else []),
            f"report  {self.kept.path / 'report.html'}",
            f"replay  {replaying(self.kept.path)}",
        ]

    # Parameters.

    def _smaller_parameters(self) -> None:
        defaults = workload(self.best.workload).config
        ends_at = self.trials.budget_s
        self.trials.budget_s *= PARAMETERS_SHARE
        try:
            enough = self._small(defaults)
            going = self.kept.made
            while going:
                going = False
                # Where most seeds fail, operations go faster one half at a time, without other draws.
                for name in parameters.PARAMETERS if enough == 1 else parameters.UNSCRIPTED:
                    half = parameters.halved(self.best, name, defaults)
                    kept = [] if half is None else self._keeping(half, name)
                    if len(kept) >= enough:
                        self._take(kept[0], name)
                        going = True
        except BudgetUsed:
            pass
        finally:
            self.trials.budget_s = ends_at

    def _small(self, defaults: Mapping[str, str]) -> int:
        """Take a size with which most seeds fail, or the first with which one does.

        Returns how many have to fail for a size that is smaller still.
        """
        fragile: Trial | None = None
        try:
            for candidate in parameters.smaller(replace(self.best, strikes=None), defaults):
                kept = self._keeping(candidate, "parameters")
                if len(kept) >= parameters.MOST:
                    self._take(kept[0], "parameters")
                    return parameters.MOST
                fragile = fragile or next(iter(kept), None)
        except BudgetUsed:
            if fragile is not None:
                self._take(fragile, "parameters")
            raise
        if fragile is not None:
            self._take(fragile, "parameters")
        return 1

    def _keeping(self, candidate: Experiment, told: str) -> list[Trial]:
        """The trials of this size, one a seed, that fail."""
        self.progress.status(self._told(told))
        return self.trials.keeping(parameters.seeded(candidate))

    def _as_script(self) -> bool:
        """Take the smallest run as values. Returns whether it still fails."""
        source = recorded(self.kept.path) if self.kept.made else self.before
        history = source.history()
        base = with_operations(replace(self.best, strikes=source.experiment.strikes), script(history))
        without_polls = with_operations(base, tuple(each for each in base.operations or () if each.f != POLL))
        return self._first([without_polls, *parameters.seeded(base)], "as a script")

    # Strikes.

    def _fewer_strikes(self) -> None:
        ddmin(self.best.strikes or (), lambda some: self._place((self._with(strikes=part) for part in some), "strikes"))

    def _simpler_strikes(self) -> None:
        for number in [strike.number for strike in self.best.strikes or ()]:
            for simpler in (simpler_strikes.shorter, simpler_strikes.narrower):
                strike = next(each for each in self.best.strikes or () if each.number == number)
                self._first((self._with_strike(other) for other in simpler(strike)), f"strike of {strike.family}")
        if self.best.strikes:
            self._fewer_operations()

    # Operations.

    def _fewer_keys(self) -> None:
        """Take out all operations on a key at once."""
        operations = self._script

        def first(parts: Iterable[tuple[str, ...]]) -> int | None:
            some = (
                self._with(operations=tuple(each for each in operations if str(each.key) in part)) for part in parts
            )
            return self._place(some, "operations by key")

        ddmin(sorted({str(each.key) for each in operations}), first, or_none=False)

    def _fewer_operations(self) -> None:

        def first(parts: Iterable[tuple[ScriptedOperation, ...]]) -> int | None:
            return self._place((self._with(operations=part) for part in parts), "operations")

        # A run without any operation could never be valid, nor its test pass once the defect is gone.
        ddmin(self._script, first, or_none=False)

    # Values.

    def _smaller_values(self) -> None:
        while self._first(
            (self._with(operations=each) for each in simpler_operations.merged(self._script)), "processes"
        ):
            pass
        operations, strikes = simpler_operations.condensed(self._script, self.best.strikes or ())
        self._first([self._with(operations=operations, strikes=strikes)], "dead time")
        spaced = simpler_operations.evenly_spaced(self._script, self.best.strikes or ())
        self._first((self._with(operations=each) for each in spaced), "times")
        self._fewer_operations()
        renumbered = simpler_operations.renumbered(self._script)
        self._first([with_operations(self.best, renumbered)], "processes")
        self._first([self._with(operations=simpler_operations.with_small_values(self._script))], "values")
        self._first(self._with_fewer_keys(), "keys")
        self._first(self._with_fewer_nodes(), "nodes")
        last_s = max((each.at_s for each in self._script), default=0.0)
        self._first([replace(self.best, time_limit_s=float(max(1, math.ceil(last_s))))], "time limit")

    def _with_fewer_keys(self) -> Iterable[Experiment]:
        operations, keys = simpler_operations.with_first_keys(self._script)
        counts = parameters.counts(self.best, workload(self.best.workload).config)
        fewer = {name: str(max(1, min(keys, number))) for name, number in counts.items()}
        if fewer or operations != self._script:
            yield replace(self._with(operations=operations), config={**self.best.config, **fewer})

    def _with_fewer_nodes(self) -> Iterable[Experiment]:
        used = sorted({each.node for each in self._script if each.node is not None}, key=self.best.names.index)
        order = [*used, *(name for name in self.best.names if name not in used)]
        names = dict(zip(order, self.best.names, strict=True))
        operations, strikes = simpler_operations.with_names(self._script, self.best.strikes or (), names)
        for nodes in range(max(1, len(used)), self.best.nodes):
            yield replace(self._with(operations=operations, strikes=strikes), nodes=nodes)

    # What a candidate is.

    @property
    def _script(self) -> tuple[ScriptedOperation, ...]:
        return self.best.operations or ()

    def _with(self, **changes: Any) -> Experiment:
        changed = replace(self.best, **changes)
        families = {strike.family for strike in changed.strikes or ()}
        faults = tuple(each for each in changed.faults if family_named(each) in families)
        return replace(changed, faults=faults)

    def _with_strike(self, strike: Strike) -> Experiment:
        others = self.best.strikes or ()
        return self._with(strikes=tuple(strike if each.number == strike.number else each for each in others))

    # Trials.

    def _first(self, candidates: Iterable[Experiment], told: str) -> bool:
        return self._place(candidates, told) is not None

    def _place(self, candidates: Iterable[Experiment], told: str) -> int | None:
        """Try them. The first that keeps the failure is the best from now on; returns its place."""
        self.progress.status(self._told(told))
        found = self.trials.first(candidates)
        if found is None:
            return None
        place, trial = found
        self._take(trial, told)
        return place

    def _take(self, trial: Trial, told: str) -> None:
        """It is the best from now on."""
        assert trial.folder is not None
        self.best = trial.experiment
        self.kept.take(trial.folder)
        self._note(recorded(self.kept.path))
        self.kept.write_test(self.best, self.trials.wanted)
        self.progress(self._told(told))

    def _note(self, run: RecordedRun) -> None:
        operations = run.experiment.operations
        if operations is None:
            operations = script(run.history())
        self.operations = sum(operation.f != POLL for operation in operations)
        self.strikes = len(run.experiment.strikes or ())

    def _told(self, what: str) -> str:
        trials = self.trials
        so_far = _counted(self.operations, self.strikes)
        return f"{trials.cpu_s:6.1f} CPU s  {trials.made:4} trials  {so_far}  ({what})"


def _counted(operations: int, strikes: int) -> str:
    return f"{count(operations, 'operation')}, {count(strikes, 'strike')}"
