"""The mutation score: which of a system's published mistakes the default campaign finds, and how soon.

1. Each mistake is turned on for the runs of one and the same plan, the default one, in order. The first run that is
   invalid catches it.
2. The run that catches a mistake is done once more without it, and has to pass. If it does not, that was a false alarm,
   and the next run is taken.
3. CPU seconds are those of all runs up to the one that caught it, without those of rule 2.

Mutation analysis: DeMillo, Lipton and Sayward, "Hints on Test Data Selection" (1978).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace

from splitbrain.harness.campaigns.outcomes import RunOutcome
from splitbrain.harness.campaigns.performing import RUN_CPU_S, PlannedRun
from splitbrain.harness.campaigns.plan import CampaignPlan
from splitbrain.harness.running.experiment import UsageProblem
from splitbrain.harness.suggestions import did_you_mean
from splitbrain.harness.system import defects_of


class Hunt(msgspec.Struct, frozen=True):
    """What came of the search for one mistake.

    name: of it. caught: the run that caught it, or None. runs, cpu_s: how many were done, and the CPU seconds of
    them. broken: why a run gave no verdict, the first reason; "" if all did. alarms: numbers of runs that were invalid
    without the mistake too.
    """

    name: str
    caught: RunOutcome | None = None
    runs: int = 0
    cpu_s: float = 0.0
    broken: str = ""
    alarms: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        form: dict[str, Any] = {"name": self.name, "caught": self.caught is not None, "runs": self.runs}
        form["cpu_s"] = round(self.cpu_s, 1)
        if self.caught is not None:
            form |= {
                "run": self.caught.index,
                "workload": self.caught.workload,
                "faults": list(self.caught.faults),
                "checkers": [signature.checker for signature in self.caught.signatures],
                "replay": self.caught.command,
            }
        return (
            form | ({"broken": self.broken} if self.broken else {}) | ({"alarms": self.alarms} if self.alarms else {})
        )


@dataclass(frozen=True)
class Hunting:
    """The search for one mistake. plan: the clean one. runs: most of them."""

    name: str
    plan: CampaignPlan
    runs: int

    @property
    def cpu_s(self) -> int:
        """What it may take: much more than such runs do, and less than a run that never ends."""
        return RUN_CPU_S + 10 * self.runs

    def do(self) -> Hunt:
        """Search, here and now."""
        mutant = defects_of(self.plan.tested)[self.name]
        mutated = CampaignPlan(
            seed=self.plan.seed, system=self.plan.system, config={**self.plan.config, **mutant.config}
        )
        hunt = Hunt(self.name)
        for index in range(self.runs):
            outcome = PlannedRun(index, mutated.experiment(index)).do().outcome
            hunt = replace(hunt, runs=index + 1, cpu_s=hunt.cpu_s + outcome.cpu_s)
            if outcome.status == "broken" and not hunt.broken:
                hunt = replace(hunt, broken=outcome.reason)
            if outcome.status == "invalid":
                control = PlannedRun(index, self.plan.experiment(index)).do().outcome
                if control.status != "invalid":
                    return replace(hunt, caught=outcome)
                hunt = replace(hunt, alarms=(*hunt.alarms, index))
        return hunt

    def failed(self, reason: str) -> Hunt:
        """Its worker failed."""
        return Hunt(self.name, broken=reason)


def hunts(plan: CampaignPlan, runs: int, only: Sequence[str] = ()) -> list[Hunting]:
    """A search for each mistake that the plan's system publishes, or only for some.

    Raises UsageProblem if there is none, or none of that name.
    """
    published = defects_of(plan.tested)
    if not published:
        raise UsageProblem(f"{plan.system} publishes no defects; give another --system")
    for name in only:
        if name not in published:
            guess = did_you_mean(name, published)
            raise UsageProblem(f"{plan.system} publishes no defect {name!r}; it has {', '.join(published)}{guess}")
    return [Hunting(name, plan, runs) for name in published if not only or name in only]
