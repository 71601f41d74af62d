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


def test_a_round_ends_when_a_node_answers_again(parse, event):
    history = parse(
        *poll(event, 1, 0, "n1", ["a"]),
        *poll(event, 2, 0, "n2", ["b"]),
        *poll(event, 3, 0, "n4", ["z"], home=False),
        *poll(event, 8, 0, "n1", ["b"]),
        *poll(event, 9, 0, "n2", ["b"]),
    )
    assert [(look.distinct, len(look.lists)) for look in series.rounds(history)["k"]] == [(2, 2), (1, 2)]


def test_one_replica_alone_shows_no_agreement(parse, event):
    assert series.rounds(parse(*poll(event, 1, 0, "n1", ["a"])))["k"] == []


def test_replica_polls_that_are_none_leave_the_page_without_divergence(parse, event):
    history = parse(event(0, 0, "invoke", "replica", key="k"), event(1, 0, "ok", "replica", key="k", value=7))
    assert series.rounds(history) == {}


def test_keys_that_still_differ_come_first_and_many_keys_are_cut():
    def looks(*distinct):
        return [series.Round(at, {str(n): (str(n),) for n in range(d)}) for at, d in enumerate(distinct)]

    found = series.divergence({"calm": looks(1, 1), "past": looks(2, 1), "now": looks(1, 2)})
    assert found["keys"] == ["now", "past", "calm"]
    crowd = series.divergence({f"k{n}": looks(1) for n in range(100)})
    assert (len(crowd["keys"]), crowd["left_out"]) == (series.KEYS_DRAWN, 100 - series.KEYS_DRAWN)


def test_long_series_of_polls_keep_every_change():
    steady = [series.Round(at, {"a": ("x",), "b": ("y",) if at == 5_000 else ("x",)}) for at in range(10_000)]
    kept = series.divergence({"k": steady})["rounds"][0]
    assert [distinct for _, distinct, _ in kept] == [1, 2, 1, 1]


def test_an_operation_that_waited_for_a_free_client_is_drawn_late_from_when_it_was_due(parse, event):
    late = event(50, 0, "invoke", "add") | {"due": 10_000_000}
    found = series.over_time(columns(parse(late, event(60, 0, "ok", "add"))))
    assert found["latency"]["add"]["max"][-1] == 50
