"""Witnesses: links in prose, and drawings."""

from __future__ import annotations

import re

from splitbrain.harness.report import witness
from splitbrain.harness.report.columns import columns
from splitbrain.harness.report.faults import bands


def links(text: str, *events: int, **moments: int) -> str:
    return str(
        witness.prose(text, events, {name.replace("_", ".").replace("s", " s"): at for name, at in moments.items()})
    )


def linked(text: str, *events: int) -> list[str]:
    return re.findall(r'<a class="op" href="#op=\d+">(\d+)</a>', links(text, *events))


def test_numbers_named_as_events_of_the_witness_become_links():
    assert linked("see #12", 12) == ["12"]
    assert linked("events 3, 4 and 5", 3, 4, 5) == ["3", "4", "5"]
    assert linked("operation 7 then op #8", 7, 8) == ["7", "8"]


def test_a_bare_number_may_be_a_value_and_is_none():
    assert links("add 17 to s0, R=2, n3", 17, 0, 2, 3) == "add 17 to s0, R=2, n3"


def test_the_zero_of_a_time_was_a_link_to_event_0():
    assert linked("write 0, events 0–1, 0.000 s (n2) to 0.113 s (n2)", 0, 1) == ["0", "1"]
    assert linked("events 0–1, 10.000 s", 0, 1, 10) == ["0", "1"]


def test_a_number_that_is_no_event_of_the_witness_is_no_link():
    assert linked("transaction 72, and operation 100", 144, 148) == []


def test_the_moment_of_a_witness_s_event_becomes_a_link():
    text = links("told at 41.084 s, until 50.000 s", **{"41_084s": 9})
    assert text == 'told at <a class="op" href="#op=9">41.084 s</a>, until 50.000 s'


def test_prose_is_escaped_around_and_inside_of_links():
    assert links('<b>#3</b> & "x"', 3).startswith("&lt;b&gt;#<a ")


def history(parse, event):
    cut = {"fault": "partition", "phase": "start", "shape": "halves"}
    return parse(
        event(0, 0, "invoke", "add", key="s0", value=1),
        event(2, 0, "ok", "add", key="s0", value=1),
        event(5, "nemesis", "info", "start-partition", value=cut),
        event(6, "nemesis", "info", "start-partition", value=cut | {"evidence": {"effective": True}}),
        event(9_000, "nemesis", "info", "stop-partition", value={"fault": "partition", "phase": "stop"}),
        event(60_000, 0, "invoke", "read", key="s0"),
        event(60_001, 0, "ok", "read", key="s0", value=list(range(2, 50))),
    )


def found(parse, event):
    past = history(parse, event)
    about = {"kind": "lost", "value": 1, "lost": [{"index": 1, "value": 1}, {"index": 5, "value": 2}]}
    part = {"verdict": "invalid", "reason": "r", "witness": {"text": "t", "events": [0, 1, 4, 5, 6], "data": about}}
    table = columns(past)
    return past, table, witness.anomalies({"verdict": "invalid", "checkers": {"lost-writes": part}}, table)


def test_a_drawing_keeps_order_and_lies_within_its_breadth(parse, event):
    past, table, (anomaly,) = found(parse, event)
    drawing = witness.draw(anomaly, table, bands(past))
    assert [row.operation for row in drawing["rows"]] == [0, 1]
    first, last = drawing["rows"]
    assert 0 <= first.left < first.left + first.width < last.left < last.left + last.width <= 100
    ((left, width, band, named),) = drawing["bands"]
    assert first.left + first.width < left < left + width < last.left
    assert band.title == "partition halves" and named


def test_a_long_read_says_whether_it_holds_the_value_in_question(parse, event):
    past, table, (anomaly,) = found(parse, event)
    rows = witness.draw(anomaly, table, [])["rows"]
    assert witness.cells(past, table, rows[1], anomaly.data)["value"] == "48 values, without 1"


def test_other_anomalies_of_the_same_kind_are_taken_from_the_witness_s_data(parse, event):
    _, _, (anomaly,) = found(parse, event)
    assert anomaly.others_name == "lost"
    assert [each["index"] for each in anomaly.others] == [1, 5]


def test_invalid_witnesses_come_before_others(parse, event):
    table = columns(history(parse, event))
    part = {"reason": "r", "witness": {"text": "a", "events": [0]}}
    checkers = {"first": part | {"verdict": "unknown"}, "second": {**part, "verdict": "invalid"}}
    checkers["second"]["witness"] = {"text": "b", "events": [5]}
    assert [each.checker for each in witness.anomalies({"checkers": checkers}, table)] == ["second", "first"]


def test_final_reads_a_minute_later_are_not_looked_at_together_with_the_lost_write(parse, event):
    _, table, (anomaly,) = found(parse, event)
    assert anomaly.focus == 1
    assert witness.together(anomaly, table, 0) == [0]


def test_what_the_verdict_counts_is_the_total_and_not_what_the_witness_lists(parse, event):
    past = history(parse, event)
    about = {"lost": [{"index": 1, "value": 1}]}
    part = {"verdict": "invalid", "lost": 193, "witness": {"text": "t", "events": [0, 1], "data": about}}
    (anomaly,) = witness.anomalies({"checkers": {"lost-writes": part}}, columns(past))
    assert (len(anomaly.others), anomaly.total) == (1, 193)
