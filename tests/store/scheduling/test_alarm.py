"""The alarm: wakes a core in time, and is moved only when it has to be."""

from __future__ import annotations

from splitbrain.store.scheduling.alarm import Alarm
from splitbrain.store.scheduling.timers import Timers


class Clock:
    """A loop in virtual time. delays: of every `call_later`."""

    def __init__(self):
        self.now = 100.0
        self.timers = Timers()
        self.delays = []

    def call_later(self, delay, callback):
        self.delays.append(delay)
        return self.timers.at(self.now + delay, callback)

    def pass_to(self, moment):
        self.now = moment
        self.timers.run(moment)


def alarm():
    clock, rung = Clock(), []
    return clock, rung, Alarm(lambda: rung.append(clock.now), lambda: clock.now, lambda: clock)


def test_it_wakes_the_core_once_at_the_time_it_was_set_to():
    clock, rung, each = alarm()
    each.set(101.5)
    clock.pass_to(101.4)
    assert rung == []
    clock.pass_to(101.5)
    clock.pass_to(200.0)
    assert rung == [101.5]


def test_a_time_that_has_passed_wakes_the_core_at_once():
    clock, rung, each = alarm()
    each.set(99.0)
    assert clock.delays == [0.0]
    clock.pass_to(100.0)
    assert rung == [100.0]


def test_an_earlier_time_replaces_a_later_one():
    clock, rung, each = alarm()
    each.set(105.0)
    each.set(102.0)
    clock.pass_to(110.0)
    assert rung == [110.0]
    assert clock.delays == [5.0, 2.0]


def test_a_later_time_or_none_does_not_move_it():
    clock, rung, each = alarm()
    each.set(102.0)
    each.set(103.0)
    each.set(None)
    assert clock.delays == [2.0]
    clock.pass_to(102.0)
    assert rung == [102.0]


def test_after_it_rang_it_can_be_set_to_any_time_again():
    clock, rung, each = alarm()
    each.set(101.0)
    clock.pass_to(101.0)
    each.set(150.0)
    clock.pass_to(150.0)
    assert rung == [101.0, 150.0]


def test_a_cancelled_alarm_never_rings():
    clock, rung, each = alarm()
    each.set(101.0)
    each.cancel()
    clock.pass_to(200.0)
    assert rung == []
