"""Smaller parameters: experiments that are drawn as the failing one was, but with less of everything.

1. Small runs come first: a hundred of them cost as much as one of a minute, and most defects need little.
2. Fewer faults come before more: none, one family, all.
3. Other parameters are another roll of the dice, so each size is tried with a few seeds, the run's own first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.seeds import split

SEEDS = 3
SEED_MAX = 2**32


@dataclass(frozen=True)
class Size:
    """The most of each parameter; keys: of the workload's configuration, where it has any."""

    time_limit_s: float
    rate: float
    concurrency: int
    nodes: int
    keys: int | None


SIZES = (Size(1, 40, 4, 3, 1), Size(3, 100, 10, 3, None), Size(6, 100, 10, 5, None))
"""Three nodes are the fewest on which there is a majority without one of them."""


def smaller(experiment: Experiment, defaults: Mapping[str, str]) -> Iterator[Experiment]:
    """Experiments of the sizes above, none larger than the given one. defaults: the workload's configuration."""
    alone = [(family,) for family in experiment.faults]
    for faults in dict.fromkeys([(), *alone, experiment.faults]):
        for size in SIZES if len(faults) < 2 else SIZES[-1:]:
            yield from seeded(replace(_of_size(experiment, size, defaults), faults=faults))


def halved(experiment: Experiment, defaults: Mapping[str, str]) -> Iterator[tuple[str, Experiment]]:
    """The experiment with half of one parameter, for each of them, by name."""
    if experiment.rate > 5:
        yield "rate", replace(experiment, rate=experiment.rate / 2)
    if experiment.time_limit_s > 1:
        yield "time limit", replace(experiment, time_limit_s=max(1.0, experiment.time_limit_s / 2))
    if experiment.concurrency > 2:
        yield "concurrency", replace(experiment, concurrency=experiment.concurrency // 2)
    if experiment.nodes > 3:
        yield "nodes", replace(experiment, nodes=max(3, experiment.nodes // 2))
    keys = _keys(experiment, defaults)
    if keys is not None and keys > 1:
        yield "keys", replace(experiment, config={**experiment.config, "keys": str(keys // 2)})


def seeded(experiment: Experiment) -> Iterator[Experiment]:
    """The experiment with its own seed, and with a few others."""
    yield experiment
    for number in range(1, SEEDS):
        yield replace(experiment, seed=split(experiment.seed, f"shrink {number}") % SEED_MAX)


def _of_size(experiment: Experiment, size: Size, defaults: Mapping[str, str]) -> Experiment:
    config = experiment.config
    keys = _keys(experiment, defaults)
    if keys is not None and size.keys is not None and keys > size.keys:
        config = {**config, "keys": str(size.keys)}
    return replace(
        experiment,
        time_limit_s=min(experiment.time_limit_s, size.time_limit_s),
        rate=min(experiment.rate, size.rate),
        concurrency=min(experiment.concurrency, size.concurrency),
        nodes=min(experiment.nodes, size.nodes),
        config=config,
        strikes=None,
    )


def _keys(experiment: Experiment, defaults: Mapping[str, str]) -> int | None:
    text = experiment.config.get("keys", defaults.get("keys", ""))
    return int(text) if text.isdecimal() else None
