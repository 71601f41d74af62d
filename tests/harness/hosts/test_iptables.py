from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from splitbrain.harness.environment import EnvironmentFailure, LinkObservation

SEND = """
python3 - <<'END'
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range({count}):
    try:
        sock.sendto(b"hello", ("{to}", 9))
    except PermissionError:
        pass
END
"""


def silent(observed: list[LinkObservation]) -> set[tuple[str, str]]:
    return {(seen.source, seen.target) for seen in observed if not seen.heard}


def dropped(observed: list[LinkObservation]) -> dict[tuple[str, str], int | None]:
    return {(seen.source, seen.target): seen.dropped for seen in observed if seen.cut}


def test_without_a_cut_every_directed_link_is_heard_in_the_order_of_names(cluster: Any) -> None:
    observed = cluster.run(cluster.network.observe())
    names = ["n1", "n2", "n3"]
    assert [(s.source, s.target) for s in observed] == [(a, b) for a in names for b in names if a != b]
    assert all(s.heard and not s.cut and s.dropped is None for s in observed)


def test_a_cut_is_silent_on_the_cut_links_only(cluster: Any) -> None:
    links = {("n1", "n2"), ("n2", "n1")}
    cluster.run(cluster.network.cut(links))
    observed = cluster.run(cluster.network.observe())
    assert silent(observed) == links
    assert {(s.source, s.target) for s in observed if s.cut} == links


def test_a_one_way_cut_is_one_way(cluster: Any) -> None:
    cluster.run(cluster.network.cut([("n3", "n1")]))
    assert silent(cluster.run(cluster.network.observe())) == {("n3", "n1")}


def test_each_end_of_a_cut_link_drops_by_itself(cluster: Any) -> None:
    for end in ("n1", "n2"):
        cluster.run(cluster.network.cut([("n1", "n2")]))
        cluster.shell(end, f"iptables -w -F {cluster.network.chain}")
        assert ("n1", "n2") in silent(cluster.run(cluster.network.observe()))
        cluster.run(cluster.network.heal())


def test_a_cut_that_has_no_effect_is_seen(cluster: Any) -> None:
    cluster.run(cluster.network.cut([("n1", "n2")]))
    for name in ("n1", "n2"):
        cluster.shell(name, f"iptables -w -F {cluster.network.chain}")
    observed = cluster.run(cluster.network.observe())
    assert [(s.source, s.target, s.heard) for s in observed if s.cut] == [("n1", "n2", True)]


def test_a_cut_goes_ahead_of_what_the_owner_of_the_machine_accepts(cluster: Any) -> None:
    try:
        for chain in ("INPUT", "OUTPUT"):
            for name in ("n1", "n2"):
                cluster.shell(name, f"iptables -w -I {chain} 1 -j ACCEPT")
        cluster.run(cluster.network.cut([("n1", "n2")]))
        assert silent(cluster.run(cluster.network.observe())) == {("n1", "n2")}
    finally:
        for name in ("n1", "n2"):
            cluster.shell(name, "iptables -w -D INPUT -j ACCEPT; iptables -w -D OUTPUT -j ACCEPT")


def test_dropped_packets_are_counted_and_probes_are_not(cluster: Any) -> None:
    cluster.run(cluster.network.cut([("n1", "n2")]))
    assert dropped(cluster.run(cluster.network.observe())) == {("n1", "n2"): 0}
    cluster.shell("n1", SEND.format(count=5, to=cluster.machine("n2").host))
    assert dropped(cluster.run(cluster.network.observe())) == {("n1", "n2"): 5}


def test_a_second_cut_keeps_the_first_and_its_counters(cluster: Any) -> None:
    cluster.run(cluster.network.cut([("n1", "n2")]))
    cluster.shell("n1", SEND.format(count=5, to=cluster.machine("n2").host))
    cluster.run(cluster.network.cut([("n1", "n2"), ("n1", "n3")]))
    observed = cluster.run(cluster.network.observe())
    assert silent(observed) == {("n1", "n2"), ("n1", "n3")}
    assert dropped(observed) == {("n1", "n2"): 5, ("n1", "n3"): 0}


def test_a_heal_removes_the_chain_and_leaves_foreign_rules_alone(cluster: Any) -> None:
    foreign = "iptables -w -N foreign; iptables -w -A foreign -s 192.0.2.1 -j DROP; iptables -w -A INPUT -j foreign"
    cluster.shell("n1", foreign)
    try:
        before = cluster.shell("n1", "iptables -w -S")
        cluster.run(cluster.network.cut([("n1", "n2"), ("n2", "n1"), ("n1", "n3")]))
        assert cluster.network.chain in cluster.shell("n1", "iptables -w -S")
        cluster.run(cluster.network.heal())
        assert cluster.shell("n1", "iptables -w -S") == before
        assert silent(cluster.run(cluster.network.observe())) == set()
    finally:
        cluster.shell("n1", "iptables -w -D INPUT -j foreign; iptables -w -F foreign; iptables -w -X foreign")


def test_a_heal_that_leaves_rules_behind_is_a_failure(cluster: Any) -> None:
    cluster.run(cluster.network.cut([("n1", "n2")]))
    chain = cluster.network.chain
    cluster.shell("n2", f"iptables -w -N other; iptables -w -A other -j {chain}")
    try:
        with pytest.raises(EnvironmentFailure, match=f"n2.*{chain} is still there"):
            cluster.run(cluster.network.heal())
        assert chain not in cluster.shell("n1", "iptables -w -S"), "n2's failure must not keep n1 from being healed"
    finally:
        cluster.shell("n2", "iptables -w -F other; iptables -w -X other")
    cluster.run(cluster.network.heal())
    assert silent(cluster.run(cluster.network.observe())) == set()


def test_a_cut_after_a_heal_starts_anew(cluster: Any) -> None:
    for _ in range(2):
        cluster.run(cluster.network.cut([("n2", "n3")]))
        observed = cluster.run(cluster.network.observe())
        assert (silent(observed), dropped(observed)) == ({("n2", "n3")}, {("n2", "n3"): 0})
        cluster.run(cluster.network.heal())


def test_a_link_is_cut_while_any_holder_cuts_it(cluster: Any) -> None:
    cluster.run(cluster.network.cut([("n1", "n2"), ("n1", "n3")], holder="first"))
    cluster.run(cluster.network.cut([("n1", "n3"), ("n2", "n3")], holder="second"))
    cluster.shell("n1", SEND.format(count=5, to=cluster.machine("n3").host))
    cluster.run(cluster.network.heal("first"))
    observed = cluster.run(cluster.network.observe())
    assert silent(observed) == {("n1", "n3"), ("n2", "n3")}
    assert dropped(observed) == {("n1", "n3"): 5, ("n2", "n3"): 0}
    cluster.run(cluster.network.heal("second"))
    assert silent(cluster.run(cluster.network.observe())) == set()
    assert cluster.network.chain not in cluster.shell("n1", "iptables -w -S")


def test_a_heal_of_a_holder_that_holds_nothing_changes_nothing(cluster: Any) -> None:
    cluster.run(cluster.network.cut([("n1", "n2")], holder="first"))
    cluster.run(cluster.network.heal("another"))
    assert silent(cluster.run(cluster.network.observe())) == {("n1", "n2")}


def test_a_cut_whose_caller_is_cancelled_is_made_wholly_and_healed_wholly(cluster: Any) -> None:
    async def give_up(turns: int) -> None:
        cutting = asyncio.create_task(cluster.network.cut([("n1", "n2"), ("n3", "n1")], holder="given-up"))
        for _ in range(turns):
            await asyncio.sleep(0)
        cutting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await cutting
        await cluster.network.heal("given-up")

    for turns in range(1, 9):
        cluster.run(give_up(turns))
        cluster.run(cluster.network.cut([("n1", "n2")], holder="next"))
        assert silent(cluster.run(cluster.network.observe())) == {("n1", "n2")}
        cluster.run(cluster.network.heal("next"))
        assert silent(cluster.run(cluster.network.observe())) == set()


def test_a_cut_that_failed_on_a_machine_does_not_keep_later_ones_from_working(cluster: Any) -> None:
    path = "/usr/local/bin/iptables-restore"
    cluster.shell("n1", f"printf '#!/bin/sh\\necho busy; exit 4\\n' > {path}; chmod +x {path}")
    try:
        with pytest.raises(EnvironmentFailure, match=r"n1 .*busy"):
            cluster.run(cluster.network.cut([("n1", "n2")], holder="first"))
    finally:
        cluster.shell("n1", f"rm {path}")
    cluster.run(cluster.network.cut([("n1", "n3")], holder="second"))
    cluster.run(cluster.network.heal("first"))
    assert silent(cluster.run(cluster.network.observe())) == {("n1", "n3")}


def test_a_heal_of_everything_heals_every_holder(cluster: Any) -> None:
    for number, link in enumerate([("n1", "n2"), ("n2", "n3")]):
        cluster.run(cluster.network.cut([link], holder=str(number)))
    cluster.run(cluster.network.heal())
    assert silent(cluster.run(cluster.network.observe())) == set()


def test_a_rule_that_something_else_removed_does_not_keep_its_holder_from_healing(cluster: Any) -> None:
    cluster.run(cluster.network.cut([("n1", "n2")], holder="first"))
    cluster.run(cluster.network.cut([("n1", "n3"), ("n3", "n2")], holder="second"))
    cluster.shell("n1", f"iptables -w -D {cluster.network.chain} -d {cluster.machine('n2').host} -j DROP")
    cluster.run(cluster.network.heal("first"))
    assert silent(cluster.run(cluster.network.observe())) == {("n1", "n3"), ("n3", "n2")}


@pytest.mark.parametrize("links", [[("clients", "n1")], [("n1", "clients")], [("clients", "n1"), ("n1", "clients")]])
def test_clients_can_be_cut_off_from_a_node_while_its_peers_and_ssh_are_not(cluster: Any, links: Any) -> None:
    cluster.run(cluster.network.cut(links))
    observed = cluster.run(cluster.network.observe())
    assert silent(observed) == set(links)
    assert {(seen.source, seen.target) for seen in observed if "clients" in (seen.source, seen.target)} == set(links)
    assert all(seen.dropped == 0 for seen in observed if seen.cut), "probes are not counted"
    if ("n1", "clients") in links:
        cluster.shell("n1", SEND.format(count=5, to=cluster.network._clients("n1")))
        counted = dropped(cluster.run(cluster.network.observe()))
        assert counted[("n1", "clients")] == 5
    # Another connection: what stands already might pass by rules for what is established.
    connection = cluster.machine("n1").connection
    connection._drop()
    assert cluster.run(connection.run("echo in")).text == "in"
    cluster.run(cluster.network.heal())
    assert silent(cluster.run(cluster.network.observe())) == set()


def test_what_clients_send_over_a_cut_link_is_counted_and_lost(cluster: Any) -> None:
    async def send() -> None:
        endpoint = await cluster.environment.endpoint(lambda datagram, source: None)
        for _ in range(5):
            endpoint.send(b"hello", (cluster.machine("n2").host, 9))
        endpoint.close()

    cluster.run(cluster.network.cut([("clients", "n2")]))
    cluster.run(send())
    assert dropped(cluster.run(cluster.network.observe())) == {("clients", "n2"): 5}


def test_a_link_that_does_not_exist_is_refused(cluster: Any) -> None:
    with pytest.raises(EnvironmentFailure, match="no link from n1 to n9"):
        cluster.run(cluster.network.cut([("n1", "n9")]))


def test_a_paused_program_leaves_its_links_heard(cluster: Any, sleeper: Any) -> None:
    cluster.run(cluster.machine("n1").start(sleeper))
    cluster.run(cluster.machine("n1").pause())
    assert silent(cluster.run(cluster.network.observe())) == set()


def test_a_machine_that_takes_anothers_address_is_named(cluster: Any) -> None:
    other = cluster.machine("n2").host
    cluster.shell(
        "n1", f"printf '#!/bin/sh\\necho {other}\\n' > /usr/local/bin/hostname; chmod +x /usr/local/bin/hostname"
    )
    try:
        with pytest.raises(EnvironmentFailure, match=r"n1 says that the address of n2 is its own"):
            cluster.run(cluster.network.open())
        cluster.shell("n1", "printf '#!/bin/sh\\necho 1.2.3.4-j\\n' > /usr/local/bin/hostname")
        with pytest.raises(EnvironmentFailure, match=r"n1 answers with what can't be \(.*1\.2\.3\.4-j"):
            cluster.run(cluster.network.open())
    finally:
        cluster.shell("n1", "rm /usr/local/bin/hostname")
    cluster.run(cluster.network.open())
