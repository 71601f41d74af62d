"""A fault's shape and target may be chosen by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from splitbrain.harness.nemesis import FaultPackage, Targets, families, fault_package
from splitbrain.harness.nemesis.asked import Asked

NODES = ("n1", "n2", "n3", "n4", "n5")
TARGETS = Targets(NODES, primaries=(("n1", "n2", "n3"),), led=True)
PLACE = "examples/two_regions.py:TWO_REGIONS"
CHOICES = [
    *(f"{name}/{shape}" for name, family in families().items() for shape in family.shapes),
    *(f"{name}={target}" for name, family in families().items() for target in family.targets),
    "packets/loss=halves",
    "clock/drift=one",
]


def package(*asked: str, targets: Targets = TARGETS, seed: int = 1) -> FaultPackage:
    return fault_package(asked, targets, seed=seed, time_limit_s=120, commands_s=0.1)


def kinds(found: FaultPackage) -> set[tuple[str | None, str | None]]:
    return {(strike.how.get("shape"), strike.how.get("target")) for strike in found.strikes}


@pytest.mark.parametrize("text", CHOICES)
def test_only_strikes_of_the_shape_and_target_that_were_chosen_are_struck(text: str) -> None:
    asked, found = Asked.parse(text), package(text)
    assert len(found.strikes) > 3
    assert all(asked.matches(strike.how) for strike in found.strikes)
    assert found.names == (asked.name,)


@pytest.mark.parametrize("name", [name for name, family in families().items() if family.shapes or family.targets])
def test_without_a_choice_every_shape_and_target_that_is_offered_occurs(name: str) -> None:
    family = families()[name]
    drawn = [family.aim(TARGETS, seed, turn) for seed in range(30) for turn in range(8)]
    for of, offered in (("shape", family.shapes), ("target", family.targets)):
        if offered:
            assert {how[of] for how in drawn} == set(offered)


def test_a_family_that_is_named_twice_has_each_of_what_was_chosen() -> None:
    assert {target for _, target in kinds(package("kill=one", "kill=all"))} == {"one", "all"}
    assert kinds(package("packets/loss=all", "packets/delay=halves")) == {("loss", "all"), ("delay", "halves")}


def test_nodes_still_differ_from_strike_to_strike() -> None:
    assert len({tuple(strike.how["nodes"]) for strike in package("kill=one").strikes}) > 2


def test_the_same_seed_chooses_the_same() -> None:
    assert package("clock/jump=minority", seed=4).strikes == package("clock/jump=minority", seed=4).strikes
    assert package("clock/jump=minority", seed=5).strikes != package("clock/jump=minority", seed=4).strikes


@pytest.mark.parametrize("text", [PLACE, "kill=one", f"{PLACE}/x=y", "dir=1/mine.py:MINE=one"])
def test_a_place_may_have_slashes_and_equals_signs(text: str) -> None:
    asked = Asked.parse(text)
    assert asked.name + ("/x" if asked.shape else "") + (f"={asked.target}" if asked.target else "") == text
    assert asked.name in (PLACE, "kill", "dir=1/mine.py:MINE")


PLAIN = Targets(NODES)


@pytest.mark.parametrize(
    ("asked", "targets", "said"),
    [
        (
            ["partition/halvs"],
            PLAIN,
            r"no shape halvs; did you mean halves\?; its shapes are halves, .*majorities-ring$",
        ),
        (["kill=leader"], PLAIN, "the system does not say which node leads; its targets are one, minority, some, all$"),
        (["partition/primaries"], PLAIN, "the system does not say which nodes hold the same keys; its shapes are "),
        (["kill/one"], PLAIN, "one is a target: write kill=one; its strikes have no shape to choose"),
        (["partition=halves"], PLAIN, "halves is a shape: write partition/halves; its strikes have no target"),
        (["membership/join"], PLAIN, "membership has no shape join; its strikes have no shape to choose"),
        ([f"{PLACE}/x"], PLAIN, "two-regions has no shape x"),
        (["gremlins=one"], PLAIN, "unknown fault 'gremlins'"),
        (["kill", "kill=one"], PLAIN, "kill has what kill=one chooses already; leave one of the two out"),
        (["kill="], PLAIN, "'kill=' is no fault; give NAME, NAME/SHAPE, NAME=TARGET or NAME/SHAPE=TARGET"),
        (["/halves"], PLAIN, "'/halves' is no fault"),
    ],
)
def test_what_a_family_does_not_have_is_refused_with_what_it_has(
    asked: Sequence[str], targets: Targets, said: str
) -> None:
    with pytest.raises(ValueError, match=said) as refusal:
        package(*asked, targets=targets)
    assert "\n" not in str(refusal.value)


def test_the_table_of_the_docs_has_every_shape_and_target() -> None:
    text = (Path(__file__).parents[3] / "docs/faults.md").read_text()
    section = text.partition("## A shape, a target")[2].partition("\n## ")[0]
    table = section.partition("| family | shapes | targets |")[2]
    documented = {
        name: (tuple(re.findall("`(.+?)`", shapes)), tuple(re.findall("`(.+?)`", targets)))
        for names, shapes, targets in re.findall(r"^\| (`.*?) \|(.*?)\|(.*?)\|$", table, re.MULTILINE)
        for name in re.findall("`(.+?)`", names)
    }
    there = {name: (each.shapes, each.targets) for name, each in families().items() if each.shapes or each.targets}
    assert documented == there
