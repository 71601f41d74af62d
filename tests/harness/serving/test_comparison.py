"""Two runs: what differs, by name, and from which event on."""

from __future__ import annotations

import pytest

from splitbrain.harness.serving.comparison import Comparison, compared
from splitbrain.harness.serving.run_index import RunIndex
from tests.harness.serving.conftest import EVENTS, results

ONE, OTHER = "sets/20261101T000000Z", "sets/20261102T000000Z"


@pytest.fixture
def compare(root):
    def compare() -> Comparison:
        index = RunIndex([root])
        index.refresh()
        one, other = index.run(f"runs/{ONE}"), index.run(f"runs/{OTHER}")
        assert one is not None and other is not None
        return compared(one, other)

    return compare


def told(differences) -> dict[str, tuple[str, str]]:
    return {each.name: (each.one, each.other) for each in differences}


def test_runs_that_are_the_same_differ_in_nothing(make, compare):
    make(ONE, results=results())
    make(OTHER, results=results())
    found = compare()
    assert (found.settings, found.verdicts, found.figures, found.parting, found.lines) == ((), (), (), None, 4)


def test_settings_differ_by_their_full_names_and_what_one_lacks_differs_too(make, compare):
    make(
        ONE,
        {
            "config": {"r": "1", "only": "x"},
            "system_config": {"n": "3"},
            "nodes": ["n1", "n2"],
            "rate": 5,
            "command": "a",
        },
    )
    make(OTHER, {"config": {"r": "2"}, "system_config": {"n": "3"}, "nodes": ["n1"], "rate": 5.0, "command": "b"})
    assert told(compare().settings) == {
        "config.r": ("1", "2"), "config.only": ("x", ""), "nodes": ("n1, n2", "n1"), "rate": ("5", "5.0"),
    }  # fmt: skip


def test_verdicts_and_figures_differ_by_checker(make, compare):
    make(ONE, results=results("invalid", p99=1234.56))
    make(OTHER, results=results("valid"))
    found = compare()
    assert told(found.verdicts)["latency"] == ("invalid", "valid")
    assert told(found.figures) == {"p99": ("1,234.6 ms", "12.5 ms")}


@pytest.mark.parametrize("at", range(4))
def test_the_first_event_that_differs_is_found_with_what_differs_in_it(make, compare, at):
    make(ONE)
    lines = [line if number < at else line.replace('"process":', '"process":4') for number, line in enumerate(EVENTS)]
    (make(OTHER) / "history.jsonl").write_text("\n".join(lines) + "\n")
    parting = compare().parting
    assert parting is not None and parting.line == at + 1
    process = "01"[at > 1]
    assert told(parting.fields) == {"process": (process, f"4{process}")}
    assert parting.before == (EVENTS[at - 1] if at else "")
    assert (parting.one, parting.other) == (EVENTS[at], lines[at])


def test_a_history_that_ends_earlier_parts_there(make, compare):
    make(ONE)
    (make(OTHER) / "history.jsonl").write_text("\n".join(EVENTS[:3]) + "\n")
    parting = compare().parting
    assert parting is not None
    assert (parting.line, parting.one, parting.other, parting.fields) == (4, EVENTS[3], "", ())


def test_the_same_events_written_in_another_way_are_the_same(make, compare):
    make(ONE)
    spaced = [line.replace(",", ", ").replace('"index": 0', '"index":0') for line in EVENTS]
    (make(OTHER) / "history.jsonl").write_text("\n".join(spaced) + "\n")
    found = compare()
    assert (found.parting, found.lines) == (None, 4)


@pytest.mark.parametrize("line", ["{", "\x00", '{"index":0', "[1]", "5"])
def test_lines_that_are_no_events_are_compared_as_they_are(make, compare, line):
    for name, text in ((ONE, line), (OTHER, f"{line} ")):
        (make(name) / "history.jsonl").write_text(f"{text}\n")
    parting = compare().parting
    same = line in ("[1]", "5")
    assert (parting is None) == same


def test_a_run_without_a_history_is_named_and_the_rest_compared(make, compare):
    make(ONE)
    (make(OTHER, {"seed": 8}) / "history.jsonl").unlink()
    found = compare()
    assert (found.without_history, found.parting) == ((f"runs/{OTHER}",), None)
    assert told(found.settings) == {"seed": ("7", "8")}
