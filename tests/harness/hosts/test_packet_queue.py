"""The packet queue's treatment of packets, without a kernel."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from splitbrain.harness.hosts.agent.packet_queue import ERROR, HEADER, PACKET, PAYLOAD, Link, Packet, attribute, packets

UNTOUCHED: dict[str, Any] = {
    "loss": 0.0,
    "duplication": 0.0,
    "corruption": 0.0,
    "delay_s": (0.0, 0.0),
    "rate_bytes_s": None,
    "hold": False,
}


def total(data: bytes) -> int:
    """The ones' complement sum of 16-bit words; 0xFFFF where a right checksum is among them (RFC 1071)."""
    data += bytes(len(data) % 2)
    found = sum(data[at] * 256 + data[at + 1] for at in range(0, len(data), 2))
    while found > 0xFFFF:
        found = found % 65_536 + found // 65_536
    return found


def ipv4(protocol: int, body: bytes, fragment: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, fragment, 64, protocol, 0)
    return head + bytes([10, 0, 0, 1, 10, 0, 0, 2]) + body


def ipv6(protocol: int, body: bytes) -> bytes:
    ends = bytes.fromhex("fd000000000000000000000000000001" + "fd000000000000000000000000000002")
    return struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + ends + body


def udp(payload: bytes) -> bytes:
    return struct.pack("!HHHH", 4000, 7000, 8 + len(payload), 0xABCD) + payload


def tcp(payload: bytes) -> bytes:
    return struct.pack("!HHIIBBHHH", 4000, 7000, 1, 2, 6 << 4, 24, 512, 0xABCD, 0) + b"opt!" + payload


def right(data: bytes, addresses: bytes, protocol: int, start: int) -> bool:
    body = data[start:]
    return total(addresses + struct.pack("!IHBB", len(body), 0, 0, protocol) + body) == 0xFFFF


@pytest.mark.parametrize("payload", [b"a", b"ab", bytes(1400), b"\xff" * 999])
@pytest.mark.parametrize(("protocol", "body", "header"), [(17, udp, 8), (6, tcp, 24)], ids=["udp", "tcp"])
@pytest.mark.parametrize(("wrap", "start"), [(ipv4, 20), (ipv6, 40)], ids=["ipv4", "ipv6"])
def test_one_bit_of_the_payload_is_flipped_and_the_checksum_is_right(
    wrap: Any, start: int, protocol: int, body: Any, header: int, payload: bytes
) -> None:
    whole = wrap(protocol, body(payload))
    for where in (0.0, 0.37, 0.999999):
        changed = Packet(whole).corrupted(where, zero=False)
        difference = int.from_bytes(whole[start + header :], "big") ^ int.from_bytes(changed[start + header :], "big")
        assert difference.bit_count() == 1
        assert len(changed) == len(whole)
        assert changed[:start] == whole[:start]
        addresses = whole[12:20] if start == 20 else whole[8:40]
        assert right(changed, addresses, protocol, start)


def test_no_checksum_is_zero_and_only_udp_over_ipv4_may_do_without() -> None:
    assert Packet(ipv4(17, udp(b"abc"))).corrupted(0.5, zero=True)[26:28] == b"\0\0"
    assert Packet(ipv6(17, udp(b"abc"))).corrupted(0.5, zero=True)[46:48] != b"\0\0"
    assert Packet(ipv4(6, tcp(b"abc"))).corrupted(0.5, zero=True)[36:38] != b"\0\0"


@pytest.mark.parametrize(
    "data",
    [
        ipv4(17, udp(b"")),
        ipv4(6, tcp(b"")),
        ipv4(1, b"ping"),
        ipv4(17, udp(b"abc"), fragment=0x2000),
        ipv4(17, b"abcdefghijkl", fragment=185),
        b"\x45",
        b"\x60" + bytes(10),
    ],
    ids=["empty datagram", "bare ack", "icmp", "first fragment", "later fragment", "cut off", "cut off v6"],
)
def test_what_carries_nothing_that_a_program_reads_is_not_corrupted(data: bytes) -> None:
    assert Packet(data).corrupted(0.5, zero=False) == b""


def test_a_packet_tells_where_it_goes() -> None:
    assert Packet(ipv4(17, udp(b"x"))).target == ("10.0.0.2", 7000)
    assert Packet(ipv6(6, tcp(b"x"))).target == ("fd00::2", 7000)
    assert Packet(ipv4(1, b"ping")).target == ("10.0.0.2", 0)
    assert Packet(b"\x45").target == ("", 0)


def fates(conditions: dict[str, Any], seed: int, count: int = 1000) -> list[Any]:
    link = Link({**UNTOUCHED, **conditions}, seed, outward=False)
    return [link.treat(Packet(ipv4(17, udp(b"x" * 72))), 0.0) for _ in range(count)]


def test_equal_seeds_give_equal_fates_and_others_give_others() -> None:
    conditions = {"loss": 0.3, "duplication": 0.3, "delay_s": (0.1, 0.2)}
    told = [[(fate.due, fate.again) for fate in fates(conditions, seed)] for seed in (1, 1, 2)]
    assert told[0] == told[1] != told[2]


def test_the_fate_of_a_packet_does_not_depend_on_what_happened_to_those_before() -> None:
    lossy = fates({"loss": 0.3}, 1)
    both = fates({"loss": 0.3, "duplication": 0.5, "corruption": 0.5, "delay_s": (0.0, 1.0)}, 1)
    assert [fate.due is None for fate in lossy] == [fate.due is None for fate in both]


def test_shares_are_as_asked_for() -> None:
    # Of 1,000 draws, 300 are expected with a deviation of 14.5; six of these are never seen.
    assert 210 < sum(fate.due is None for fate in fates({"loss": 0.3}, 1)) < 390
    assert 210 < sum(fate.again is not None for fate in fates({"duplication": 0.3}, 1)) < 390
    assert 210 < sum(bool(fate.changed) for fate in fates({"corruption": 0.3}, 1)) < 390


def test_delays_lie_between_the_least_and_the_most() -> None:
    found = [fate.due for fate in fates({"delay_s": (0.1, 0.2)}, 1)]
    assert all(0.1 <= due <= 0.2 for due in found)
    assert min(found) < 0.11 < 0.19 < max(found)


def test_a_slow_link_sends_one_packet_after_the_other() -> None:
    # 100 bytes each, with headers, at 1,000 bytes a second.
    assert [round(fate.due, 6) for fate in fates({"rate_bytes_s": 1000}, 1, 4)] == [0.0, 0.1, 0.2, 0.3]


def test_what_would_wait_longer_than_a_second_for_a_limited_rate_is_lost() -> None:
    # 100 bytes each: the second waits for 0.1 s, the eleventh for 1 s, and the next would for longer.
    found = [fate.due for fate in fates({"rate_bytes_s": 1000}, 1, 20)]
    assert [due is None for due in found] == [False] * 11 + [True] * 9


def test_counters_count_each_kind_and_go_on_under_other_conditions() -> None:
    link = Link({**UNTOUCHED, "loss": 1.0}, 1, outward=False)
    for _ in range(2):
        link.treat(Packet(ipv4(17, udp(b"x"))), 0.0)
    link.degrade({**UNTOUCHED, "hold": True, "corruption": 1.0}, 1)
    link.treat(Packet(ipv4(17, udp(b"x"))), 0.0)
    assert link.counts == [2, 0, 1, 0, 1]


def message(kind: int, queue: int, attributes: bytes) -> bytes:
    body = struct.pack("!BBH", 0, 0, queue) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_packets_are_read_out_of_netlink_messages() -> None:
    one = attribute(HEADER, struct.pack("!IHB", 7, 0x0800, 3)) + attribute(PAYLOAD, b"hello")
    two = attribute(PAYLOAD, b"x") + attribute(HEADER, struct.pack("!IHB", 8, 0x0800, 3))
    stream = message(PACKET, 2, one) + message(ERROR, 0, bytes(16)) + message(PACKET, 4096, two)
    assert packets(stream) == [(2, 7, b"hello"), (4096, 8, b"x")]


def test_a_message_without_a_packet_is_none() -> None:
    assert packets(message(PACKET, 2, attribute(PAYLOAD, b"x"))) == []
    assert packets(b"short") == []
    assert packets(struct.pack("=IHHII", 0, PACKET, 0, 0, 0)) == []
