"""The text of iptables: rules as iptables-restore reads them, counters as it lists them, machines as they say.

1. All rules are in one chain of the run's own, reached from INPUT and OUTPUT, for IPv4 and IPv6.
2. First in it come the rules that let the harness's own SSH pass, whatever is cut. Cuts come next, then queues.
3. What a machine reports about itself goes into the rules of others, so each word is parsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from splitbrain.harness.hosts.agent.packet_queue import OWN_MARK

# Of one machine. Bridges and containers of its own give it some; each becomes rules on all the others.
ADDRESSES_LIMIT = 64
# Fifteen digits: more packets than a run can send, and their sum is still a number of JSON's.
_COUNT = re.compile(r"[0-9]{1,15}", re.ASCII)
TOOLS = {4: "iptables", 6: "ip6tables"}
# Another program may hold the lock of the tables for a moment; "-w" without a limit would wait for ever.
WAIT = "-w 5"
FACTS = f"""
echo "v4 $(hostname -I 2>/dev/null)"
[ ! -r /proc/net/if_inet6 ] || sed 's/^/v6 /' /proc/net/if_inet6
echo "ssh $SSH_CONNECTION"
for tool in iptables ip6tables; do "$tool" {WAIT} -S >/dev/null 2>&1 && echo "tool $tool"; done
iptables {WAIT} -S 2>&1 >/dev/null | sed 's/^/why /'
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a machine reports about itself.

    addresses: all but loopback. families: those for which iptables works. clients: the address from which the harness
    reaches it. ssh_port: the port that it uses for that.
    """

    addresses: frozenset[str]
    families: frozenset[int]
    clients: str = ""
    ssh_port: int = 22

    @property
    def ssh_family(self) -> int:
        """4 or 6; 0 if it is not known from where the harness comes."""
        return ip_address(self.clients).version if self.clients else 0


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done to packets of one link at one end: to an address, or from it. queue: None to drop them."""

    outward: bool
    address: str
    queue: int | None = None

    @property
    def family(self) -> int:
        """4 or 6."""
        return ip_address(self.address).version

    @property
    def words(self) -> str:
        """As iptables has it, after the chain's name."""
        match = f"{'-d' if self.outward else '-s'} {self.address}"
        if self.queue is None:
            return f"{match} -j DROP"
        return f"{match} -m mark ! --mark {OWN_MARK} -j NFQUEUE --queue-num {self.queue} --queue-bypass"


def chain_of(run: str) -> str:
    """The name of a run's chain."""
    return f"splitbrain-{run}"


def begun(chain: str, family: int, facts: Facts) -> list[str]:
    """The lines that make the chain, and the jumps to it ahead of all other rules.

    A chain's line empties a chain that stands, and its counters with it.
    """
    lines = [f":{chain} - [0:0]", f"-I INPUT 1 -j {chain}", f"-I OUTPUT 1 -j {chain}"]
    if facts.ssh_family == family:
        lines.append(f"-A {chain} -s {facts.clients} -p tcp --dport {facts.ssh_port} -j RETURN")
        lines.append(f"-A {chain} -d {facts.clients} -p tcp --sport {facts.ssh_port} -j RETURN")
    return lines


def added(chain: str, family: int, facts: Facts, rules: Iterable[Rule]) -> list[str]:
    """The lines that add rules; those of the other family are left out."""
    after_ssh = 3 if facts.ssh_family == family else 1
    return [
        f"-I {chain} {after_ssh} {rule.words}" if rule.queue is None else f"-A {chain} {rule.words}"
        for rule in rules
        if rule.family == family
    ]


def removed(chain: str, family: int, rules: Iterable[Rule]) -> list[str]:
    """The lines that remove them again."""
    return [f"-D {chain} {rule.words}" for rule in rules if rule.family == family]


def restored(lines: Sequence[str]) -> str:
    """What iptables-restore is given, to do all of it or nothing."""
    return "\n".join(["*filter", *lines, "COMMIT", ""])


def cleared(chain: str, families: Iterable[int]) -> str:
    """The script that removes a chain, whatever is left of it, and sees that it is gone."""
    script = ""
    for family in sorted(families):
        tool = f"{TOOLS[family]} {WAIT}"
        script += (
            f"for from in INPUT OUTPUT; do while {tool} -D $from -j {chain} 2>/dev/null; do :; done; done\n"
            f"{tool} -F {chain} 2>/dev/null; {tool} -X {chain} 2>/dev/null\n"
            f'rules=$({tool} -S 2>&1) || {{ echo "$rules"; exit 4; }}\n'
            f"case $rules in *'{chain}'*) echo 'the chain {chain} is still there after the heal'; exit 3;; esac\n"
        )
    return script


def read_counters(listing: str) -> list[tuple[int, str, str]]:
    """(packets, source, destination) of each DROP rule in `iptables -vxnL`. The unconstrained side is 0.0.0.0/0.

    Raises ValueError for a count that is none.
    """
    counters = []
    for row in (line.split() for line in listing.splitlines()):
        if len(row) > 7 and row[2] == "DROP":
            if not _COUNT.fullmatch(row[0]):
                raise ValueError(f"{row[0]!r:.40} packets")
            # ip6tables leaves a column empty that iptables fills, so addresses are counted from the end.
            counters.append((int(row[0]), row[-2], row[-1]))
    return counters


def read_facts(said: str, host: str) -> Facts:
    """What a machine answered to `FACTS`; host: the address by which it is reached.

    Raises ValueError for an address that is none, or that no machine can have for itself alone, and for too many.
    """
    addresses = {host}
    families = set()
    clients, ssh_port = "", 22
    for line in said.splitlines():
        match line.split():
            case ["v4", *words]:
                # Those with colons are listed again below, all of them.
                addresses |= {_own(IPv4Address(word)) for word in words if ":" not in word}
            case ["v6", digits, _, _, scope, *_] if scope != "10":  # 10: loopback
                if not re.fullmatch(r"[0-9a-fA-F]{32}", digits, re.ASCII):
                    raise ValueError(f"{digits!r:.40} is no IPv6 address")
                addresses.add(_own(IPv6Address(int(digits, 16))))
            case ["ssh", address, _, _, port]:
                clients = _own(ip_address(address))
                if not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII):
                    raise ValueError(f"{port!r:.40} is no port of an address")
                ssh_port = int(port)
            case ["tool", tool]:
                families |= {family for family, name in TOOLS.items() if name == tool}
    if len(addresses) > ADDRESSES_LIMIT:
        raise ValueError(f"{len(addresses)} addresses")
    if clients in addresses:
        raise ValueError(f"it is reached from its own address {clients}")
    if not any(ip_address(address).version == 6 for address in addresses):
        families.discard(6)
    return Facts(frozenset(addresses), frozenset(families), clients, ssh_port)


def _own(address: IPv4Address | IPv6Address) -> str:
    if address.is_loopback or address.is_multicast or address.is_unspecified:
        raise ValueError(f"{address} is no address of one machine")
    return str(address)
