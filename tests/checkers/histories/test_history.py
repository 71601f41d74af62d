from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitbrain.checkers.histories.event import Event, HistoryError, encode
from splitbrain.checkers.histories.formats import read
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.histories.jepsen import edn_lines
from tests.checkers import generate
from tests.checkers.script import Script

GOOD = Script().add(1, at=1).cut(at=3).add(2, at=5, process=1, type_="info").read([1], at=7).events


def lines_of(events: list[Event]) -> list[bytes]:
    return [encode(event) for event in events]


def changed(position: int, **changes: object) -> list[bytes]:
    return lines_of([msgspec.structs.replace(e, **changes) if e.index == position else e for e in GOOD])


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=True), st.sampled_from(generate.SHAPES))
def test_a_history_survives_being_written_and_read(random: Random, shape: str) -> None:
    history = generate.history(random, shape)
    again = History.parse(lines_of(list(history.events)))
    assert list(again.events) == list(history.events)
    assert not again.truncated


def test_optional_fields_that_are_absent_are_not_written() -> None:
    assert encode(Event(0, 5, 1, "invoke", "read")) == b'{"index":0,"time":5,"process":1,"type":"invoke","f":"read"}\n'


def test_a_history_can_be_read_from_text_and_from_a_file(tmp_path: object) -> None:
    text = [line.decode() for line in lines_of(GOOD)]
    assert list(History.parse(text).events) == GOOD


def test_blank_lines_are_skipped() -> None:
    lines = lines_of(GOOD)
    assert list(History.parse([lines[0], b"\n", *lines[1:], b"\n"]).events) == GOOD


def test_a_last_line_cut_off_anywhere_is_dropped_and_said_so() -> None:
    lines = lines_of(GOOD)
    for length in range(1, len(lines[-1]) - 1):
        history = History.parse([*lines[:-1], lines[-1][:length]])
        assert history.truncated
        assert history.cut_at == len(lines)
        assert list(history.events) == GOOD[:-1]


def test_a_last_line_cut_off_inside_a_character_is_dropped() -> None:
    line = encode(Event(0, 0, 0, "invoke", "add", "schlüssel"))
    assert History.parse([line[: line.index("ü".encode()) + 1]]).truncated


@pytest.mark.parametrize(
    "end",
    [
        b"garbage",
        b"{garbage",
        b'{"index":9 "time"',
        encode(GOOD[0]).strip() + b" " + encode(GOOD[1]).strip(),
        b'{"index":0,"time":0,"process":0,"type":"ok","f":"add","value":"\\ud800"}',
    ],
)
def test_what_more_text_could_not_have_made_an_event_was_not_cut_off(end: bytes) -> None:
    lines = lines_of(GOOD)
    with pytest.raises(HistoryError, match=f"line {len(lines) + 1}: not a history event"):
        History.parse([*lines, end])


@pytest.mark.parametrize("end", [b'{"index":0,"time":-', b'{"index":0,"time":1.', b'{"index":0,"f":"\\ud8', b"{"])
def test_a_number_or_an_escape_that_ends_early_was_cut_off(end: bytes) -> None:
    assert History.parse([end]).cut_at == 1


@pytest.mark.parametrize("text", ['"\\ud800"', '"\\udc00"', '"a\\ud800b"'])
def test_half_of_a_surrogate_pair_is_called_that(text: str) -> None:
    line = f'{{"index":0,"time":0,"process":0,"type":"ok","f":"add","value":{text}}}\n'
    with pytest.raises(HistoryError, match="a string has half of a surrogate pair"):
        History.parse([line.encode()])


def test_a_complete_last_line_without_its_newline_counts() -> None:
    lines = lines_of(GOOD)
    history = History.parse([*lines[:-1], lines[-1].rstrip(b"\n")])
    assert list(history.events) == GOOD
    assert not history.truncated


def test_a_broken_line_with_others_after_it_is_an_error_that_names_it() -> None:
    lines = lines_of(GOOD)
    with pytest.raises(HistoryError, match="line 2: not a history event") as caught:
        History.parse([lines[0], lines[1][:20], *lines[2:]])
    assert caught.value.line == 2


def test_a_broken_last_line_that_has_its_newline_is_an_error() -> None:
    with pytest.raises(HistoryError, match="line 1"):
        History.parse([b'{"index":0,\n'])


def test_a_complete_object_of_the_wrong_shape_is_an_error_even_as_a_last_line_without_newline() -> None:
    with pytest.raises(HistoryError, match="line 1"):
        History.parse([b'{"index":0,"time":0,"process":0,"type":"maybe","f":"add"}'])


@pytest.mark.parametrize(
    ("lines", "line", "problem"),
    [
        (changed(1, index=5), 2, "index is 5, expected 1"),
        (changed(1, index=0), 2, "index is 0, expected 1"),
        (changed(2, type="ok"), 3, "it must be 'info'"),
        (changed(1, type="invoke"), 2, "process 0 invokes 'add' while its last operation is open"),
        (changed(6, process=1), 7, "process 1 invokes 'read' after an 'info' retired it"),
        (changed(1, process=7), 2, "process 7 completes 'add' which it never invoked"),
        (changed(1, f="read"), 2, "process 0 completes 'read' but had invoked 'add'"),
        (changed(1, key="s9"), 2, "process 0 completes 'add' of key 's9', invoked of 's0'"),
        (changed(3, process="chaos"), 4, "not a history event"),
        (changed(3, process=1.5), 4, "not a history event"),
        (changed(0, time="soon"), 1, "not a history event"),
        (changed(0, process=-1), 1, "has a number below 0"),
        (changed(0, process=-(2**63)), 1, "has a number below 0"),
        (changed(0, time=1 << 63), 1, "time is 9223372036854775808, no integer of 64 bits"),
    ],
)
def test_what_breaks_the_structure_is_an_error_that_names_its_line(lines: list[bytes], line: int, problem: str) -> None:
    with pytest.raises(HistoryError) as caught:
        History.parse(lines)
    assert caught.value.line == line
    assert problem in str(caught.value)


def test_operations_pair_each_invocation_with_its_completion_in_order_of_invocation() -> None:
    script = Script().invoke(0, "add", "s0", 1, at=1).invoke(1, "read", "s0", at=2)
    script.complete(1, "ok", [], at=3).invoke(1, "read", "s0", at=4).complete(0, "ok", 1, at=5)
    operations = script.history.operations
    assert [(o.process, o.f, o.outcome) for o in operations] == [
        (0, "add", "ok"),
        (1, "read", "ok"),
        (1, "read", "info"),
    ]
    assert [o.completion.index if o.completion else None for o in operations] == [4, 2, None]


def test_an_operation_without_completion_is_info_and_has_the_value_it_was_invoked_with() -> None:
    (operation,) = Script().invoke(0, "add", "s0", 7, at=1).history.operations
    assert operation.outcome == "info"
    assert operation.value == 7


def test_nemesis_events_are_no_operations() -> None:
    history = Script().stage("load", at=0).cut(at=1).history
    assert history.operations == []
    assert [event.f for event in history.nemesis] == ["stage", "start-partition", "start-partition"]


def test_a_value_nested_too_deep_is_an_error_and_no_crash_that_cut_the_line_off() -> None:
    deep = b'{"index":0,"time":0,"process":0,"type":"invoke","f":"add","value":' + b"[" * 100_000
    with pytest.raises(HistoryError, match="line 1"):
        History.parse([deep])


def test_events_of_a_history_that_was_read_can_be_sliced_and_counted_from_the_end() -> None:
    events = History.parse(lines_of(GOOD)).events
    assert events[-1] == GOOD[-1]
    assert events[1:3] == GOOD[1:3]
    with pytest.raises(IndexError):
        events[len(GOOD)]


def test_a_history_of_events_is_held_to_the_rules_as_soon_as_its_operations_are_asked_for() -> None:
    with pytest.raises(HistoryError, match="line 2: process 0 invokes 'add' while its last operation is open"):
        _ = History([Event(0, 0, 0, "invoke", "add", "s0", 1), Event(1, 1, 0, "invoke", "add", "s0", 2)]).operations


def test_when_a_late_operation_was_due_survives_being_written_and_read() -> None:
    events = [Event(0, 5, 1, "invoke", "read", due=2), Event(1, 9, 1, "ok", "read")]
    assert encode(events[0]) == b'{"index":0,"time":5,"process":1,"type":"invoke","f":"read","due":2}\n'
    again = History.parse(lines_of(events))
    assert list(again.events) == events
    assert [event.intended_time for event in again.events] == [2, 9]
    assert list(read(edn_lines(again)).events) == events


@pytest.mark.parametrize(
    ("position", "due", "problem"),
    [
        (0, 2_000_000, "line 1: due is 2000000, after the invocation's time, 1000000"),
        (0, -(2**64), "line 1: due is -18446744073709551616, after"),
        (1, 0, "line 2: due is for invocations only"),
    ],
)
def test_a_due_time_that_can_not_be_is_refused_with_its_line(position: int, due: int, problem: str) -> None:
    with pytest.raises(HistoryError, match=problem):
        History.parse(changed(position, due=due))
