"""Timers run in order, and not when cancelled."""

from splitbrain.store.scheduling.timers import Timers


def test_callbacks_run_in_the_order_of_their_times_and_equal_times_in_the_order_they_were_set():
    timers, ran = Timers(), []
    for moment, name in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (3.0, "d")):
        timers.at(moment, lambda name=name: ran.append(name))
    timers.run(2.0)
    assert ran == ["a", "b", "c"]
    assert timers.next == 3.0


def test_a_cancelled_timer_never_runs_and_is_not_waited_for():
    timers, ran = Timers(), []
    timers.at(1.0, lambda: ran.append("x")).cancel()
    assert timers.next is None
    timers.run(9.0)
    assert ran == []


def test_what_a_callback_sets_for_now_runs_too():
    timers, ran = Timers(), []
    timers.at(1.0, lambda: timers.at(0.5, lambda: ran.append("x")))
    timers.run(1.0)
    assert ran == ["x"]
