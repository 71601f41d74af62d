from __future__ import annotations

import math
from itertools import combinations

import pytest

from splitbrain.checkers.histories.event import Event
from splitbrain.harness.generators import nemesis, time_limit
from splitbrain.harness.nemesis import catalogue, fault_package
from splitbrain.harness.nemesis.families import SILENCE_S
from splitbrain.harness.nemesis.turns import LEAST_S
from splitbrain.harness.operation import Invocation
from splitbrain.harness.running.experiment import Experiment, UsageProblem
from tests.harness.fixed_latency import SECOND, play

NODES = ("n1", "n2", "n3", "n4", "n5")
CHOICES = [names for size in range(1, 6) for names in combinations(catalogue(), size)]


def least_s(names: tuple[str, ...], commands_s: float) -> int:
    """The least whole time limit that is not refused."""
    for time_limit_s in range(1, 100):
        try:
            fault_package(names, NODES, seed=1, time_limit_s=time_limit_s, commands_s=commands_s)
        except ValueError:
            continue
        return time_limit_s
    raise AssertionError("refused however much time there is")


def episodes(names: tuple[str, ...], time_limit_s: float, action_s: float) -> list[tuple[str, float, float]]:
    """(family, from when it stood, until when its end began), of all that stood within the time; s."""
    package = fault_package(names, NODES, seed=1, time_limit_s=time_limit_s, commands_s=2 * action_s)

    def took_ns(invocation: Invocation) -> int:
        return round((action_s + SILENCE_S.get(invocation.value["fault"], 0) / 2) * SECOND)

    everything = nemesis(time_limit(time_limit_s, package.generator))
    stood: dict[str, float] = {}
    found = []
    under_way: Event | None = None
    for event in play(everything, latency_ns=took_ns):
        family, phase = event.value["fault"], event.value["phase"]
        if under_way is None and phase == "stop":
            found.append((family, stood.pop(family), event.time / SECOND))
        if under_way is not None and phase == "start":
            stood[family] = event.time / SECOND
        under_way = event if under_way is None else None
    return found


@pytest.mark.parametrize("commands_s", [0.1, 2.0])
def test_what_is_not_refused_gives_every_family_an_episode_that_stood_long_enough_within_the_time(
    commands_s: float,
) -> None:
    for names in CHOICES:
        for time_limit_s in (least_s(names, commands_s), 20):
            whole = episodes(names, time_limit_s, commands_s / 2)
            held = {family: until - since for family, since, until in reversed(whole)}
            assert set(held) == set(names), (names, time_limit_s)
            assert min(held.values()) >= 0.9 * LEAST_S, (names, time_limit_s, held)


def test_no_family_of_a_lane_strikes_twice_before_all_of_it_have_struck_once() -> None:
    for names in CHOICES:
        struck = [family for family, _, _ in episodes(names, 60, 0.05)]
        for lane in ({"partition", "bridge", "one-way"}, {"kill", "pause"}):
            mine = [family for family in struck if family in lane]
            asked = lane.intersection(names)
            assert set(mine[: len(asked)]) == asked, names


def test_in_a_short_time_no_lane_strikes_again_before_every_family_of_all_lanes_has_struck() -> None:
    for names in CHOICES:
        struck = [family for family, _, _ in episodes(names, least_s(names, 0.1), 0.05)]
        assert set(struck[: len(names)]) == set(names)


def test_where_the_actions_take_longer_than_was_set_aside_the_pauses_are_shorter() -> None:
    names = ("partition", "bridge", "one-way")
    package = fault_package(names, NODES, seed=1, time_limit_s=10, commands_s=0.1)
    everything = nemesis(time_limit(10, package.generator))
    events = play(everything, latency_ns=SECOND)
    # The last is under way at 9 s, so that a second of load is left to be struck.
    begun = {event.value["fault"] for event in events if event.value["phase"] == "start" and event.time <= 9 * SECOND}
    assert begun == set(names)


@pytest.mark.parametrize(
    ("environment", "faults", "time_limit_s"),
    [
        ("sim", ("partition",), 1.0),
        ("sim", ("kill", "pause"), 4.0),
        ("docker", ("partition",), 2.0),
        ("docker", tuple(catalogue()), 10.0),
    ],
)
def test_a_time_too_short_for_the_faults_asked_for_is_refused_with_the_least_that_is_not(
    environment: str, faults: tuple[str, ...], time_limit_s: float
) -> None:
    experiment = Experiment("sets", environment=environment, faults=faults, time_limit_s=time_limit_s)
    with pytest.raises(UsageProblem, match=r"too short for a whole episode of .*; give --time-limit \d+") as refusal:
        experiment.prepare()
    least = float(str(refusal.value).split("--time-limit ")[1].split()[0])
    assert math.ceil(time_limit_s) < least
    Experiment("sets", environment=environment, faults=faults, time_limit_s=least).prepare()
