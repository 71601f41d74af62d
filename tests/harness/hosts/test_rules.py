"""The text of iptables, without machines."""

from __future__ import annotations

import pytest

from splitbrain.harness.hosts.rules import Facts, Rule, added, begun, read_counters, read_facts, removed, restored

FACTS = Facts(frozenset({"172.18.0.2"}), frozenset({4, 6}), clients="172.18.0.1", ssh_port=2222)
BOTH = [Rule(True, "10.0.0.2"), Rule(False, "10.0.0.3"), Rule(True, "fd00::2"), Rule(True, "10.0.0.4", 7)]


def test_the_chain_comes_ahead_of_all_other_rules_and_ssh_ahead_of_all_in_it() -> None:
    assert begun("splitbrain-x", 4, FACTS) == [
        ":splitbrain-x - [0:0]",
        "-I INPUT 1 -j splitbrain-x",
        "-I OUTPUT 1 -j splitbrain-x",
        "-A splitbrain-x -s 172.18.0.1 -p tcp --dport 2222 -j RETURN",
        "-A splitbrain-x -d 172.18.0.1 -p tcp --sport 2222 -j RETURN",
    ]
    assert begun("splitbrain-x", 6, FACTS)[3:] == []


def test_cuts_come_after_ssh_and_before_queues() -> None:
    assert added("c", 4, FACTS, BOTH) == [
        "-I c 3 -d 10.0.0.2 -j DROP",
        "-I c 3 -s 10.0.0.3 -j DROP",
        "-A c -d 10.0.0.4 -m mark ! --mark 91 -j NFQUEUE --queue-num 7 --queue-bypass",
    ]


def test_each_family_gets_its_own_addresses_only() -> None:
    assert added("c", 6, FACTS, BOTH) == ["-I c 1 -d fd00::2 -j DROP"]
    assert removed("c", 6, BOTH) == ["-D c -d fd00::2 -j DROP"]


def test_what_was_added_is_removed_by_the_same_words() -> None:
    words = [
        line.split(maxsplit=3)[3] if line.startswith("-I") else line.split(maxsplit=2)[2]
        for line in added("c", 4, FACTS, BOTH)
    ]
    assert [line.split(maxsplit=2)[2] for line in removed("c", 4, BOTH)] == words


def test_all_lines_are_done_at_once() -> None:
    assert restored(["-A c -j DROP"]) == "*filter\n-A c -j DROP\nCOMMIT\n"


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


@pytest.mark.parametrize(
    "line", ["ssh 127.0.0.1 1 172.18.0.2 22", "ssh 10.0.0.1;x 1 172.18.0.2 22", "ssh 10.0.0.1 1 172.18.0.2 -22"]
)
def test_where_clients_are_is_one_address_and_a_port(line: str) -> None:
    with pytest.raises(ValueError, match="address"):
        read_facts(line, "172.18.0.2")


def test_a_machine_tells_where_it_sees_clients() -> None:
    facts = read_facts("v4 172.18.0.2\nssh 172.18.0.1 50000 172.18.0.2 2222", "172.18.0.2")
    assert (facts.clients, facts.ssh_port, facts.ssh_family) == ("172.18.0.1", 2222, 4)
    assert read_facts("v4 172.18.0.2\nssh ", "172.18.0.2").ssh_family == 0


def test_a_machine_that_is_reached_from_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="its own address"):
        read_facts("v4 172.18.0.2\nssh 172.18.0.2 50000 172.18.0.2 22", "172.18.0.2")
