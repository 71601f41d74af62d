"""Checkers of other packages: found by their entry points, as installed metadata names them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from splitbrain.checkers import Event, History, Outcome, catalogue, check, check_all, names
from splitbrain.checkers.registry import CHECKERS, find

NUMBERS = count()
HISTORY = History([Event(0, 0, 0, "invoke", "read"), Event(1, 1, 0, "ok", "read", value=13)])
MODULE = """
from splitbrain import Checker, Verdict, Witness

def no_thirteen(history, *, number: int = 13):
    found = [event.index for event in history.events if event.value == number]
    if found:
        return Verdict.invalid(f"{number} was read", Witness("it was read", tuple(found)))
    return Verdict.valid("no such read")

NO_THIRTEEN = Checker("no-thirteen", "nobody reads an unlucky number", no_thirteen)
LATENCY = Checker("latency", "everything is fast", no_thirteen)
MISNAMED = Checker("another-name", "misnamed", no_thirteen)
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a package's module and its entry points (lines of `name = module:attribute`) importable."""
    # A module's name of each test's own: what one test imported must not answer the next.
    module = f"unlucky_{next(NUMBERS)}"

    def install(entries: str) -> None:
        (tmp_path / f"{module}.py").write_text(MODULE)
        metadata = tmp_path / "unlucky-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: unlucky\nVersion: 1.0\n")
        lines = entries.replace("MODULE", module)
        (metadata / "entry_points.txt").write_text(f"[splitbrain.checkers]\n{lines}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return install


def test_a_registered_checker_judges_and_takes_its_options(installed: Callable[[str], None]) -> None:
    installed("no-thirteen = MODULE:NO_THIRTEEN")
    assert check("no-thirteen", HISTORY).outcome is Outcome.INVALID
    assert check("no-thirteen", HISTORY, number=4).outcome is Outcome.VALID
    with pytest.raises(ValueError, match="no-thirteen has no option 'sla_ms'; it has number"):
        check("no-thirteen", HISTORY, sla_ms=1)


def test_a_registered_checker_counts_in_a_composition_and_is_listed_last(installed: Callable[[str], None]) -> None:
    installed("no-thirteen = MODULE:NO_THIRTEEN")
    verdict = check_all(HISTORY, {"stats": {}, "no-thirteen": {}})
    assert verdict.outcome is Outcome.INVALID
    assert verdict.reason == "no-thirteen: 13 was read"
    assert names() == (*CHECKERS, "no-thirteen")
    assert catalogue()["no-thirteen"] == "nobody reads an unlucky number"


@pytest.mark.parametrize("name", ["latency", "elle"])
def test_a_registered_checker_can_not_take_the_name_of_one_of_ours(installed: Callable[[str], None], name: str) -> None:
    before = find(name)
    installed(f"{name} = MODULE:LATENCY")
    assert find(name) is before
    assert names() == tuple(CHECKERS)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("broken = unlucky_absent:IT", "can't be loaded .ModuleNotFoundError: No module named 'unlucky_absent'.; mend"),
        ("broken = MODULE:ABSENT", "can't be loaded .AttributeError: .*; mend or uninstall its package"),
        ("broken = MODULE:no_thirteen", "is of type function; it must be a splitbrain.Checker"),
        ("broken = MODULE:MISNAMED", "calls itself 'another-name'; give the entry point and the checker one name"),
    ],
)
def test_a_checker_that_can_not_be_loaded_is_named_and_hides_no_other(
    installed: Callable[[str], None], entry: str, said: str
) -> None:
    installed(f"{entry}\nno-thirteen = MODULE:NO_THIRTEEN")
    with pytest.raises(ValueError, match=f"the checker 'broken' .*{said}"):
        check("broken", HISTORY)
    listed = catalogue()
    assert "broken" in listed["broken"]
    assert listed["no-thirteen"] == "nobody reads an unlucky number"


def test_an_unknown_checker_is_refused_with_the_registered_ones_named(installed: Callable[[str], None]) -> None:
    installed("no-thirteen = MODULE:NO_THIRTEEN")
    with pytest.raises(ValueError, match=r"there is no checker 'thirteen'; there are .*, no-thirteen$"):
        check("thirteen", HISTORY)
