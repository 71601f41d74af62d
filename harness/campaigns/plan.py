"""The plan of a campaign: its experiments, by number.

1. An experiment follows from the campaign's seed and its number alone. So a campaign can be resumed, and shared out.
2. The default plan comes in blocks, each with every stratum once (`dealing`). Most runs are short and dense: what needs
   luck is found by more runs, not by longer ones. In every other block strata have the workloads that see most under
   them. In those between, workloads are dealt in turn, and settings are drawn where they were not before.
3. Workloads are those that the system can serve. A family that this system, this environment or so short a run can't
   have is left out of its stratum.
4. A swarm draws everything instead, with each family in half of the runs. What is always on can hide a failure (Groce
   et al., "Swarm Testing", ISSTA 2012).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from splitbrain.harness.campaigns import dealing
from splitbrain.harness.catalogue import WORKLOADS, UnknownName, names, system, workload
from splitbrain.harness.nemesis import catalogue, is_known
from splitbrain.harness.running.experiment import Experiment, UsageProblem
from splitbrain.harness.running.preparation import prepared_for
from splitbrain.harness.seeds import choose, draw, shuffled, split
from splitbrain.harness.suggestions import did_you_mean
from splitbrain.harness.system import Configurable, System
from splitbrain.harness.systems import DEFAULT as DEFAULT_SYSTEM

ANY = ("any",)
"""All families that there are."""


@dataclass(frozen=True)
class CampaignPlan:
    """What a campaign runs.

    seed: of all of it. workloads: names; none for all that the system can serve. faults: as asked for; `ANY` for all
    families. config: settings that every run has whose workload or system knows them. swarm: draw everything.
    time_limit_s: the load of a run, in seconds.
    """

    seed: int = 0
    workloads: tuple[str, ...] = ()
    system: str = DEFAULT_SYSTEM
    faults: tuple[str, ...] = ANY
    config: Mapping[str, str] = field(default_factory=dict)
    swarm: bool = False
    time_limit_s: float = dealing.TIME_LIMIT_S

    def experiment(self, index: int) -> Experiment:
        """The experiment of that number, from 0. Raises UsageProblem for a plan that can't be."""
        plain = self._plain(self._workload(index), split(split(self.seed, "campaign"), index))
        if self.swarm:
            return self._swarmed(plain, draw(split(split(self.seed, "swarm"), index)))
        block, place = divmod(index, len(self._strata))
        chosen = self._strata[place]
        experiment = replace(
            plain,
            faults=chosen.families,
            fault_interval_s=dealing.INTERVAL_S if chosen.families else None,
            time_limit_s=chosen.time_limit_s or self.time_limit_s,
            rate=chosen.rate,
            nodes=chosen.nodes,
        )
        drawn = [number for number, each in enumerate(self._strata) if each.drawn != bool(block % 2)]
        if place not in drawn:
            return experiment
        dealt = block * len(drawn) + drawn.index(place)
        experiment = self._settled(experiment, draw(split(split(self.seed, "settings"), index)), dealt)
        # With some settings no copy may be lost, so that nothing that destroys one may strike.
        return replace(experiment, faults=self._possible(experiment, experiment.faults))

    def check(self) -> None:
        """Raises UsageProblem for a plan that can't be, with the cause and what there is."""
        for name in self._dealt:
            prepared_for(self._plain(name, 0))
        known = {*self.tested.config, *(key for name in self._dealt for key in workload(name).config)}
        for key in self.config:
            if key not in known:
                guess = did_you_mean(key, known)
                raise UsageProblem(f"unknown configuration key {key!r}; known: {', '.join(sorted(known))}{guess}")
        if self.faults != ANY:
            prepared_for(replace(self._plain(self._dealt[0], 0), faults=self.faults))

    @cached_property
    def tested(self) -> System:
        """The system, as registered."""
        try:
            return system(self.system)
        except UnknownName as problem:
            raise UsageProblem(str(problem)) from None

    @cached_property
    def _dealt(self) -> tuple[str, ...]:
        """The workloads in the order in which they are dealt."""
        if self.workloads:
            return self.workloads
        served = [name for name in names(WORKLOADS) if workload(name).interface in self.tested.interfaces]
        if not served:
            raise UsageProblem(f"no workload that is registered can be run on {self.tested.name}")
        return dealing.dealt(served)

    @cached_property
    def _strata(self) -> tuple[dealing.Stratum, ...]:
        """The strata of the default plan, without what can't be."""
        if self.faults != ANY:
            plain = [dealing.Stratum(name, self.faults) for name in self._dealt]
            return (*plain, *(replace(stratum, drawn=True) for stratum in plain))
        kept: list[dealing.Stratum] = []
        for stratum in dealing.STRATA:
            possible = self._possible(replace(self._plain(self._dealt[0], 0), nodes=stratum.nodes), stratum.families)
            if possible:
                kept.append(replace(stratum, families=possible))
        return tuple(kept) or (dealing.Stratum("", ()), dealing.Stratum("", (), drawn=True))

    def _workload(self, index: int) -> str:
        """The stratum's own in every other block, if the plan has it; else workloads are dealt in turn."""
        block, place = divmod(index, len(self._strata))
        own = self._strata[place].workload
        if own in self._dealt and not self.swarm and (self.faults != ANY or not (block % 2 or self.workloads)):
            return own
        return self._dealt[(index + block) % len(self._dealt)]

    def _plain(self, name: str, seed: int) -> Experiment:
        """Without faults. seed: of 64 bits; 32 of them are enough, and people can copy those."""
        return Experiment(
            workload=name,
            system=self.system,
            seed=seed >> 32,
            time_limit_s=self.time_limit_s,
            config=self._known(name, self.config),
        )

    def _known(self, name: str, settings: Mapping[str, str]) -> dict[str, str]:
        """Those of the settings that the workload or the system has."""
        try:
            known = {*self.tested.config, *workload(name).config}
        except UnknownName as problem:
            raise UsageProblem(str(problem)) from None
        return {key: value for key, value in settings.items() if key in known}

    def _possible(self, experiment: Experiment, families: Sequence[str]) -> tuple[str, ...]:
        """Those of the families that the experiment can have together, the first ones first."""
        known = tuple(family for family in families if is_known(family))
        if _can_be(replace(experiment, faults=known)):
            return known
        kept: tuple[str, ...] = ()
        for family in known:
            if _can_be(replace(experiment, faults=(*kept, family))):
                kept = (*kept, family)
        return kept

    def _configurable(self, config: Mapping[str, str], nodes: int) -> bool:
        """Whether the system can be configured so, for so many nodes."""
        theirs = {key: value for key, value in config.items() if key in self.tested.config}
        try:
            self.tested.configure(theirs, seed=0, nodes=nodes)
        except ValueError:
            return False
        return True

    def _settled(self, experiment: Experiment, rng: random.Random, dealt: int | None = None) -> Experiment:
        """With keys and the system's settings drawn, but for those that were given, and that its workload rests on.

        dealt: how many experiments were so before; then keys and the first dimension's choices are dealt in turn.
        """
        chosen = workload(experiment.workload)
        keys = choose(rng, dealing.KEYS) if dealt is None else dealing.KEYS[dealt % len(dealing.KEYS)]
        drawn = self._known(chosen.name, {"keys": keys})
        for number, dimension in enumerate(self.tested.space if isinstance(self.tested, Configurable) else ()):
            choices = shuffled(rng, dimension)
            if dealt is not None and number == 0:
                choices = [*dimension[dealt % len(dimension) :], *dimension[: dealt % len(dimension)]]
            # The first that so few nodes can carry.
            for settings in choices:
                if self._configurable({**settings, **drawn, **self.config}, experiment.nodes):
                    drawn = {**settings, **drawn}  # What matters more was chosen before.
                    break
        free = {key: value for key, value in drawn.items() if key not in chosen.settings}
        return replace(experiment, config={**free, **experiment.config})

    def _swarmed(self, plain: Experiment, rng: random.Random) -> Experiment:
        """The experiment with everything drawn but its workload, system, seed and length."""
        experiment = replace(
            plain,
            nodes=choose(rng, dealing.NODES),
            rate=choose(rng, dealing.RATES),
            concurrency=choose(rng, dealing.CONCURRENCIES),
            fault_interval_s=choose(rng, dealing.INTERVALS_S),
        )
        experiment = self._settled(experiment, rng)
        pool = tuple(catalogue()) if self.faults == ANY else self.faults
        families = [family for family in shuffled(rng, pool) if rng.random() < 0.5]
        return replace(experiment, faults=self._possible(experiment, families))


def _can_be(experiment: Experiment) -> bool:
    try:
        prepared_for(experiment)
    except UsageProblem:
        return False
    return True
