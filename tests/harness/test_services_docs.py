"""The page on workloads beyond the store, and the table of interfaces, say what there is."""

from __future__ import annotations

import re

from splitbrain.harness import catalogue, interfaces
from splitbrain.harness.interfaces import PROBES
from splitbrain.harness.systems.toys.toy_defects import DEFECTS
from tests.house import ROOT

PAGE = (ROOT / "docs" / "workloads-services.md").read_text()
OWN = (ROOT / "docs" / "your-own-system.md").read_text().partition("| interface | methods | workloads |")[2]
ROW = re.compile(r"^\| `([\w-]+)` \| (.*) \|$", re.MULTILINE)


def ticked(text: str) -> list[str]:
    return re.findall(r"`([\w=-]+)`", text)


def test_the_page_lists_every_workload_on_these_interfaces_with_its_checker() -> None:
    listed = {name: [cell.strip() for cell in row.split("|")] for name, row in ROW.findall(PAGE) if name not in DEFECTS}
    loaded = {name: catalogue.workload(name) for name in catalogue.names(catalogue.WORKLOADS)}
    assert set(listed) == {name for name, workload in loaded.items() if workload.interface in PROBES}
    for name, (interface, _, _, checker) in listed.items():
        judge, *options = ticked(checker)
        assert ticked(interface) == [loaded[name].interface]
        given = loaded[name].checkers[judge]
        for option, value in (option.split("=") for option in options):
            assert given[option] in (value, [value])


def test_the_page_lists_every_mistake_of_the_toys_and_who_finds_it() -> None:
    listed = {name: row.split(" | ") for name, row in ROW.findall(PAGE) if name in DEFECTS}
    assert {name: (wrong, tuple(ticked(found))) for name, (wrong, found) in listed.items()} == {
        name: (defect.wrong, defect.workloads) for name, defect in DEFECTS.items()
    }


def test_the_table_of_interfaces_has_all_of_them_with_their_methods_and_workloads() -> None:
    listed = {name: row.split(" | ") for name, row in ROW.findall(OWN)}
    by_interface: dict[str, set[str]] = {}
    for name in catalogue.names(catalogue.WORKLOADS):
        by_interface.setdefault(catalogue.workload(name).interface, set()).add(name)
    for name in PROBES:
        methods, workloads = listed[name]
        declared = {method for method in vars(getattr(interfaces, name)) if not method.startswith("_")}
        assert set(ticked(methods)) == declared
        assert set(ticked(workloads)) == by_interface[name]
    assert set(listed) == {"VersionedStore", *PROBES}
