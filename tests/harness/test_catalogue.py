"""The catalogue: which systems offer an interface, whatever else is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from splitbrain.harness.catalogue import ALIASES, WORKLOADS, home, names, offering, workload


def test_the_systems_that_offer_an_interface_are_named() -> None:
    assert offering("Log") == ["maelstrom", "nats", "toys"]
    assert offering("VersionedStore") == ["dynamo"]
    assert offering("Telepathy") == []


def test_a_workload_is_found_by_its_other_name_and_listed_by_its_own() -> None:
    assert workload("lin-kv") is workload("linearizable-register")
    assert workload("txn-list-append") is workload("append")
    assert workload("txn-rw-register") is workload("wr")
    assert ALIASES.keys().isdisjoint(names(WORKLOADS))


def test_a_system_runs_at_home_where_no_environment_is_named() -> None:
    assert [home("maelstrom"), home("toys"), home("no such system")] == ["processes", "sim", "sim"]


def test_a_system_that_can_not_be_loaded_offers_nothing_and_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "torn_system-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: torn-system\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[splitbrain.systems]\ntorn = torn_system:SYSTEM\n")
    (tmp_path / "torn_system.py").write_text("{}['boo']\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert offering("Log") == ["maelstrom", "nats", "toys"]
