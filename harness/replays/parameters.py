"""Smaller parameters: experiments that are drawn as the failing one was, but with less of everything.

1. Small runs come first: a hundred of them cost as much as one of a minute, and most defects need little.
2. Fewer faults come before more: none, one family, all.
3. Other parameters are another roll of the dice, so each size is tried with a few seeds, the run's own first. One with
   which most of them fail is better than a smaller one with which one of them does: what fails by a rare accident of
   timing fails no more once an operation is taken out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.seeds import split

SEEDS = 3
MOST = 2
SEED_MAX = 2**32


@dataclass(frozen=True)
class Size:
    """The most of each parameter. keys: of each count in the workload's configuration."""

    time_limit_s: float
    rate: float
    concurrency: int
    nodes: int
    keys: int | None


SIZES = (Size(1, 40, 4, 3, 1), Size(3, 100, 10, 3, 3), Size(6, 100, 10, 5, None))
"""Three nodes are the fewest on which there is a majority without one of them."""


UNSCRIPTED = ("nodes", "keys")
"""What does not get smaller with the operations."""
PARAMETERS = ("rate", "time limit", *UNSCRIPTED, "concurrency")
LEAST_RATE = 5.0


def smaller(experiment: Experiment, defaults: Mapping[str, str]) -> Iterator[Experiment]:
    """Experiments of the sizes above, none larger than the given one. defaults: the workload's configuration."""
    alone = [(family,) for family in experiment.faults]
    for size in SIZES:
        for faults in dict.fromkeys([(), *alone, experiment.faults]):
            if len(faults) < 2 or size is SIZES[-1]:
                yield replace(_of_size(experiment, size, defaults), faults=faults)


def halved(experiment: Experiment, parameter: str, defaults: Mapping[str, str]) -> Experiment | None:
    """The experiment with half of one of the `PARAMETERS`; None where that would be too little."""
    match parameter:
        case "rate" if experiment.rate > LEAST_RATE:
            return replace(experiment, rate=experiment.rate / 2)
        case "time limit" if experiment.time_limit_s > 1:
            return replace(experiment, time_limit_s=max(1.0, experiment.time_limit_s / 2))
        case "concurrency" if experiment.concurrency > 2:
            return replace(experiment, concurrency=experiment.concurrency // 2)
        case "nodes" if experiment.nodes > 3:
            return replace(experiment, nodes=max(3, experiment.nodes // 2))
        case "keys" if numbers := counts(experiment, defaults):
            halves = {name: str(max(1, number // 2)) for name, number in numbers.items()}
            return replace(experiment, config={**experiment.config, **halves})
    return None


def seeded(experiment: Experiment) -> Iterator[Experiment]:
    """The experiment with its own seed, and with a few others."""
    yield experiment
    for number in range(1, SEEDS):
        yield replace(experiment, seed=split(experiment.seed, f"shrink {number}") % SEED_MAX)


def _of_size(experiment: Experiment, size: Size, defaults: Mapping[str, str]) -> Experiment:
    fewer = {}
    if size.keys is not None:
        fewer = {name: str(min(number, size.keys)) for name, number in counts(experiment, defaults).items()}
    return replace(
        experiment,
        time_limit_s=min(experiment.time_limit_s, size.time_limit_s),
        rate=min(experiment.rate, size.rate),
        concurrency=min(experiment.concurrency, size.concurrency),
        nodes=min(experiment.nodes, size.nodes),
        config={**experiment.config, **fewer},
        strikes=None,
    )


def counts(experiment: Experiment, defaults: Mapping[str, str]) -> dict[str, int]:
    """What the workload's configuration has more than one of, by its keys: of keys, most of the time.

    Any whole number there is taken for a count. Where it is none, a smaller one keeps no failure, or does no harm.
    """
    given = {name: experiment.config.get(name, default) for name, default in defaults.items()}
    return {name: int(text) for name, text in given.items() if text.isdecimal() and int(text) > 1}
