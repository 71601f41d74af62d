"""Degraded links in real containers, by the kernel's packet queues."""

from __future__ import annotations

import contextlib
import json
import shlex
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from splitbrain.harness.environment import Conditions, EnvironmentFailure, Interference
from splitbrain.harness.seeds import draw, split

COUNT = 300
# It answers a word "port" with its port, and then, for each line of its input, prints what has come as JSON.
RECEIVER = """
import json, select, socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
sock.bind((sys.argv[1], int(sys.argv[2])))
open('/tmp/listening', 'w').close()
heard = []
while True:
    ready, _, _ = select.select([sock], [], [], float(sys.argv[4]))
    if not ready: break
    heard.append(sock.recv(2048).hex())
    if len(heard) == int(sys.argv[3]): break
json.dump(heard, open('/tmp/heard.new', 'w'))
import os; os.rename('/tmp/heard.new', '/tmp/heard')
"""
SENDER = """
import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(int(sys.argv[3])):
    sock.sendto(b'%08d' % number + b'x' * 92, (sys.argv[1], int(sys.argv[2])))
"""
PORT = 9009


@pytest.fixture
def network(cluster: Any) -> Any:
    if cluster.network.obstacle:
        pytest.skip(cluster.network.obstacle)
    return cluster.network


def listen(cluster: Any, node: str, expected: int, patience_s: float) -> None:
    """Receive on a node until so many datagrams came, or for so long none."""
    script = shlex.join(
        ["python3", "-c", RECEIVER, cluster.machine(node).host, str(PORT), str(expected), str(patience_s)]
    )
    cluster.shell(
        node,
        f"rm -f /tmp/heard /tmp/listening; setsid {script} >/dev/null 2>&1 </dev/null &\n"
        "while [ ! -e /tmp/listening ]; do sleep 0.01; done",
    )


def heard(cluster: Any, node: str) -> list[bytes]:
    said = cluster.shell(node, "while [ ! -e /tmp/heard ]; do sleep 0.02; done; cat /tmp/heard")
    return [bytes.fromhex(each) for each in json.loads(said)]


def send(cluster: Any, source: str, target: str, count: int = COUNT) -> None:
    cluster.shell(source, shlex.join(["python3", "-c", SENDER, cluster.machine(target).host, str(PORT), str(count)]))


def numbers(datagrams: list[bytes]) -> list[int]:
    return [int(each[:8]) for each in datagrams]


def interference(cluster: Any, link: tuple[str, str]) -> Interference | None:
    """Without probes, which would be packets like others."""
    return cluster.run(cluster.network._degraded.interference()).get(link)


def draws(link: str, holder: str = "") -> Iterator[list[float]]:
    """What each packet of a link draws: seven numbers, the first for loss. The order is part of the agent's contract."""
    rng = draw(split(split(0, f"degrade {holder}"), link))
    while True:
        yield [rng.random() for _ in range(7)]


def test_a_link_without_interference_shows_none_and_one_with_none_yet_shows_zeros(cluster: Any, network: Any) -> None:
    assert interference(cluster, ("n1", "n2")) is None
    cluster.run(network.degrade([("n1", "n2")], Conditions(loss=1.0)))
    assert interference(cluster, ("n1", "n2")) == Interference()
    assert interference(cluster, ("n2", "n1")) is None
    observed = {(seen.source, seen.target): seen for seen in cluster.run(network.observe())}
    assert observed["n1", "n2"].interference == Interference(lost=3), "three tries of our own probe"
    assert observed["n2", "n1"].interference is None


def test_the_packets_that_are_lost_are_those_that_the_seed_drew(cluster: Any, network: Any) -> None:
    drawn = draws("n1>n2")
    kept = [number for number in range(COUNT) if next(drawn)[0] >= 0.3]
    cluster.run(network.degrade([("n1", "n2")], Conditions(loss=0.3)))
    listen(cluster, "n2", len(kept), 30)
    send(cluster, "n1", "n2")
    assert numbers(heard(cluster, "n2")) == kept
    assert interference(cluster, ("n1", "n2")) == Interference(lost=COUNT - len(kept))


def test_only_the_degraded_direction_is_degraded(cluster: Any, network: Any) -> None:
    cluster.run(network.degrade([("n1", "n2")], Conditions(loss=1.0)))
    for source, target in (("n2", "n1"), ("n1", "n3")):
        listen(cluster, target, COUNT, 30)
        send(cluster, source, target)
        assert numbers(heard(cluster, target)) == list(range(COUNT))
    silent = {(seen.source, seen.target) for seen in cluster.run(network.observe()) if not seen.heard}
    assert silent == {("n1", "n2")}


def test_unequal_delays_reorder_and_lose_nothing(cluster: Any, network: Any) -> None:
    cluster.run(network.degrade([("n1", "n2")], Conditions(delay_s=(0.05, 0.3))))
    listen(cluster, "n2", COUNT, 30)
    send(cluster, "n1", "n2")
    arrived = numbers(heard(cluster, "n2"))
    assert sorted(arrived) == list(range(COUNT))
    assert arrived != sorted(arrived)
    assert interference(cluster, ("n1", "n2")) == Interference(delayed=COUNT)


def test_duplicates_arrive_once_more_each(cluster: Any, network: Any) -> None:
    drawn = draws("n1>n2")
    twice = [number for number in range(COUNT) if next(drawn)[1] < 0.5]
    cluster.run(network.degrade([("n1", "n2")], Conditions(duplication=0.5)))
    listen(cluster, "n2", COUNT + len(twice), 30)
    send(cluster, "n1", "n2")
    assert sorted(numbers(heard(cluster, "n2"))) == sorted([*range(COUNT), *twice])
    assert interference(cluster, ("n1", "n2")) == Interference(duplicated=len(twice))


def test_a_corrupted_datagram_arrives_with_one_bit_flipped(cluster: Any, network: Any) -> None:
    cluster.run(network.degrade([("n1", "n2")], Conditions(corruption=1.0)))
    listen(cluster, "n2", COUNT, 30)
    send(cluster, "n1", "n2")
    arrived = heard(cluster, "n2")
    assert len(arrived) == COUNT, "neither a wrong checksum nor none may make the kernel drop it"
    drawn = draws("n1>n2")
    for number, datagram in enumerate(arrived):
        expected = bytearray(b"%08d" % number + b"x" * 92)
        bit = int(next(drawn)[3] * 800)
        expected[bit // 8] ^= 1 << bit % 8
        assert datagram == expected
    assert interference(cluster, ("n1", "n2")) == Interference(corrupted=COUNT)


def test_a_slow_link_lets_everything_through_in_order(cluster: Any, network: Any) -> None:
    # 128 bytes each with its headers, sent at once: the last waits for a second at most.
    cluster.run(network.degrade([("n1", "n2")], Conditions(rate_bytes_s=38_400)))
    listen(cluster, "n2", COUNT, 30)
    send(cluster, "n1", "n2")
    assert numbers(heard(cluster, "n2")) == list(range(COUNT))
    seen = interference(cluster, ("n1", "n2"))
    assert seen is not None
    assert seen.lost == 0
    assert seen.delayed > COUNT // 2


def test_a_held_link_lets_nothing_pass_and_then_all_of_it_in_another_order(cluster: Any, network: Any) -> None:
    cluster.run(network.degrade([("n1", "n2")], Conditions(hold=True)))
    listen(cluster, "n2", COUNT, 30)
    send(cluster, "n1", "n2")
    assert interference(cluster, ("n1", "n2")) == Interference(held=COUNT)
    assert ("n1", "n2") in {(seen.source, seen.target) for seen in cluster.run(network.observe()) if not seen.heard}
    assert cluster.shell("n2", "ls /tmp/heard || true") != "/tmp/heard"
    cluster.run(network.heal())
    arrived = numbers(heard(cluster, "n2"))
    assert sorted(arrived) == list(range(COUNT))
    assert arrived != sorted(arrived)


def test_what_is_held_does_not_hold_up_what_its_sender_sends_to_others(cluster: Any, network: Any) -> None:
    # A socket that waits for 300 datagrams to leave takes no more: some 280 fill its buffer.
    cluster.run(network.degrade([("n1", "n2"), ("n1", "clients")], Conditions(hold=True)))
    listen(cluster, "n3", COUNT, 30)
    send(cluster, "n1", "n3")
    clients = network._clients("n1")
    both = f"{SENDER}\nfor number in range(300): sock.sendto(b'x', ('{clients}', 9))\n"
    both += f"for number in range(300): sock.sendto(b'%08d' % number, ('{cluster.machine('n3').host}', {PORT}))\n"
    cluster.shell("n1", shlex.join(["python3", "-c", both, cluster.machine("n2").host, str(PORT), str(COUNT)]))
    assert numbers(heard(cluster, "n3")) == list(range(COUNT))
    assert interference(cluster, ("n1", "n2")) == Interference(held=COUNT)
    assert interference(cluster, ("n1", "clients")) == Interference(held=300)


def test_what_was_held_on_its_way_to_clients_arrives_in_another_order(cluster: Any, network: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        clients = network._clients("n1")
        sock.bind((clients, 0))
        sock.settimeout(30)
        cluster.run(network.degrade([("n1", "clients")], Conditions(hold=True)))
        cluster.shell("n1", shlex.join(["python3", "-c", SENDER, clients, str(sock.getsockname()[1]), "50"]))
        cluster.run(network.heal())
        arrived = numbers([sock.recv(2048) for _ in range(50)])
    assert sorted(arrived) == list(range(50))
    assert arrived != sorted(arrived)


def test_a_heal_lets_everything_pass_untouched(cluster: Any, network: Any) -> None:
    cluster.run(network.degrade([("n1", "n2")], Conditions(loss=1.0)))
    cluster.run(network.heal())
    assert network.chain not in cluster.shell("n1", "iptables -w -S")
    listen(cluster, "n2", COUNT, 30)
    send(cluster, "n1", "n2")
    assert numbers(heard(cluster, "n2")) == list(range(COUNT))
    assert all(seen.heard and seen.interference is None for seen in cluster.run(network.observe()))


def test_of_two_holders_the_later_one_s_conditions_count_and_then_the_earlier_one_s(cluster: Any, network: Any) -> None:
    cluster.run(network.degrade([("n1", "n2")], Conditions(loss=1.0), holder="first"))
    cluster.run(network.degrade([("n1", "n2")], Conditions(delay_s=(0.01, 0.01)), holder="second"))
    listen(cluster, "n2", COUNT, 30)
    send(cluster, "n1", "n2")
    assert sorted(numbers(heard(cluster, "n2"))) == list(range(COUNT))
    cluster.run(network.heal("second"))
    send(cluster, "n1", "n2")
    assert interference(cluster, ("n1", "n2")) == Interference(lost=COUNT, delayed=COUNT)
    cluster.run(network.heal("first"))
    assert interference(cluster, ("n1", "n2")) is None


def test_a_cut_goes_before_what_degrades(cluster: Any, network: Any) -> None:
    cluster.run(network.degrade([("n1", "n2"), ("n1", "n3")], Conditions(delay_s=(0.01, 0.01)), holder="slow"))
    cluster.run(network.cut([("n1", "n2")], holder="cut"))
    with contextlib.suppress(EnvironmentFailure):  # the sender is told EPERM
        send(cluster, "n1", "n2")
    assert interference(cluster, ("n1", "n2")) == Interference()
    cluster.run(network.heal("cut"))
    listen(cluster, "n2", COUNT, 30)
    send(cluster, "n1", "n2")
    assert len(heard(cluster, "n2")) == COUNT
    assert interference(cluster, ("n1", "n2")) == Interference(delayed=COUNT)


def test_a_tcp_stream_over_a_bad_link_arrives_whole_but_for_what_was_corrupted(cluster: Any, network: Any) -> None:
    server = (
        "import hashlib, socket\n"
        f"s = socket.create_server(('', {PORT}))\nopen('/tmp/listening', 'w').close()\nc, _ = s.accept()\nall = b''\n"
        "while piece := c.recv(65536): all += piece\nc.sendall(hashlib.sha256(all).digest())\n"
    )
    client = (
        "import hashlib, socket, sys\n"
        f"c = socket.create_connection((sys.argv[1], {PORT})); data = bytes(range(256)) * 800\n"
        "c.sendall(data); c.shutdown(1); digest = c.recv(99); print(digest == hashlib.sha256(data).digest())\n"
    )
    told = []
    for conditions in (
        Conditions(loss=0.05, duplication=0.2, delay_s=(0.0, 0.01)),
        Conditions(corruption=1.0),
    ):
        start = f"rm -f /tmp/listening; setsid python3 -c {shlex.quote(server)} >/dev/null 2>&1 </dev/null &"
        cluster.shell("n2", f"{start}\nwhile [ ! -e /tmp/listening ]; do sleep 0.01; done")
        cluster.run(network.degrade([("n1", "n2")], conditions))
        told.append(cluster.shell("n1", f"python3 -c {shlex.quote(client)} {cluster.machine('n2').host}"))
        cluster.run(network.heal())
    assert told == ["True", "False"]


def test_clients_links_are_degraded_in_both_directions_and_ssh_is_not(cluster: Any, network: Any) -> None:
    cluster.run(network.degrade([("clients", "n1"), ("n1", "clients")], Conditions(loss=1.0)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(7):
            sock.sendto(b"hello", (cluster.machine("n1").host, PORT))
    cluster.shell("n1", shlex.join(["python3", "-c", SENDER, network._clients("n1"), str(PORT), "5"]))
    assert interference(cluster, ("clients", "n1")) == Interference(lost=7)
    assert interference(cluster, ("n1", "clients")) == Interference(lost=5)
    observed = cluster.run(network.observe())
    assert {(seen.source, seen.target) for seen in observed if not seen.heard} == {("clients", "n1"), ("n1", "clients")}


def test_a_duplicate_of_what_clients_send_arrives_too(cluster: Any, network: Any) -> None:
    cluster.run(network.degrade([("clients", "n1")], Conditions(duplication=1.0)))
    listen(cluster, "n1", 10, 30)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number in range(5):
            sock.sendto(b"%08d" % number, (cluster.machine("n1").host, PORT))
    assert sorted(numbers(heard(cluster, "n1"))) == sorted([*range(5), *range(5)])
    assert interference(cluster, ("clients", "n1")) == Interference(duplicated=5)


def test_a_program_that_died_degrades_nothing_and_shows_no_interference(cluster: Any, network: Any) -> None:
    cluster.run(network.degrade([("n1", "n2"), ("n3", "n2")], Conditions(loss=1.0)))
    send(cluster, "n1", "n2")
    assert interference(cluster, ("n1", "n2")) == Interference(lost=COUNT)
    cluster.shell("n2", "kill -9 $(pgrep -f [N]ETLINK_NETFILTER)")
    listen(cluster, "n2", COUNT, 30)
    send(cluster, "n1", "n2")
    assert numbers(heard(cluster, "n2")) == list(range(COUNT))
    assert interference(cluster, ("n1", "n2")) == Interference()
    # What is degraded next on that machine starts it again; the other links stay as they are.
    cluster.run(network.degrade([("n1", "n2")], Conditions(loss=1.0), holder="next"))
    send(cluster, "n1", "n2")
    assert interference(cluster, ("n1", "n2")) == Interference(lost=COUNT)
    assert interference(cluster, ("n3", "n2")) == Interference()
    cluster.run(network.heal())
    assert interference(cluster, ("n3", "n2")) is None


def test_a_heal_works_though_the_program_has_died(cluster: Any, network: Any) -> None:
    cluster.run(network.degrade([("n1", "n2"), ("n1", "n3")], Conditions(hold=True)))
    cluster.shell("n2", "kill -9 $(pgrep -f [N]ETLINK_NETFILTER)")
    cluster.run(network.heal())
    assert all(seen.heard and seen.interference is None for seen in cluster.run(network.observe()))


def test_a_kernel_without_packet_queues_is_said_by_name(
    cluster: Any, network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "degrade" in cluster.environment.abilities
    path = "/usr/local/bin/iptables"
    script = 'case "$*" in *NFQUEUE*) echo "No chain/target/match by that name." ; exit 2;; esac; exec /usr/sbin/iptables "$@"'
    cluster.shell("n2", f"printf '#!/bin/sh\\n%s\\n' {shlex.quote(script)} > {path}; chmod +x {path}")
    try:
        cluster.run(network.open())
        assert network.obstacle == "n2: No chain/target/match by that name."
        assert "degrade" not in cluster.environment.abilities
        with pytest.raises(EnvironmentFailure, match=r"links can't be degraded \(n2: No chain.*kernel with NFQUEUE"):
            cluster.run(network.degrade([("n1", "n2")], Conditions(loss=1.0)))
    finally:
        cluster.shell("n2", f"rm {path}")
        cluster.run(network.open())
    assert network.obstacle == ""
    assert "splitbrain-try" not in cluster.shell("n2", "iptables -w -S")
