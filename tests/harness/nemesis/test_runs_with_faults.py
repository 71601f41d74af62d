"""Whole runs of the reference store under each family: the families take effect, nothing is lost, and a seed repeats."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitbrain.harness.nemesis import clocks, disks, packets
from splitbrain.harness.nemesis.nodes import ambushes, storms
from splitbrain.harness.running.experiment import Experiment
from splitbrain.harness.running.run import run
from splitbrain.harness.terminal import Progress

SETS = (
    ("packets", "clock", "power-cut", "stalled-disk"),
    ("timers", "full-disk", "rolling-restart"),
    ("failing-disk", "storm", "bit-flip", "wipe"),
    ("ambush", "absence"),
)


@pytest.mark.parametrize("names", SETS, ids=lambda names: "-and-".join(names))
def test_a_seed_gives_one_history_byte_for_byte_in_which_each_family_took_effect(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    experiment = Experiment("sets", faults=names, seed=3, time_limit_s=25.0, rate=20.0, concurrency=5)
    results = [run(experiment, out=tmp_path / each, progress=Progress(quiet=True)) for each in ("first", "again")]
    histories = [(result.folder / "history.jsonl").read_bytes() for result in results]
    assert histories[0] == histories[1]
    assert results[0].valid, results[0].explanation()
    assert results[0].verdict is not None
    seen = results[0].verdict.parts["evidence"].evidence["faults"]
    assert {name for name, figures in seen.items() if figures["effective"]} == set(names)


def test_every_family_of_disks_clocks_packets_and_storms_is_run() -> None:
    ours = {family.name for module in (packets, clocks, disks, storms, ambushes) for family in module.FAMILIES}
    assert {name for names in SETS for name in names} == ours
