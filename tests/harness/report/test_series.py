"""Series: exact counts, honest gaps."""

from __future__ import annotations

import pytest

from splitbrain.harness.report import series
from splitbrain.harness.report.columns import columns


def poll(event, at, process, node, versions, *, home=True, key="k"):
    value = {"home": home, "versions": versions, "values": versions, "hinted": 0}
    return [
        event(at, process, "invoke", "replica", key=key, node=node),
        event(at, process, "ok", "replica", key=key, node=node, value=value),
    ]


@pytest.mark.parametrize(("duration", "width"), [(60, 0.5), (0, 0.001), (0.24, 0.001), (3600, 20), (240, 1)])
def test_bins_are_round_and_bounded(duration, width):
    assert series.bin_seconds(duration) == pytest.approx(width)
    assert duration / series.bin_seconds(duration) <= series.BINS


def test_rates_and_availability_count_completions_and_leave_gaps(parse, event):
    history = parse(
        event(0, 0, "invoke", "read"),
        event(100, 0, "ok", "read"),
        event(100, 0, "invoke", "read"),
        event(110, 0, "fail", "read", error="busy: no"),
        event(239_000, 0, "invoke", "read"),
        event(239_500, 0, "info", "read"),
    )
    found = series.over_time(columns(history))
    assert found["bin_s"] == 1
    assert (found["rate"]["ok"][0], found["rate"]["fail"][0], found["rate"]["info"][239]) == (1, 1, 1)
    assert found["availability"][0] == 0.5
    assert found["availability"][100] is None
    assert found["availability"][239] == 0.0


def test_an_operation_that_never_completed_is_no_completion(parse, event):
    found = series.over_time(columns(parse(event(0, 0, "invoke", "read"), event(1, 1, "invoke", "read"))))
    assert sum(sum(rate) for rate in found["rate"].values()) == 0


def test_quantiles_are_nearest_rank_of_ok_operations_only(parse, event):
    events = []
    for number, took in enumerate([10, 20, 30, 40]):
        events += [event(number * 100, 0, "invoke", "add"), event(number * 100 + took, 0, "ok", "add")]
    events += [event(500, 0, "invoke", "read"), event(900, 0, "fail", "read"), event(900_000, 1, "invoke", "read")]
    found = series.over_time(columns(parse(*events)))
    assert [found["latency"]["all"][name][0] for name in ("p50", "p95", "max")] == [20, 40, 40]
    assert "read" not in found["latency"]


def test_replica_polls_are_no_load(parse, event):
    history = parse(*poll(event, 5, 0, "n1", ["a"]))
    assert sum(series.over_time(columns(history))["rate"]["ok"]) == 0


def test_siblings_of_registers_are_what_a_read_returned(parse, event):
    history = parse(
        event(0, 0, "invoke", "put", key="r1", value={"write": 1}),
        event(1, 0, "ok", "put", key="r1", value={"write": 1, "seen": []}),
        event(2, 0, "invoke", "read", key="r1"),
        event(3, 0, "ok", "read", key="r1", value=[1, 2, 3]),
    )
    source, found = series.sightings(history)
    assert "read" in source
    assert [(each.key, each.count) for each in found] == [("r1", 3)]
    assert series.siblings(found, 1)["most"] == [3]


def test_siblings_of_sets_are_the_versions_of_a_home_replica(parse, event):
    history = parse(
        event(0, 0, "invoke", "read", key="k"),
        event(1, 0, "ok", "read", key="k", value=[1, 2, 3, 4]),
        *poll(event, 2, 0, "n1", ["a", "b"]),
        *poll(event, 3, 0, "n2", ["a", "b", "c"], home=False),
    )
    source, found = series.sightings(history)
    assert "replica" in source
    assert [each.count for each in found] == [2]


def test_an_operation_that_waited_for_a_free_client_is_drawn_late_from_when_it_was_due(parse, event):
    late = event(50, 0, "invoke", "add") | {"due": 10_000_000}
    found = series.over_time(columns(parse(late, event(60, 0, "ok", "add"))))
    assert found["latency"]["add"]["max"][-1] == 50


def test_siblings_end_before_a_silence_and_begin_after_it():
    seen = [series.Sighting(int(at * 1e9), "k", 1 + (at > 20)) for at in (1, 2, 3, 4, 25, 26, 27)]
    found = series.siblings(seen, 60)
    gap = found["t"].index(next(at for at in found["t"] if at > 4.5))
    assert found["t"][gap] < 6 and found["most"][gap] is None and found["mean"][gap] is None
    assert found["most"] == [1, 1, 1, 1, None, 2, 2, 2]


def test_availability_in_a_total_outage_is_zero_and_not_blank(parse, event):
    history = parse(
        event(0, 0, "invoke", "read"),
        event(1, 0, "ok", "read"),
        event(5_000, 1, "invoke", "read"),
        event(9_000, 1, "info", "read", error="timeout: no answer"),
        event(10_000, 2, "invoke", "read"),
    )
    found = series.over_time(columns(history))
    shown = zip(found["t"], found["availability"], strict=True)
    assert [(int(at), share) for at, share in shown if share is not None] == [(0, 1), (5, 0), (10, 0)]
