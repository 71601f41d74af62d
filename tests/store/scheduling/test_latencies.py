"""How long clients' requests took in the last minute."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitbrain.store.scheduling.latencies import BUCKETS_PER_OCTAVE, WINDOW_S, Latencies


@given(st.lists(st.floats(1e-6, 100.0), min_size=1, max_size=300), st.sampled_from([0.5, 0.99, 0.999, 1.0]))
def test_a_quantile_is_what_sorting_finds_to_a_bucket(seconds, share):
    latencies = Latencies()
    for i, took in enumerate(seconds):
        latencies.observe(took, 1000.0 + i / 300)
    exact = sorted(seconds)[math.ceil(share * len(seconds)) - 1]
    found = latencies.quantile(share, 1001.0)
    assert exact * 0.9999 <= found <= exact * 2 ** (1 / BUCKETS_PER_OCTAVE) * 1.0001


def test_nothing_recorded_has_no_quantile():
    assert Latencies().quantile(0.99, 0.0) is None
    assert Latencies().recent(0.99, 5, 0.0) is None


def test_what_is_older_than_a_minute_no_longer_counts():
    latencies = Latencies()
    latencies.observe(10.0, 100.0)
    latencies.observe(0.001, 130.0)
    assert latencies.quantile(1.0, 100.0 + WINDOW_S - 1) >= 10.0
    assert latencies.quantile(1.0, 100.0 + WINDOW_S) < 0.002
    assert latencies.count == 1
    assert latencies.quantile(1.0, 500.0) is None


def test_the_last_few_seconds_can_be_asked_for_apart():
    latencies = Latencies()
    latencies.observe(10.0, 100.0)
    latencies.observe(0.001, 104.0)
    assert latencies.recent(1.0, 5, 104.9) >= 10.0
    assert latencies.recent(1.0, 4, 104.9) < 0.002
    assert latencies.recent(1.0, 4, 109.0) is None


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9])
def test_what_took_no_time_counts_as_the_shortest(seconds):
    latencies = Latencies()
    latencies.observe(seconds, 0.0)
    assert latencies.quantile(1.0, 0.0) == pytest.approx(1e-6)


def test_a_minute_of_requests_takes_no_more_memory_than_its_buckets():
    latencies = Latencies()
    for i in range(100_000):
        latencies.observe(0.001 + (i % 7) / 1000, i / 1000)
    assert len(latencies._slots) <= WINDOW_S + 1
    assert max(len(slot) for _, slot in latencies._slots) <= 7
