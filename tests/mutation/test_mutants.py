"""The mutants there are, and that a module which is given one's code behaves like it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from tests.mutation.mutants import mutants
from tests.mutation.mutation_run import ROOT, Score, arguments, infect
from tests.mutation.targets import TARGETS

SOURCE = '''
"""What this is for."""

from dataclasses import dataclass

LIMIT: int = 3


@dataclass
class Box:
    """A box."""

    size: int = 1

    @property
    def large(self) -> bool:
        return self.size > LIMIT


def few(numbers: list[int]) -> list[int]:
    found = []
    for number in numbers:
        if number < LIMIT and not number == 1:
            found.append(number)
    return found
'''


def names() -> list[str]:
    return [mutant.name for mutant in mutants(SOURCE)]


def test_a_mutant_is_named_by_its_function_and_what_became_of_which_code() -> None:
    assert {
        "Box.large: self.size > LIMIT -> self.size <= LIMIT",
        "Box.large: self.size > LIMIT -> self.size >= LIMIT",
        "Box.large: return self.size > LIMIT -> return None",
        "few: number < LIMIT and (not number == 1) -> number < LIMIT or not number == 1",
        "few: not number == 1 -> number == 1",
        "few: 1 -> 2",
        "few: for number in numbers: -> for number in ()",
        "few: if number < LIMIT and (not number == 1): -> if True:",
        "few: found.append(number) -> nothing",
        "module: 3 -> 4",
    } <= set(names())


def test_no_two_mutants_have_one_name_and_none_is_of_what_is_never_run() -> None:
    assert len(set(names())) == len(names())
    assert not any("What this" in name or "A box" in name or "int" in name.split(" -> ")[0] for name in names())


def test_a_module_that_is_given_a_mutant_s_code_behaves_like_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "to_be_infected.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("to_be_infected")
    few, box = module.few, module.Box(3)
    by_name = {mutant.name: mutant for mutant in mutants(SOURCE)}
    assert few([1, 2, 3]) == [2] and not box.large
    infect(module, by_name["few: not number == 1 -> number == 1"])
    infect_names = [name for name in sys.modules if name.endswith("_infected")]
    assert few([1, 2, 3]) == [1] and infect_names
    infect(module, by_name["Box.large: self.size > LIMIT -> self.size >= LIMIT"])
    assert few([1, 2, 3]) == [2] and box.large
    infect(module, by_name["module: 3 -> 4"])
    assert few([1, 2, 3]) == [2, 3]
    del sys.modules["to_be_infected"], sys.modules["to_be_infected_infected"]


def test_what_is_argued_away_names_mutants_that_exist() -> None:
    for file, reasons in arguments().items():
        assert file in TARGETS
        known = {mutant.name for mutant in mutants((ROOT / file).read_text())}
        assert set(reasons) <= known, set(reasons) - known
        assert all(len(reason) > 20 for reason in reasons.values())


def test_a_score_counts_what_is_argued_away_as_nothing() -> None:
    assert Score("x", mutants=100, equivalent=["a"] * 20, survivors=mutants("x = 1\ny = 2\n")).share == 78 / 80
    assert Score("x").share == 1.0
