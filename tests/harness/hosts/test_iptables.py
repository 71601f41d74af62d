from __future__ import annotations

from typing import Any

import pytest

from splitbrain.harness.environment import EnvironmentFailure, LinkObservation
from splitbrain.harness.hosts.iptables import read_counters, read_facts, restore_input

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


def test_the_first_rules_make_the_chain_and_put_it_ahead_of_all_others() -> None:
    table = restore_input("splitbrain-x", 4, ["10.0.0.2"], ["10.0.0.3"], first=True)
    assert table.splitlines() == [
        "*filter",
        ":splitbrain-x - [0:0]",
        "-I INPUT 1 -j splitbrain-x",
        "-I OUTPUT 1 -j splitbrain-x",
        "-A splitbrain-x -d 10.0.0.2 -j DROP",
        "-A splitbrain-x -s 10.0.0.3 -j DROP",
        "COMMIT",
    ]


def test_further_rules_leave_the_chain_and_its_counters_standing() -> None:
    assert ":splitbrain-x" not in restore_input("splitbrain-x", 4, ["10.0.0.2"], [], first=False)


def test_each_family_gets_its_own_addresses_only() -> None:
    both = ["10.0.0.2", "fd00::2"]
    assert "fd00::2" not in restore_input("c", 4, both, [], first=False)
    assert "-A c -d fd00::2 -j DROP" in restore_input("c", 6, both, [], first=False)
    assert "10.0.0.2" not in restore_input("c", 6, both, [], first=False)


def test_counters_are_read_of_both_families() -> None:
    listing = """Chain splitbrain-x (2 references)
    pkts      bytes target     prot opt in     out     source               destination
       6      234 DROP       0    --  *      *       0.0.0.0/0            172.18.0.2
       1       40 DROP       0    --  *      *       172.18.0.4           0.0.0.0/0
Chain splitbrain-x (2 references)
    pkts      bytes target     prot opt in     out     source               destination
       3      234 DROP       all      *      *       ::/0                 fd00::2
"""
    assert read_counters(listing) == [
        (6, "0.0.0.0/0", "172.18.0.2"),
        (1, "172.18.0.4", "0.0.0.0/0"),
        (3, "::/0", "fd00::2"),
    ]


def test_a_machine_tells_its_addresses_and_the_families_it_can_cut() -> None:
    said = """v4 172.18.0.2 fd00::2
v6 00000000000000000000000000000001 01 80 10 80 lo
v6 fd000000000000000000000000000002 04 40 00 82 eth0
v6 fe8000000000000000fc00fffe000001 04 40 20 80 eth0
tool iptables
tool ip6tables"""
    facts = read_facts(said, "172.18.0.2")
    assert facts.addresses == {"172.18.0.2", "fd00::2", "fe80::fc:ff:fe00:1"}
    assert facts.families == {4, 6}


def test_a_machine_without_ipv6_addresses_has_none_to_cut() -> None:
    assert read_facts("v4 172.18.0.2\ntool iptables\ntool ip6tables", "172.18.0.2").families == {4}


def test_a_machine_with_ipv6_but_no_ip6tables_shows_it() -> None:
    facts = read_facts("v6 fd000000000000000000000000000002 04 40 00 82 eth0\ntool iptables", "172.18.0.2")
    assert "fd00::2" in facts.addresses
    assert facts.families == {4}


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


def test_a_link_that_does_not_exist_is_refused(cluster: Any) -> None:
    with pytest.raises(EnvironmentFailure, match="no link from n1 to n9"):
        cluster.run(cluster.network.cut([("n1", "n9")]))


def test_a_paused_program_leaves_its_links_heard(cluster: Any, sleeper: Any) -> None:
    cluster.run(cluster.machine("n1").start(sleeper))
    cluster.run(cluster.machine("n1").pause())
    assert silent(cluster.run(cluster.network.observe())) == set()


@pytest.mark.parametrize(
    "line",
    [
        "v4 10.0.0.1;reboot",
        "v4 10.0.0.0/0",
        "v4 999.1.1.1",
        "v4 -j.ACCEPT",
        "v4 127.0.0.1",
        "v4 0.0.0.0",
        "v4 224.0.0.1",
        "v4 " + " ".join(f"10.1.{n}.1" for n in range(100)),
        "v6 " + "f" * 5000 + " 04 40 00 82 eth0",
        "v6 xyz 04 40 00 82 eth0",
        "v6 00000000000000000000000000000000 04 40 00 82 eth0",
    ],
)
def test_what_is_no_address_of_one_machine_comes_into_no_rule(line: str) -> None:
    with pytest.raises(ValueError, match=r"address|octet|Octet|permitted|Expected|Unexpected") as caught:
        read_facts(line, "172.18.0.2")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("count", ["-1", "1e9", "٣", "9" * 30, "9" * 5000, "0x10", "many"])
def test_a_count_that_is_none_is_no_evidence(count: str) -> None:
    with pytest.raises(ValueError, match="packets") as caught:
        read_counters(f"{count} 234 DROP 0 -- * * 0.0.0.0/0 172.18.0.2")
    assert len(str(caught.value)) < 100


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
