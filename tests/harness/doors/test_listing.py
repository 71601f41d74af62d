"""The list shows the mistakes that systems publish."""

from __future__ import annotations

from click.testing import CliRunner

from splitbrain.harness.doors.cli import command
from splitbrain.harness.doors.listing import Listing
from splitbrain.harness.systems.toys.toy_defects import DEFECTS


def test_each_system_s_defects_are_listed_with_what_they_do() -> None:
    lines = Listing.collect().lines()
    assert "defects of dynamo" in lines
    start = lines.index("defects of toys") + 1
    section = " ".join(" ".join(lines[start:]).split())
    assert section == " ".join(f"{name} {defect.wrong}" for name, defect in DEFECTS.items())


def test_for_programs_they_have_their_sources_and_what_switches_them_on() -> None:
    systems = {each["name"]: each["defects"] for each in Listing.collect().as_dict()["systems"]}
    assert systems["dynamo"]["reused-dot"]["source"] == "Riak issue 679."
    assert systems["dynamo"]["reused-dot"]["config"] == {"defect": "reused-dot", "unsafe": "true"}
    assert systems["toys"]["forgets-ids"]["config"] == {"defect": "forgets-ids"}


def test_faults_are_listed_with_the_shapes_and_targets_that_may_be_chosen() -> None:
    listing = Listing.collect()
    shown = " ".join(" ".join(listing.lines()).split())
    assert "targets: one, minority, majority, all, primaries, leader storm" in shown
    faults = {each["name"]: each for each in listing.as_dict()["faults"]}
    assert faults["partition"]["shapes"][:2] == ["halves", "random-halves"] and faults["partition"]["targets"] == []
    assert faults["packets"]["targets"] == ["one-node", "halves", "all", "some"]


def test_what_a_command_does_was_cut_after_one_line_in_a_pipe_too() -> None:
    shown = CliRunner().invoke(command(), ["--help"], terminal_width=80).output
    told = " ".join(shown.partition("Commands:")[2].split())
    assert "..." not in told
    for name, each in command().commands.items():
        assert f"{name} {each.get_short_help_str(10_000)}" in told
