from __future__ import annotations

import math
from itertools import combinations, pairwise

import pytest

from splitbrain.harness.nemesis import Strike, Targets, catalogue, fault_package
from splitbrain.harness.nemesis.families import families
from splitbrain.harness.nemesis.schedule import LEAST_S, QUIET_S, struck_s
from splitbrain.harness.running.experiment import Experiment, UsageProblem

NODES = ("n1", "n2", "n3", "n4", "n5")
TARGETS = Targets(NODES, spares=("n6", "n7"), expendable=("n1",), marks=(("kept",),))
BUILT_IN = ("partition", "bridge", "one-way", "flapping", "clients", "kill", "terminate", "pause")
CHOICES = [names for size in range(1, 5) for names in combinations(BUILT_IN, size)]


def drawn(*names: str, time_limit_s: float = 60, commands_s: float = 0.1, seed: int = 1) -> tuple[Strike, ...]:
    return fault_package(names, TARGETS, seed=seed, time_limit_s=time_limit_s, commands_s=commands_s).strikes


def least_s(names: tuple[str, ...], commands_s: float) -> int:
    """The least whole time limit that is not refused."""
    for time_limit_s in range(1, 200):
        try:
            drawn(*names, time_limit_s=time_limit_s, commands_s=commands_s)
        except ValueError:
            continue
        return time_limit_s
    raise AssertionError("refused however much time there is")


def test_strikes_are_numbered_by_their_time() -> None:
    strikes = drawn("partition", "kill", "pause")
    assert [strike.number for strike in strikes] == list(range(len(strikes)))
    assert [strike.at_s for strike in strikes] == sorted(strike.at_s for strike in strikes)


@pytest.mark.parametrize("commands_s", [0.1, 2.0])
def test_what_is_not_refused_strikes_once_with_every_family_for_long_enough_before_any_strikes_twice(
    commands_s: float,
) -> None:
    for names in CHOICES:
        for time_limit_s in (least_s(names, commands_s), 20, 60):
            if time_limit_s < least_s(names, commands_s):
                continue
            strikes = drawn(*names, time_limit_s=time_limit_s, commands_s=commands_s)
            first = strikes[: len(names)]
            assert {strike.family for strike in first} == set(names), (names, time_limit_s)
            assert all(strike.for_s >= LEAST_S for strike in first), (names, time_limit_s)


def test_the_last_part_of_the_load_is_quiet_where_there_is_time_for_that() -> None:
    for seed in range(50):
        for time_limit_s in (20.0, 60.0, 300.0):
            quiet_s = max(QUIET_S, time_limit_s / 5)
            strikes = drawn("partition", "kill", "pause", time_limit_s=time_limit_s, seed=seed)
            assert max(strike.end_s for strike in strikes) <= time_limit_s - quiet_s + 0.001


def test_a_short_load_gives_up_its_quiet_part_rather_than_its_strikes() -> None:
    assert struck_s(60, least_s=10) == 48
    assert struck_s(20, least_s=3) == 15
    assert struck_s(8, least_s=3) == 4
    assert struck_s(8, least_s=7) == 7


def test_strikes_that_hold_the_same_thing_never_overlap_and_others_do() -> None:
    known = families()
    overlapped = False
    for seed in range(100):
        strikes = drawn("partition", "kill", "pause", "terminate", seed=seed)
        for at, one in enumerate(strikes):
            for other in strikes[at + 1 :]:
                overlap = one.at_s < other.end_s and other.at_s < one.end_s
                shared = set(known[one.family].holds(one.how)) & set(known[other.family].holds(other.how))
                assert not (overlap and shared), (seed, one, other)
                overlapped = overlapped or overlap
    assert overlapped


def test_a_process_is_struck_again_only_once_the_commands_before_have_had_their_time() -> None:
    for seed in range(30):
        strikes = drawn("kill", commands_s=2.0, seed=seed)
        for before, after in pairwise(strikes):
            if set(before.how["nodes"]) & set(after.how["nodes"]):
                assert after.at_s >= before.end_s + 2.0 - 0.002  # Times are rounded to the millisecond.


def test_the_interval_sets_how_many_strikes_there_are() -> None:
    def count(interval_s: float) -> float:
        package = [
            fault_package(
                ["partition"], TARGETS, seed=seed, time_limit_s=600, commands_s=0.1, interval_s=interval_s
            ).strikes
            for seed in range(20)
        ]
        return sum(map(len, package)) / 20

    # 480 s are struck, but for the first round's turn, at most ten seconds of it: the mean of a Poisson distribution.
    assert 90 < count(5.0) < 100
    assert 460 < count(1.0) < 490


def test_the_more_often_strikes_come_the_shorter_they_are() -> None:
    def longest_s(interval_s: float) -> float:
        strikes = [
            strike
            for seed in range(10)
            for strike in fault_package(
                ["partition"], TARGETS, seed=seed, time_limit_s=300, commands_s=0.1, interval_s=interval_s
            ).strikes[1:]
        ]
        return max(strike.for_s for strike in strikes)

    assert 1.5 < longest_s(0.5) <= 2.0
    assert 3.0 < longest_s(1.0) <= 4.0
    assert 8.0 < longest_s(5.0) <= 10.0


def test_one_seed_draws_one_schedule_and_another_seed_another() -> None:
    assert drawn("partition", "kill") == drawn("partition", "kill")
    assert drawn("partition", "kill") != drawn("partition", "kill", seed=2)


def test_a_familys_targets_do_not_depend_on_what_else_is_asked_for() -> None:
    alone = [strike.how for strike in drawn("kill", time_limit_s=300, seed=9)]
    together = [
        strike.how
        for strike in drawn("kill", "partition", "pause", time_limit_s=300, seed=9)
        if strike.family == "kill"
    ]
    shared = min(len(alone), len(together))
    assert shared > 2 and alone[:shared] == together[:shared]


@pytest.mark.parametrize(
    ("environment", "faults", "time_limit_s"),
    [
        ("sim", ("kill", "pause"), 4.0),
        ("docker", ("partition",), 2.0),
        ("docker", ("partition", "kill", "pause"), 5.0),
    ],
)
def test_a_time_too_short_for_the_faults_asked_for_is_refused_with_the_least_that_is_not(
    environment: str, faults: tuple[str, ...], time_limit_s: float
) -> None:
    experiment = Experiment("sets", environment=environment, faults=faults, time_limit_s=time_limit_s)
    with pytest.raises(UsageProblem, match=r"too short for a strike of .*; give --time-limit \d+") as refusal:
        experiment.prepare()
    least = float(str(refusal.value).split("--time-limit ")[1].split()[0])
    assert math.ceil(time_limit_s) < least
    Experiment("sets", environment=environment, faults=faults, time_limit_s=least).prepare()


def test_a_schedule_that_is_given_is_played_and_its_families_must_be_asked_for() -> None:
    strikes = drawn("partition")[:2]
    package = fault_package(["partition"], TARGETS, seed=5, time_limit_s=1, commands_s=0.1, strikes=strikes)
    assert package.strikes == strikes
    with pytest.raises(ValueError, match="the schedule has strikes of partition; name them among the faults"):
        fault_package(["kill"], TARGETS, seed=5, time_limit_s=60, commands_s=0.1, strikes=strikes)


def test_too_few_nodes_for_a_family_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="bridge needs at least 3 nodes, there are 2; raise --nodes"):
        fault_package(["bridge"], Targets(("n1", "n2")), seed=1, time_limit_s=60, commands_s=0.1)


def test_every_fault_of_the_catalogue_can_be_had() -> None:
    assert {strike.family for strike in drawn(*catalogue(), time_limit_s=600)} == set(catalogue())
