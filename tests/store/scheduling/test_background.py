"""Background work goes on, and clients come first."""

from __future__ import annotations

import itertools
import math
import random
from functools import partial

import pytest

from splitbrain.store.actions import Instant
from splitbrain.store.scheduling.background import PAUSE_MAX_S, PAUSE_MIN_S, SPARE_MAX, Background
from splitbrain.store.scheduling.timers import Present, Timers

THRESHOLD_S = 0.05
SLICES = 15_000


class Machine:
    """A node's background work in virtual time, and a disk that clients share with it: each slice keeps it busy."""

    def __init__(self, threshold_s=THRESHOLD_S, seed=0):
        self.timers, self.present = Timers(), Present(Instant(100.0, 0))
        self.background = Background(self.timers, self.present, threshold_s)
        self.rng = random.Random(seed)
        self.busy_until = 0.0
        self.taken = []
        self.ran = []

    @property
    def now(self):
        return self.present.now.monotonic

    def run_for(self, seconds, *, requests_per_s=0.0, work_s=0.004):
        """work_s: what the disk needs for a client's request."""
        end = self.now + seconds
        arrival = self._next_arrival(requests_per_s)
        while True:
            wake = self.timers.next
            moment = min(end, arrival, math.inf if wake is None else wake)
            self.present.now = Instant(max(self.now, moment), 0)
            if moment == end:
                return
            if moment == arrival:
                self.busy_until = max(self.now, self.busy_until) + work_s
                self.background.observe(self.busy_until - self.now, self.now)
                self.taken.append((self.now, self.busy_until - self.now))
                arrival = self._next_arrival(requests_per_s)
            else:
                self.timers.run(self.now)

    def work(self, name, slices, slice_s=0.005):
        """A mechanism with that many slices to do."""
        if slices:

            def slice_of_work():
                self.ran.append((self.now, name))
                self.busy_until = max(self.now, self.busy_until) + slice_s
                self.work(name, slices - 1, slice_s)

            self.background.soon(slice_of_work)

    @property
    def p99(self):
        """Of clients' requests, up to the last slice."""
        ordered = sorted(took for at, took in self.taken if at <= self.ran[-1][0])
        return ordered[math.ceil(0.99 * len(ordered)) - 1]

    def _next_arrival(self, per_s):
        return self.now + self.rng.expovariate(per_s) if per_s else math.inf


def test_without_clients_slices_run_as_fast_as_they_come():
    machine = Machine()
    machine.work("handoff", 100)
    machine.run_for(100 * PAUSE_MIN_S + 0.01)
    assert len(machine.ran) == 100


def test_a_slice_never_runs_in_the_call_that_asks_for_it():
    machine = Machine()
    machine.work("handoff", 1)
    assert machine.ran == []
    machine.run_for(0.01)
    assert len(machine.ran) == 1


def test_between_two_slices_there_is_always_time_for_a_datagram():
    machine = Machine()
    machine.work("handoff", 50)
    machine.run_for(1.0)
    moments = [moment for moment, _ in machine.ran]
    assert min(b - a for a, b in itertools.pairwise(moments)) >= PAUSE_MIN_S * 0.999


def test_mechanisms_take_turns():
    machine = Machine()
    for name in ("handoff", "transfer", "anti-entropy"):
        machine.work(name, 10)
    machine.run_for(1.0)
    assert [name for _, name in machine.ran] == ["handoff", "transfer", "anti-entropy"] * 10


def test_a_mechanism_with_one_slice_does_not_wait_for_all_of_another():
    machine = Machine()
    machine.work("anti-entropy", 10_000)
    machine.run_for(0.1)
    machine.work("handoff", 1)
    machine.run_for(0.01)
    assert "handoff" in {name for _, name in machine.ran}


def test_however_slow_clients_are_background_work_goes_on():
    """Their own fault, or the disk's: a cluster that stopped handing off then would never get out of it."""
    machine = Machine()
    for second in range(600):
        machine.background.observe(10.0, machine.now)
        if not second % 10:
            machine.work("handoff", 1)
        machine.run_for(1.0)
    assert len(machine.ran) == 60
    machine.work("handoff", 40)
    began = machine.now
    for _ in range(10):
        machine.background.observe(10.0, machine.now)
        machine.run_for(1.0)
    assert len(machine.ran) == 60 + 40
    assert machine.ran[-1][0] - began > 30 * PAUSE_MAX_S


def test_once_clients_are_fast_again_work_speeds_up():
    machine = Machine()
    machine.work("transfer", 100_000)
    for _ in range(60):
        machine.background.observe(10.0, machine.now)
        machine.run_for(1.0)
    slow = len(machine.ran)
    machine.run_for(60.0)
    machine.ran.clear()
    machine.run_for(60.0)
    assert len(machine.ran) > 10 * slow


def run_under_load(threshold_s, seed):
    machine = Machine(threshold_s, seed)
    machine.work("anti-entropy", SLICES)
    machine.run_for(600.0, requests_per_s=100)
    return machine


@pytest.mark.parametrize("seed", range(3))
def test_anti_entropy_does_not_starve_clients(seed):
    machine = run_under_load(THRESHOLD_S, seed)
    assert 0.7 * THRESHOLD_S < machine.p99 < 1.4 * THRESHOLD_S
    assert len(machine.ran) == SLICES


@pytest.mark.parametrize("seed", range(3))
def test_without_the_controller_anti_entropy_starves_clients(seed):
    machine = run_under_load(math.inf, seed)
    assert machine.p99 > 10 * THRESHOLD_S


def test_under_a_load_that_leaves_room_all_the_work_is_done():
    machine = Machine()
    machine.work("transfer", 1000, slice_s=0.001)
    machine.run_for(5.0, requests_per_s=50)
    assert len(machine.ran) == 1000
    assert machine.p99 < THRESHOLD_S


def test_the_status_shows_client_latency_and_the_pause_of_background_work():
    machine = Machine()
    machine.work("transfer", 1000)
    for _ in range(20):
        machine.background.observe(0.2, machine.now)
        machine.run_for(1.0)
    shown = machine.background.status()
    assert shown["p99_ms"] == pytest.approx(200, rel=0.1)
    assert shown["threshold_ms"] == 50
    assert shown["pause_ms"] == PAUSE_MAX_S * 1000
    assert shown["ran"] + shown["waiting"] > 0


def test_work_that_something_else_makes_up_for_is_refused_when_too_much_waits():
    machine, ran = Machine(), []
    taken = [machine.background.spare(partial(ran.append, i)) for i in range(2 * SPARE_MAX)]
    assert taken == [True] * SPARE_MAX + [False] * SPARE_MAX
    machine.background.soon(partial(ran.append, "handoff"))
    machine.run_for(1.0)
    assert ran == [*range(SPARE_MAX), "handoff"]
    assert machine.background.spare(partial(ran.append, "again"))


def test_slices_asked_for_one_after_another_keep_their_order():
    machine, order = Machine(), []
    for i in range(20):
        machine.background.soon(partial(order.append, i))
    machine.run_for(1.0)
    assert order == list(range(20))
