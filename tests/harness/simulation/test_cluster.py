"""A cluster that is steered by hand: what reaches a node, what a crash leaves, and when nodes wake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

from splitbrain.harness.environment import Address
from splitbrain.harness.simulation.cluster import Kind, Shell, SimulatedCluster

CLIENT = ("10.0.0.9", 1)


class Say(NamedTuple):
    to: Address
    datagram: bytes


class Keep(NamedTuple):
    records: Sequence[bytes]
    ticket: int


class Log(NamedTuple):
    text: str


Action = Say | Keep | Log


def perform(action: Action, shell: Shell) -> None:
    match action:
        case Say(to, datagram):
            shell.send(to, datagram)
        case Keep():
            shell.persist(action)
        case Log(text):
            shell.note(text)


@dataclass
class Engine:
    kept: list[bytes] = field(default_factory=list)

    def commit(self, records: Sequence[bytes], /) -> None:
        self.kept += records


class Echo:
    """Keeps every datagram, and sends it back once it is durable. Wakes every second; b"sooner" has it wake in 0.1 s."""

    def __init__(self) -> None:
        self.next_wake: float | None = None
        self.woken: list[float] = []
        self.waiting: list[tuple[Address, bytes]] = []

    def start(self, now: float) -> list[Action]:
        self.next_wake = now + 1.0
        return [Log("begun")]

    def receive(self, datagram: bytes, source: Address, now: float) -> list[Action]:
        if datagram == b"sooner":
            self.next_wake = now + 0.1
            return []
        self.waiting.append((source, datagram))
        return [Keep([datagram], len(self.waiting) - 1)]

    def wake(self, now: float) -> list[Action]:
        self.woken.append(now)
        self.next_wake = now + 1.0
        return []

    def persisted(self, ticket: int, now: float) -> list[Action]:
        return [Say(*self.waiting[ticket])]


class Caller:
    """Collects what comes."""

    next_wake = None

    def __init__(self) -> None:
        self.received: list[bytes] = []

    def receive(self, datagram: bytes, source: Address, now: float) -> list[Action]:
        self.received.append(datagram)
        return []

    def wake(self, now: float) -> list[Action]:
        raise AssertionError("it never asks to be woken")


class Bench:
    """Two echoes and a caller."""

    def __init__(self, **options: float) -> None:
        kind = Kind(lambda monotonic, wall_ns: monotonic, perform)
        self.cluster = SimulatedCluster[Echo, Engine](kind, seed=1, sync_s=(0.01, 0.02), **options)  # type: ignore[arg-type]
        for number, name in enumerate(("n1", "n2")):
            self.cluster.place(name, ("10.0.0.1", number + 1), Engine())
            self.cluster.launch(name, Echo())
        self.caller = Caller()
        self.cluster.clients[CLIENT] = self.caller

    def send(self, *datagrams: bytes, to: str = "n1") -> None:
        for datagram in datagrams:
            self.cluster.send_all(CLIENT, [Say(self.cluster.hosts[to].address, datagram)])
            self.cluster.run_for(0.003)

    def node(self, name: str = "n1") -> Echo:
        node = self.cluster.hosts[name].node
        assert node is not None
        return node


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_is_durable_is_acknowledged_and_not_before(bench: Bench) -> None:
    bench.cluster.hold("n1")
    bench.send(b"a")
    bench.cluster.run_for(1.0)
    assert bench.caller.received == []
    bench.cluster.release("n1")
    bench.cluster.run_until(lambda: bench.caller.received == [b"a"])
    assert bench.cluster.hosts["n1"].engine.kept == [b"a"]


def test_a_crash_keeps_the_first_commits_only_and_answers_none(bench: Bench) -> None:
    bench.cluster.hold("n1")
    bench.send(b"a", b"b", b"c")
    bench.cluster.crash("n1", keep=2)
    bench.cluster.release("n1")
    bench.cluster.run_for(1.0)
    assert bench.cluster.hosts["n1"].engine.kept == [b"a", b"b"]
    assert bench.caller.received == []
    assert bench.cluster.running == ["n2"]


def test_commits_end_in_the_order_in_which_they_began(bench: Bench) -> None:
    bench.send(*[b"%d" % number for number in range(10)])
    bench.cluster.run_for(1.0)
    assert bench.cluster.hosts["n1"].engine.kept == [b"%d" % number for number in range(10)]


def test_a_cut_stops_one_direction_until_it_is_healed(bench: Bench) -> None:
    bench.cluster.cut("n1", "client", both=False)
    bench.send(b"a")
    bench.cluster.run_for(1.0)
    assert bench.cluster.hosts["n1"].engine.kept == [b"a"]
    assert bench.caller.received == []
    bench.cluster.heal()
    bench.send(b"b")
    bench.cluster.run_until(lambda: bench.caller.received == [b"b"])


def test_an_isolated_node_reaches_clients_and_no_node(bench: Bench) -> None:
    bench.cluster.isolate("n1")
    bench.cluster.transmit("n2", bench.cluster.hosts["n2"].address, bench.cluster.hosts["n1"].address, b"from n2")
    bench.send(b"a")
    bench.cluster.run_until(lambda: bench.caller.received == [b"a"])
    assert bench.cluster.hosts["n1"].engine.kept == [b"a"]


def test_a_node_wakes_when_it_asked_to_last(bench: Bench) -> None:
    began = bench.cluster.now
    bench.send(b"sooner")
    bench.cluster.run_for(0.5)
    (woken,) = bench.node().woken
    assert began + 0.1 < woken < began + 0.2
    assert bench.node("n2").woken == []


def test_a_paused_node_wakes_late_and_hears_of_the_commits_that_ended_meanwhile(bench: Bench) -> None:
    bench.send(b"a")
    began = bench.cluster.now
    bench.cluster.pause("n1")
    bench.send(b"lost")
    bench.cluster.run_for(5.0)
    bench.cluster.resume("n1")
    bench.cluster.run_for(0.5)
    assert bench.caller.received == [b"a"]
    assert bench.node().woken[0] >= began + 5.0
    assert bench.cluster.hosts["n1"].engine.kept == [b"a"]


def test_a_share_of_datagrams_is_lost_or_comes_twice() -> None:
    lossy, double = Bench(loss=0.5), Bench(duplicate=1.0)
    for bench in (lossy, double):
        bench.send(*[b"%d" % number for number in range(100)])
        bench.cluster.run_for(1.0)
    assert 20 < len(lossy.cluster.hosts["n1"].engine.kept) < 80
    assert len(double.cluster.hosts["n1"].engine.kept) == 200


def test_one_seed_makes_one_run() -> None:
    def run() -> list[tuple[float, str, str, bytes]]:
        bench, seen = Bench(loss=0.2, duplicate=0.2), []
        bench.cluster.wiretap = lambda source, target, datagram: (
            seen.append((bench.cluster.now, source, target, datagram)) or True
        )
        bench.send(*[b"%d" % number for number in range(50)])
        bench.cluster.run_for(1.0)
        return seen

    assert run() == run()


def test_waiting_in_vain_fails_with_the_seed(bench: Bench) -> None:
    with pytest.raises(AssertionError, match=r"not within 2.0 s of virtual time \(seed 1\)"):
        bench.cluster.run_until(lambda: False, 2.0)
