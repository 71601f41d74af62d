"""Degrade links: lose, delay, duplicate, corrupt, slow down and hold packets. Runs on a node.

1. Packets come from the kernel's netfilter queues, one queue a link, and go on when this program gives its verdict. A
   late verdict is a delay, a verdict with other bytes a corruption.
2. Every draw comes from the link's seed, and each packet takes equally many: the n-th packet of a link meets the same
   fate, whatever happened to those before it.
3. A duplicate is sent by a raw socket, with a mark that keeps it out of the queues. One too large for the link's MTU
   can't be, and is not counted.
4. A packet that waits on its way out still counts against its sender's buffer, and would hold up what that sends to
   others. So it is dropped there and sent anew when it is due, unless it is too large for that.
5. A corrupted packet has a right checksum again, or none where UDP allows that: else the kernel would drop it, and
   nobody would read it.
6. When standard input ends, this ends. The kernel then lets packets pass by the queues, and counts no more.

It is sent over as text, so it imports nothing of splitbrain. One JSON object a line, each answered by one. To begin
with: {"ready": true}. {"set": [queue, conditions or null, seed, outward]} degrades a link, or lets it be and releases
what it held; Each answer has
{"counts": {queue: [lost, duplicated, corrupted, delayed, held]}}; {"count": true} asks for nothing else. With the
argument "try" it only sees whether there are queues.

Sources: linux/netfilter/nfnetlink_queue.h; RFC 1071 (checksums).
"""

import heapq
import json
import os
import random
import select
import socket
import struct
import sys
import time
from typing import Any

NETLINK_NETFILTER, NETLINK_NO_ENOBUFS, SOL_NETLINK = 12, 5, 270
SO_RCVBUFFORCE, SO_MARK = 33, 36
PACKET, VERDICT, CONFIG = 3 << 8, 3 << 8 | 1, 3 << 8 | 2
COMMAND, PARAMETERS, LENGTH = 1, 2, 3
HEADER, VERDICT_HEADER, PAYLOAD = 1, 2, 10
DROP, ACCEPT = 0, 1
ERROR = 2
REQUEST, ACKNOWLEDGE = 1, 4
QUEUE_PACKETS = 65_536
RECEIVE_BYTES = 16 << 20
TRIED = 65_535
UDP, TCP = 17, 6
DRAWS = 7
LOST, DUPLICATED, CORRUPTED, DELAYED, HELD = range(5)
LONGEST_QUEUE_S = 1.0
"""What would wait longer for a limited rate is lost."""
OWN_MARK = 0x5B
"""Of packets that come from here: they are not queued again."""
RESENT_MAX_BYTES = 1280
"""Every link takes that much in one piece (RFC 8200)."""


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total = sum(int(word) for word in struct.unpack(f"!{len(data) // 2}H", data[: len(data) & ~1]))
    if len(data) & 1:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Packet:
    """An IP packet, taken apart. protocol: 0 where the rest is not understood, as in a fragment."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.protocol, self.start, self.payload = 0, 0, len(data)
        self.addresses = b""
        if data[0] >> 4 == 4 and len(data) >= 20 and not struct.unpack_from("!H", data, 6)[0] & 0x3FFF:
            self.protocol, self.start, self.addresses = data[9], (data[0] & 15) * 4, data[12:20]
        elif data[0] >> 4 == 6 and len(data) >= 40:
            self.protocol, self.start, self.addresses = data[6], 40, data[8:40]
        if self.protocol == UDP and len(data) >= self.start + 8:
            self.payload = self.start + 8
        elif self.protocol == TCP and len(data) >= self.start + 20:
            self.payload = self.start + (data[self.start + 12] >> 4) * 4
        else:
            self.protocol = 0

    @property
    def target(self) -> "tuple[str, int]":
        """Destination address and port."""
        half = len(self.addresses) // 2
        family = socket.AF_INET if half == 4 else socket.AF_INET6
        if not half:
            return "", 0
        port = struct.unpack_from("!H", self.data, self.start + 2)[0] if self.protocol else 0
        return socket.inet_ntop(family, self.addresses[half:]), port

    def corrupted(self, where: float, zero: bool) -> bytes:
        """With one bit of what it carries flipped; empty if it carries nothing. where: from 0 to 1."""
        bits = (len(self.data) - self.payload) * 8
        if not self.protocol or bits <= 0:
            return b""
        data = bytearray(self.data)
        bit = int(where * bits)
        data[self.payload + bit // 8] ^= 1 << bit % 8
        at = self.start + (6 if self.protocol == UDP else 16)
        struct.pack_into("!H", data, at, 0)
        if not (zero and self.protocol == UDP and len(self.addresses) == 8):
            body = bytes(data[self.start :])
            pseudo = self.addresses + struct.pack("!IHBB", len(body), 0, 0, self.protocol)
            struct.pack_into("!H", data, at, checksum(pseudo + body) or 0xFFFF)
        return bytes(data)


class Fate:
    """What becomes of one packet. due: when it goes on; None if it is lost, or held. again: when its duplicate does."""

    def __init__(self) -> None:
        self.due: float | None = None
        self.again: float | None = None
        self.changed = b""
        self.held = False


class Link:
    """One degraded link: its conditions, its draws, and its counters."""

    def __init__(self, conditions: "dict[str, Any]", seed: int, outward: bool) -> None:
        self.outward = outward
        self.counts = [0, 0, 0, 0, 0]
        self.waiting: list[Any] = []
        self.degrade(conditions, seed)

    def degrade(self, conditions: "dict[str, Any]", seed: int) -> None:
        """Other conditions, from now on; the counters go on."""
        self.conditions = conditions
        self.rng = random.Random(seed)
        self.busy_until = 0.0

    def treat(self, packet: Packet, now: float) -> Fate:
        """The fate of the next packet."""
        conditions, fate = self.conditions, Fate()
        lost, twice, corrupt, where, zero, late, later = (self.rng.random() for _ in range(DRAWS))
        rate = conditions["rate_bytes_s"]
        if lost < conditions["loss"]:
            self.counts[LOST] += 1
            return fate
        if corrupt < conditions["corruption"]:
            fate.changed = packet.corrupted(where, zero < 0.5)
            self.counts[CORRUPTED] += bool(fate.changed)
        if conditions["hold"]:
            fate.held = True
            self.counts[HELD] += 1
            return fate
        start = now
        if rate is not None:
            # The first of an idle link passes at once: only those behind it are late.
            start = max(now, self.busy_until)
            if start - now > LONGEST_QUEUE_S:
                self.counts[LOST] += 1
                return fate
            self.busy_until = start + len(packet.data) / rate
        least, most = conditions["delay_s"]
        fate.due = start + least + late * (most - least)
        self.counts[DELAYED] += fate.due > now
        if twice < conditions["duplication"]:
            fate.again = start + least + later * (most - least)
        return fate


class Queues:
    """The kernel's netfilter queues, over a netlink socket."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)
        # Without it a burst that does not fit makes every later receive fail, too.
        self.socket.setsockopt(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1)
        self.socket.bind((0, 0))
        self.early: list[bytes] = []

    def bind(self, queue: int) -> None:
        """Take a queue. Raises OSError where the kernel has none, or another program has this one."""
        self.configure(queue, COMMAND, struct.pack("!BBH", 1, 0, 0))
        self.configure(queue, PARAMETERS, struct.pack("!IB", 0xFFFF, 2))
        self.configure(queue, LENGTH, struct.pack("!I", QUEUE_PACKETS))

    def configure(self, queue: int, kind: int, value: bytes) -> None:
        """One setting, acknowledged."""
        self.send(CONFIG, queue, attribute(kind, value), ACKNOWLEDGE)
        while True:
            data = self.socket.recv(1 << 17)
            (kind_of,) = struct.unpack_from("=H", data, 4)
            if kind_of != ERROR:
                self.early.append(data)
                continue
            (code,) = struct.unpack_from("=i", data, 16)
            if code:
                raise OSError(-code, os.strerror(-code))
            return

    def send(self, kind: int, queue: int, attributes: bytes, flags: int = 0) -> None:
        """One message."""
        body = struct.pack("!BBH", 0, 0, queue) + attributes
        self.socket.send(struct.pack("=IHHII", 16 + len(body), kind, REQUEST | flags, 0, 0) + body)

    def decide(self, queue: int, number: int, verdict: int, changed: bytes = b"") -> None:
        """Let a packet go on, perhaps with other bytes, or drop it."""
        attributes = attribute(VERDICT_HEADER, struct.pack("!II", verdict, number))
        self.send(VERDICT, queue, attributes + (attribute(PAYLOAD, changed) if changed else b""))

    def arrived(self) -> "list[tuple[int, int, bytes]]":
        """(queue, number, packet) of what has come."""
        messages, self.early = self.early, []
        if not messages:
            messages = [self.socket.recv(1 << 17)]
        return [found for data in messages for found in packets(data)]


def attribute(kind: int, value: bytes) -> bytes:
    """A netlink attribute, padded."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def packets(data: bytes) -> "list[tuple[int, int, bytes]]":
    """(queue, number, packet) of each message about a packet."""
    found = []
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        if kind == PACKET and length >= 20:
            (queue,) = struct.unpack_from("!H", data, 18)
            at, number, payload = 20, None, b""
            while at + 4 <= length:
                size, what = struct.unpack_from("=HH", data, at)
                if what & 0x7FFF == HEADER:
                    (number,) = struct.unpack_from("!I", data, at + 4)
                elif what & 0x7FFF == PAYLOAD:
                    payload = data[at + 4 : at + size]
                at += (max(size, 4) + 3) & ~3
            if number is not None:
                found.append((queue, number, payload))
        data = data[(max(length, 16) + 3) & ~3 :]
    return found


class Agent:
    """The queues' packets, each treated as its link says."""

    def __init__(self) -> None:
        self.queues = Queues()
        self.links: dict[int, Link] = {}
        self.bound: set[int] = set()
        self.due: list[Any] = []
        self.order = 0
        self.raw: dict[int, socket.socket] = {}

    def serve(self) -> None:
        """Until standard input ends."""
        say({"ready": True})
        said = b""
        poller = select.poll()
        for fd in (0, self.queues.socket.fileno()):
            poller.register(fd, select.POLLIN)
        while True:
            wait = None if not self.due else max(0.0, (self.due[0][0] - time.monotonic()) * 1000)
            ready = {fd for fd, _ in poller.poll(0 if self.queues.early else wait)}
            if self.queues.socket.fileno() in ready or self.queues.early:
                for queue, number, data in self.queues.arrived():
                    self.receive(queue, number, data)
            while self.due and self.due[0][0] <= time.monotonic():
                self.act(*heapq.heappop(self.due)[2:])
            if 0 in ready:
                piece = os.read(0, 1 << 16)
                if not piece:
                    return
                *lines, said = (said + piece).split(b"\n")
                for line in lines:
                    say(self.obey(json.loads(line)))

    def obey(self, order: "dict[str, Any]") -> "dict[str, Any]":
        """One line from the harness."""
        if "set" in order:
            self.set(*order["set"])
        return {"counts": {str(queue): link.counts for queue, link in self.links.items()}}

    def set(self, queue: int, conditions: "dict[str, Any] | None", seed: int, outward: bool) -> None:
        """Degrade a link, or let it be; what it held goes on, in drawn order."""
        link = self.links.get(queue)
        if link is not None:
            for last in range(len(link.waiting) - 1, 0, -1):
                other = int(link.rng.random() * (last + 1))
                link.waiting[last], link.waiting[other] = link.waiting[other], link.waiting[last]
            for number, changed in link.waiting:
                self.act(queue, number, changed, None)
            link.waiting.clear()
        if queue not in self.bound:
            self.queues.bind(queue)
            self.bound.add(queue)
        if conditions is None:
            self.links.pop(queue, None)
        elif link is None:
            self.links[queue] = Link(conditions, seed, outward)
        else:
            link.degrade(conditions, seed)

    def receive(self, queue: int, number: int, data: bytes) -> None:
        """A packet from the kernel."""
        link = self.links.get(queue)
        if link is None or not data:
            self.queues.decide(queue, number, ACCEPT)
            return
        now = time.monotonic()
        fate = link.treat(Packet(data), now)
        waits = fate.held or (fate.due is not None and fate.due > now)
        again: int | None = number
        if waits and link.outward and len(data) <= RESENT_MAX_BYTES:
            self.queues.decide(queue, number, DROP)
            again, fate.changed = None, fate.changed or data
        if fate.held:
            link.waiting.append((again, fate.changed))
        elif fate.due is None:
            self.queues.decide(queue, number, DROP)
        elif waits:
            self.later(fate.due, queue, again, fate.changed, None)
        else:
            self.queues.decide(queue, number, ACCEPT, fate.changed)
        if fate.again is not None:
            self.later(fate.again, queue, None, fate.changed or data, link)

    def later(self, due: float, *what: Any) -> None:
        """Act then."""
        self.order += 1
        heapq.heappush(self.due, (due, self.order, *what))

    def act(self, queue: int, number: "int | None", data: bytes, link: "Link | None") -> None:
        """A packet is due. Without a number it is to be sent from here; link: of which it is a duplicate, if any."""
        if number is not None:
            self.queues.decide(queue, number, ACCEPT, data)
        elif self.send(data) and link is not None:
            link.counts[DUPLICATED] += 1

    def send(self, data: bytes) -> bool:
        """Send a packet as it is. False if the kernel does not take it, as one above the MTU."""
        family = socket.AF_INET if data[0] >> 4 == 4 else socket.AF_INET6
        try:
            if family not in self.raw:
                self.raw[family] = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
                self.raw[family].setsockopt(socket.SOL_SOCKET, SO_MARK, OWN_MARK)
            self.raw[family].sendto(data, (Packet(data).target[0], 0))
        except OSError:
            return False
        return True


def say(answer: "dict[str, Any]") -> None:
    """One line to the harness."""
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    agent = Agent()
    if sys.argv[1:] == ["try"]:
        agent.queues.bind(TRIED)
        say({"ready": True})
    else:
        agent.serve()
