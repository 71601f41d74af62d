"""The pulse: what a second held, whatever the pieces in which the history comes."""

from __future__ import annotations

import random

import pytest

from splitbrain.harness.serving.pulse import Pulse, Second
from tests.harness.serving.conftest import EVENTS

FAULT = (
    '{"index":4,"time":3000000000,"process":"nemesis","type":"info","f":"kill",'
    '"value":{"fault":"kill","phase":"PHASE","strike":2,"nodes":["n2"]}}'
)
TEXT = "".join(f"{line}\n" for line in EVENTS).encode()


def fed(text: bytes) -> Pulse:
    pulse = Pulse()
    pulse.feed(text)
    return pulse


def test_an_operation_counts_in_the_second_of_its_invocation():
    """A read asked at 1.5 s that failed at 2.5 s is the second second's."""
    pulse = fed(TEXT)
    assert pulse.seconds == [Second(ok=1, took_ms=[2.0]), Second(info=1)]
    assert [each.availability for each in pulse.seconds] == [1.0, 0.0]
    assert [each.p99_ms for each in pulse.seconds] == [2.0, None]
    assert (pulse.elapsed_s, pulse.events) == (2.5, 4)


def test_what_has_not_ended_is_open_and_no_failure():
    pulse = fed(b"\n".join(TEXT.split(b"\n")[:3]) + b"\n")
    assert pulse.counts == {"ok": 1, "fail": 0, "info": 0, "open": 1}
    assert pulse.seconds[1].availability is None


@pytest.mark.parametrize("seed", range(20))
def test_pieces_of_any_size_tell_the_same(seed):
    rng, pulse, at = random.Random(seed), Pulse(), 0
    while at < len(TEXT):
        size = rng.choice((1, 3, 50, 200))
        pulse.feed(TEXT[at : at + size])
        at += size
    assert pulse.as_dict() == fed(TEXT).as_dict()


def test_latency_counts_from_when_an_operation_was_due():
    late = TEXT.replace(b'"time":0,', b'"time":1000000,"due":0,').replace(b'"time":2000000', b'"time":9000000')
    assert fed(late).seconds[0].took_ms == [9.0]


def test_ninety_nine_of_a_hundred_took_at_most_so_long():
    assert Second(took_ms=[float(each) for each in range(1, 101)]).p99_ms == 100.0
    assert Second(took_ms=[float(each) for each in range(1, 202)]).p99_ms == 199.0


def test_looks_at_replicas_are_no_load():
    assert fed(TEXT.replace(b'"f":"read"', b'"f":"replica"')).counts == {"ok": 1, "fail": 0, "info": 0, "open": 0}


def test_a_fault_stands_from_its_last_start_to_its_first_stop():
    begun = FAULT.replace("PHASE", "start")
    lines = [begun, begun.replace("3000", "3100"), FAULT.replace("PHASE", "stop").replace("3000", "4500")]
    pulse = fed("".join(f"{line}\n" for line in lines[:2]).encode())
    assert [(span.name, span.start_s, span.stop_s) for span in pulse.faults] == [("kill n2", 3.1, None)]
    pulse.feed(f"{lines[2]}\n".encode())
    assert [(span.name, span.start_s, span.stop_s) for span in pulse.faults] == [("kill n2", 3.1, 4.5)]


def test_a_stop_of_another_strike_ends_no_fault_and_one_without_a_number_ends_all():
    begun, stop = FAULT.replace("PHASE", "start"), FAULT.replace("PHASE", "stop")
    another, any_of_them = stop.replace('"strike":2', '"strike":3'), stop.replace('"strike":2,', "")
    pulse = fed(f"{begun}\n{another}\n".encode())
    assert [span.stop_s for span in pulse.faults] == [None]
    pulse.feed(f"{any_of_them}\n".encode())
    assert [span.stop_s for span in pulse.faults] == [3.0]


@pytest.mark.parametrize(
    "line",
    [b"{", b"[]", b"\xff\xff", b"{}", b'{"time":-1,"process":0,"type":"ok"}', b'{"time":9e99,"process":0,"type":"ok"}',
     b'{"time":900000000000000000,"process":0,"type":"invoke"}', b'{"time":true,"process":0,"type":"ok"}'],
)  # fmt: skip
def test_a_line_that_is_no_event_is_counted_and_passed_over(line):
    pulse = fed(line + b"\n" + TEXT)
    assert pulse.unreadable == 1
    assert pulse.as_dict() == fed(TEXT).as_dict()


@pytest.mark.parametrize("value", ['"x"', "5", "null", '{"fault":5}', '{"fault":"kill","nodes":{"a":1},"shape":[1]}'])
def test_a_nemesis_may_say_anything(value):
    event = f'{{"time":1,"process":"nemesis","type":"info","f":"kill","value":{value}}}\n'
    assert fed(event.encode()).faults == []


def test_what_is_told_again_begins_where_it_is_asked_from():
    told = fed(TEXT).as_dict(since=1)
    assert (told["from"], told["seconds"]) == (1, [[0, 0, 1, 0, 0.0, None]])
