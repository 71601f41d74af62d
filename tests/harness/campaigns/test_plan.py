"""Plans: experiments that follow from a seed and a number alone."""

from __future__ import annotations

from collections import Counter

import pytest

from splitbrain.harness.campaigns import dealing
from splitbrain.harness.campaigns.plan import CampaignPlan
from splitbrain.harness.nemesis import catalogue
from splitbrain.harness.running.experiment import UsageProblem
from splitbrain.harness.system import Configurable, defects_of


@pytest.mark.parametrize("swarm", [False, True])
def test_an_experiment_follows_from_the_seed_and_its_number_alone(swarm: bool) -> None:
    forwards = [CampaignPlan(seed=3, swarm=swarm).experiment(index) for index in range(8)]
    plan = CampaignPlan(seed=3, swarm=swarm)
    backwards = [plan.experiment(index) for index in reversed(range(8))]
    assert forwards == backwards[::-1]
    assert CampaignPlan(seed=4, swarm=swarm).experiment(0) != forwards[0]


@pytest.mark.parametrize("swarm", [False, True])
def test_every_experiment_can_be_prepared(swarm: bool) -> None:
    plan = CampaignPlan(seed=1, swarm=swarm)
    for index in range(20):
        plan.experiment(index).prepare()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_block_meets_every_family_and_every_workload_that_the_system_serves(seed: int) -> None:
    plan = CampaignPlan(seed=seed)
    block = [plan.experiment(index) for index in range(len(dealing.STRATA))]
    assert {family for experiment in block for family in experiment.faults} == set(catalogue())
    assert {experiment.workload for experiment in block} == set(plan._dealt)


def test_in_every_other_block_workloads_are_dealt_and_what_was_plain_is_drawn() -> None:
    plan, size = CampaignPlan(), len(dealing.STRATA)
    first, second, third = ([plan.experiment(size * block + at) for at in range(size)] for block in range(3))
    assert [bool(each.config) for each in first] == [stratum.drawn for stratum in dealing.STRATA]
    assert [bool(each.config) for each in second] == [not stratum.drawn for stratum in dealing.STRATA]
    assert [each.workload for each in first] == [stratum.workload for stratum in dealing.STRATA]
    assert [each.workload for each in third] == [stratum.workload for stratum in dealing.STRATA]
    assert sum(one.workload != other.workload for one, other in zip(first, second, strict=True)) > size / 2


def test_workloads_and_families_that_were_asked_for_are_dealt_evenly_plain_and_drawn() -> None:
    plan = CampaignPlan(workloads=("registers", "carts"), faults=("partition",))
    dealt = Counter((plan.experiment(at).workload, bool(plan.experiment(at).config)) for at in range(8))
    assert dealt == {(name, drawn): 2 for name in ("registers", "carts") for drawn in (False, True)}


def test_a_workload_that_the_system_cannot_serve_is_not_dealt() -> None:
    dealt = {CampaignPlan().experiment(index).workload for index in range(60)}
    assert "registers" in dealt
    assert "bank" not in dealt


def test_seeds_are_short_enough_to_be_typed_in() -> None:
    plan = CampaignPlan(seed=2**40)
    seeds = [plan.experiment(index).seed for index in range(50)]
    assert max(seeds) < 2**32
    assert len(set(seeds)) == 50


def test_a_campaign_takes_shapes_and_targets_with_drawn_settings_too() -> None:
    asked = ("partition/halves", "kill=one")
    for swarm in (False, True):
        plan = CampaignPlan(seed=1, swarm=swarm, faults=asked)
        plan.check()
        met = {fault for index in range(20) for fault in plan.experiment(index).faults}
        assert met == set(asked)


def test_a_swarm_has_each_family_in_about_half_of_its_runs() -> None:
    pool = ("partition", "kill", "pause")
    plan = CampaignPlan(seed=5, swarm=True, faults=pool)
    drawn = Counter(family for index in range(200) for family in plan.experiment(index).faults)
    # Of 200 fair draws, 60 to 140 are within 5.6 standard deviations. A family that does not fit is left out, so that
    # there may be fewer.
    assert all(60 <= drawn[family] <= 140 for family in pool)


def test_a_swarm_varies_nodes_rates_and_the_systems_settings() -> None:
    plan = CampaignPlan(seed=5, swarm=True, faults=())
    drawn = [plan.experiment(index) for index in range(100)]
    assert {experiment.nodes for experiment in drawn} == set(dealing.NODES)
    assert {experiment.rate for experiment in drawn} == set(dealing.RATES)
    assert {experiment.config["keys"] for experiment in drawn if "keys" in experiment.config} == set(dealing.KEYS)
    assert {experiment.config.get("n") for experiment in drawn} >= {None, "2", "3", "5"}


def test_a_swarm_keeps_what_was_given() -> None:
    plan = CampaignPlan(seed=5, swarm=True, faults=(), config={"n": "3", "r": "2", "w": "2"})
    for index in range(30):
        config = plan.experiment(index).config
        assert (config["n"], config["r"], config["w"]) == ("3", "2", "2")


def test_settings_under_which_promises_hold_are_no_mistakes_and_keep_quorums_overlapping() -> None:
    tested = CampaignPlan().tested
    assert isinstance(tested, Configurable)
    mistakes = {key for mutant in defects_of(tested).values() for key in mutant.config}
    for dimension in tested.space:
        for settings in dimension:
            assert not mistakes & settings.keys()
            n, r, w = (int(settings.get(key, tested.config[key])) for key in "nrw")
            assert r + w > n


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (CampaignPlan(workloads=("registres",)), "did you mean registers"),
        (CampaignPlan(system="dinamo"), "unknown system 'dinamo'"),
        (CampaignPlan(faults=("partitoin",)), "did you mean partition"),
        (CampaignPlan(config={"kyes": "3"}), "unknown configuration key 'kyes'"),
        (CampaignPlan(config={"n": "9"}), "n=9"),
        (CampaignPlan(workloads=("bank",)), "bank needs Bank"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_by_name(plan: CampaignPlan, said: str) -> None:
    with pytest.raises(UsageProblem, match=said):
        plan.check()


def test_a_setting_of_one_workload_is_left_out_of_the_others() -> None:
    plan = CampaignPlan(workloads=("registers", "sets"), config={"resting": "7"})
    plan.check()
    assert [plan.experiment(index).config.get("resting") for index in range(2)] == ["7", None]


def test_a_stratum_may_need_a_longer_load_a_slower_one_and_other_nodes() -> None:
    plan = CampaignPlan(time_limit_s=12.0)
    for at, stratum in enumerate(dealing.STRATA):
        experiment = plan.experiment(at)
        assert experiment.time_limit_s == (stratum.time_limit_s or 12.0)
        assert (experiment.rate, experiment.nodes) == (stratum.rate, stratum.nodes)
    assert max(stratum.time_limit_s or 0 for stratum in dealing.STRATA) > 100


def test_what_the_first_dimension_chooses_no_later_one_changes() -> None:
    tested = CampaignPlan().tested
    assert isinstance(tested, Configurable)
    plan = CampaignPlan(workloads=("registers",))
    turns = range(10, 20)
    for index in turns:
        first = tested.space[0][index % 10]
        assert first.items() <= plan.experiment(index).config.items()
