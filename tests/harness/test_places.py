from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from splitbrain.harness.catalogue import SYSTEMS, WORKLOADS, UnknownName, name_of, system, workload
from splitbrain.harness.places import NoSuchPlace, place_of, thing_at
from splitbrain.harness.workload import Workload
from splitbrain.workloads.sets import WORKLOAD

HERE = Workload(**{**{name: getattr(WORKLOAD, name) for name in WORKLOAD.__dataclass_fields__}, "name": "here"})


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Each test in a folder of its own, and what it imported forgotten after it."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def written(name: str, text: str) -> None:
    Path(name).write_text(text)


def test_a_thing_is_found_in_a_file_and_in_a_module_of_the_current_folder(tmp_path: Path) -> None:
    written("things_of_test_places.py", "THING = [7]")
    assert thing_at("things_of_test_places.py:THING") == [7]
    assert thing_at(f"{tmp_path}/things_of_test_places.py:THING") == [7]
    assert thing_at("things_of_test_places:THING") == [7]


def test_a_file_is_loaded_once_whatever_it_is_asked_for() -> None:
    written("once_of_test_places.py", "FIRST, SECOND = object(), object()")
    first = thing_at("once_of_test_places.py:FIRST")
    thing_at("once_of_test_places.py:SECOND")
    assert thing_at("./once_of_test_places.py:FIRST") is first


def test_a_file_imports_its_neighbours_and_hides_no_module_of_its_name(tmp_path: Path) -> None:
    Path("elsewhere").mkdir()
    written("elsewhere/neighbour_of_test_places.py", "VALUE = 3")
    written("elsewhere/json.py", "from neighbour_of_test_places import VALUE\nHALF = VALUE / 2")
    assert thing_at("elsewhere/json.py:HALF") == 1.5
    import json

    assert json.loads("1") == 1
    assert sys.modules["json"] is json


def test_a_place_is_what_finds_the_thing_again() -> None:
    written("placed_of_test_places.py", "class Thing:\n    pass\nTHING = Thing()")
    thing = thing_at("placed_of_test_places.py:THING")
    assert place_of(thing) == "placed_of_test_places.py:THING"
    # This test's own module is not below the current folder.
    assert place_of(HERE) == f"{Path(__file__).resolve()}:HERE"
    assert thing_at(place_of(HERE)) is HERE


def test_a_thing_that_no_module_has_has_no_place() -> None:
    with pytest.raises(NoSuchPlace, match="no module has this list under a name, so no command could replay"):
        place_of([1])


@pytest.mark.parametrize(
    ("place", "text", "said"),
    [
        ("absent.py:X", None, "there is no file absent.py; give its path from here"),
        ("torn.py:X", "=", "can't import torn.py (SyntaxError: invalid syntax"),
        ("leaving.py:X", "raise SystemExit(0)", "can't import leaving.py (SystemExit: 0 at leaving.py:1)"),
        ("crashed.py:X", "\n1 / 0", "can't import crashed.py (ZeroDivisionError: division by zero at crashed.py:2)"),
        ("fine.py:WORKLAOD", "WORKLOAD = 1", "fine.py has no WORKLAOD; did you mean WORKLOAD?"),
        ("fine.py:", "WORKLOAD = 1", "fine.py has no name"),
        (
            "odd.py:X",
            "def __getattr__(name):\n    raise OSError('no')",
            "can't have X of odd.py (OSError: no at odd.py:2)",
        ),
    ],
)
def test_what_can_not_be_had_is_one_line_with_the_user_s_own(place: str, text: str | None, said: str) -> None:
    if text is not None:
        written(place.partition(":")[0], text)
    with pytest.raises(NoSuchPlace) as refused:
        thing_at(place)
    assert str(refused.value).startswith(said)
    if said.startswith("can't import"):
        assert place.partition(".")[0] not in sys.modules


def test_a_registered_workload_or_system_keeps_its_name() -> None:
    assert name_of(WORKLOADS, WORKLOAD) == "sets"
    assert name_of(SYSTEMS, system("dynamo")) == "dynamo"
    assert name_of(WORKLOADS, HERE).endswith("test_places.py:HERE")


def test_what_is_at_a_place_must_be_of_the_kind_that_is_wanted() -> None:
    written("kinds_of_test_places.py", "from splitbrain.harness.systems.dynamo.store_system import Dynamo\nTHING = 7")
    with pytest.raises(UnknownName, match=re.escape("kinds_of_test_places.py:THING is of type int; a workload is a")):
        workload("kinds_of_test_places.py:THING")
    with pytest.raises(UnknownName, match="is the class Dynamo; a system is an instance of a class"):
        system("kinds_of_test_places.py:Dynamo")
    with pytest.raises(UnknownName, match=r"system kinds_of_test_places\.py:X: .* has no X"):
        system("kinds_of_test_places.py:X")
