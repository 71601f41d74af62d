"""Fault bands."""

from __future__ import annotations

from splitbrain.harness.report.faults import bands, stages

CUT = {"fault": "partition", "phase": "start", "shape": "halves", "cut": [["n1", "n2"]]}
SEEN = {
    "effective": True,
    "detail": "1 of 1 silent",
    "links": [{"source": "n1", "target": "n2", "cut": True, "heard": False}],
}


def test_a_fault_stands_from_its_start_s_completion_to_its_stop_s_invocation(parse, event):
    heal = {"fault": "partition", "phase": "stop"}
    (band,) = bands(
        parse(
            event(10, "nemesis", "info", "start-partition", value=CUT),
            event(12, "nemesis", "info", "start-partition", value=CUT | {"evidence": SEEN}),
            event(20, "nemesis", "info", "stop-partition", value=heal),
            event(
                25, "nemesis", "info", "stop-partition", value=heal | {"evidence": {"effective": True, "dropped": 7}}
            ),
        )
    )
    assert (band.start_ns, band.stop_ns) == (12_000_000, 20_000_000)
    assert (band.title, band.effective, band.healed, band.dropped) == ("partition halves", True, True, 7)
    assert band.silent == ("n1→n2",)
    assert band.events == (0, 1, 2, 3)


def test_a_fault_of_a_killed_run_stands_to_the_end_and_is_unconfirmed(parse, event):
    (band,) = bands(parse(event(10, "nemesis", "info", "start-partition", value=CUT), event(30, 0, "invoke", "read")))
    assert (band.start_ns, band.stop_ns, band.effective, band.healed) == (10_000_000, 30_000_000, None, None)
    assert "never stopped" in band.healed_detail


def test_a_fault_that_failed_took_no_effect_and_says_why(parse, event):
    (band,) = bands(
        parse(
            event(10, "nemesis", "info", "start-partition", value=CUT),
            event(12, "nemesis", "info", "start-partition", value=CUT, error="refused: no such chain"),
        )
    )
    assert band.effective is False
    assert band.detail == "refused: no such chain"


def test_a_stage_lasts_until_the_next(parse, event):
    marks = [
        event(at, "nemesis", "info", "stage", value=name) for at, name in ((0, "load"), (5, "recovery"), (9, "end"))
    ]
    assert [(stage.name, stage.start_ns, stage.stop_ns) for stage in stages(parse(*marks))] == [
        ("load", 0, 5_000_000),
        ("recovery", 5_000_000, 9_000_000),
        ("end", 9_000_000, 9_000_000),
    ]
