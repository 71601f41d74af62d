"""Partitions by iptables: cut, heal, and observe.

1. All rules are in one chain of the run's own, reached from INPUT and OUTPUT, for IPv4 and IPv6. Healing removes that
   chain and its two jumps, and nothing else.
2. A directed link is cut at both ends: the source drops what it sends there, the target what comes from there. One end
   alone would not be enough if a rule of the machine's owner lets the packet pass.
3. Counters survive further cuts: a chain is never rewritten while it exists.
4. Our own probes are not counted as dropped.
5. What a machine reports about itself goes into the rules of others, so each word is parsed. Nonsense, or another
   machine's address, is an EnvironmentFailure that names the machine.

A process that sends over a link cut at its own end gets EPERM from the kernel, where a real network is silent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeVar

from splitbrain.harness.environment import EnvironmentFailure, Link, LinkObservation
from splitbrain.harness.hosts.probe import Probe
from splitbrain.harness.hosts.ssh_machine import SshMachine

T = TypeVar("T")

# Of one machine. Bridges and containers of its own give it some; each becomes rules on all the others.
ADDRESSES_LIMIT = 64
# Fifteen digits: more packets than a run can send, and their sum is still a number of JSON's.
_COUNT = re.compile(r"[0-9]{1,15}", re.ASCII)
_TOOLS = {4: "iptables", 6: "ip6tables"}
# Another program may hold the lock of the tables for a moment; "-w" without a limit would wait for ever.
_WAIT = "-w 5"
_FACTS = f"""
echo "v4 $(hostname -I 2>/dev/null)"
[ ! -r /proc/net/if_inet6 ] || sed 's/^/v6 /' /proc/net/if_inet6
for tool in iptables ip6tables; do "$tool" {_WAIT} -S >/dev/null 2>&1 && echo "tool $tool"; done
iptables {_WAIT} -S 2>&1 >/dev/null | sed 's/^/why /'
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a machine reports about itself. addresses: all but loopback. families: those for which iptables works."""

    addresses: frozenset[str]
    families: frozenset[int]


class IptablesNetwork:
    """An `environment.Network` between machines that one can log in to as root.

    machines: by node name. run: the run's id, at most 16 letters and digits; it names the chain.
    """

    def __init__(self, machines: Mapping[str, SshMachine], run: str) -> None:
        self._machines = dict(sorted(machines.items()))
        self.chain = f"splitbrain-{run}"
        self._facts: dict[str, Facts] = {}
        self._probe = Probe(self._machines)
        self._cut: set[Link] = set()
        self._chained: set[str] = set()
        self._probes: dict[Link, int] = {}

    async def open(self) -> tuple[str, ...]:
        """Learn every machine's addresses, and see that iptables works there.

        Returns the nodes without IPv6, where there is nothing to cut of it. Raises EnvironmentFailure naming a
        machine whose iptables can't be used.
        """
        facts = await asyncio.gather(*(self._ask(machine) for machine in self._machines.values()))
        self._facts = dict(zip(self._machines, facts, strict=True))
        for name, fact in self._facts.items():
            others = [machine for machine in self._machines.values() if machine.name != name]
            stolen = [machine.name for machine in others if machine.host in fact.addresses]
            if stolen:
                raise EnvironmentFailure(
                    f"{name} says that the address of {stolen[0]} is its own; give every node an address of its own"
                )
        await self._probe.heard((), {})
        return tuple(name for name, fact in self._facts.items() if 6 not in fact.families)

    async def cut(self, links: Collection[Link]) -> None:
        """Drop everything sent over these directed links, besides those cut already.

        Raises EnvironmentFailure naming a machine where it did not work; `heal` then removes what did.
        """
        new = set(links) - self._cut
        for source, target in new:
            if source == target or not {source, target} <= self._machines.keys():
                raise EnvironmentFailure(f"there is no link from {source} to {target} to be cut; use the nodes' names")
        self._cut |= new
        ends = {name for link in new for name in link}
        await _all(self._append(self._machines[name], sorted(new)) for name in sorted(ends))

    async def heal(self) -> None:
        """Remove the run's chain everywhere, and look that it is gone. Raises EnvironmentFailure where it is not.

        A machine that fails does not keep the others from being healed.
        """
        await _all(self._remove(machine) for machine in self._machines.values())
        self._cut.clear()
        self._probes.clear()
        self._chained.clear()

    async def observe(self) -> list[LinkObservation]:
        """Observe every directed link, in the order of the nodes' names.

        Only a cut link has a count of what was dropped: look once more before a heal to know what the cut did.
        """
        links = [(a, b) for a in self._machines for b in self._machines if a != b]
        sent: dict[Link, int] = {}
        heard = await self._probe.heard(links, sent)
        for link in self._cut:
            self._probes[link] = self._probes.get(link, 0) + sent.get(link, 0)
        counted = await _all(self._count(self._machines[name]) for name in sorted(self._chained))
        dropped = self._dropped(pair for machine in counted for pair in machine)
        return [LinkObservation(a, b, (a, b) in self._cut, (a, b) in heard, dropped.get((a, b))) for a, b in links]

    def close(self) -> None:
        """Stop the listeners; rules go with `heal`."""
        self._probe.close()

    async def _ask(self, machine: SshMachine) -> Facts:
        said = await machine.connection.run(_FACTS)
        facts = _parsed(machine, read_facts, said.text, machine.host)
        if 4 not in facts.families:
            why = [line[4:] for line in said.text.splitlines() if line.startswith("why ")]
            raise EnvironmentFailure(
                f"iptables can't be used on {machine.name} ({why[0][:200] if why else 'it is missing'}); "
                "install it there, and log in as a user with CAP_NET_ADMIN"
            )
        if 6 not in facts.families and any(ip_address(address).version == 6 for address in facts.addresses):
            raise EnvironmentFailure(
                f"{machine.name} has IPv6 addresses but no ip6tables that works, so no cut there would be whole; "
                "install ip6tables, or turn IPv6 off on that machine"
            )
        return facts

    async def _append(self, machine: SshMachine, links: Sequence[Link]) -> None:
        me = machine.name
        to = [address for source, target in links if source == me for address in self._addresses(target, me)]
        of = [address for source, target in links if target == me for address in self._addresses(source, me)]
        first = me not in self._chained
        self._chained.add(me)
        script = "set -e\n"
        for family in sorted(self._facts[me].families):
            table = restore_input(self.chain, family, to, of, first=first)
            script += f"{_TOOLS[family]}-restore {_WAIT} --noflush <<'END'\n{table}END\n"
        await machine.connection.check(script)

    async def _count(self, machine: SshMachine) -> list[tuple[Link, int]]:
        tools = [_TOOLS[family] for family in sorted(self._facts[machine.name].families)]
        said = await machine.connection.check(" && ".join(f"{tool} {_WAIT} -vxnL {self.chain}" for tool in tools))
        me = machine.name
        owner = {address: name for name in self._machines for address in self._addresses(name, me)}
        counted: list[tuple[Link, int]] = []
        for packets, source, target in _parsed(machine, read_counters, said.text):
            if target in owner:
                counted.append(((me, owner[target]), packets))
            elif source in owner:
                counted.append(((owner[source], me), packets))
        return counted

    async def _remove(self, machine: SshMachine) -> None:
        """Remove the chain, whatever is left of it, and see that it is gone."""
        chain, script = self.chain, ""
        for family in sorted(self._facts[machine.name].families):
            tool = f"{_TOOLS[family]} {_WAIT}"
            script += (
                f"for from in INPUT OUTPUT; do while {tool} -D $from -j {chain} 2>/dev/null; do :; done; done\n"
                f"{tool} -F {chain} 2>/dev/null; {tool} -X {chain} 2>/dev/null\n"
                f'rules=$({tool} -S 2>&1) || {{ echo "$rules"; exit 4; }}\n'
                f"case $rules in *'{chain}'*) echo 'the chain {chain} is still there after the heal'; exit 3;; esac\n"
            )
        await machine.connection.check(script)

    def _dropped(self, counted: Iterable[tuple[Link, int]]) -> dict[Link, int]:
        """Packets dropped for each cut link, at both its ends together, without our own probes."""
        total = dict.fromkeys(self._cut, 0)
        for link, packets in counted:
            total[link] = total.get(link, 0) + packets
        return {link: max(0, packets - self._probes.get(link, 0)) for link, packets in total.items()}

    def _addresses(self, name: str, seen_from: str) -> list[str]:
        """The addresses that identify a machine: those that no other machine has (both may have a bridge's)."""
        if name == seen_from:
            return []
        return sorted(self._facts[name].addresses - self._facts[seen_from].addresses)


def _parsed(machine: SshMachine, read: Callable[..., T], said: str, *more: str) -> T:
    """What a machine said, read. Raises EnvironmentFailure by its name if that can't be."""
    try:
        return read(said, *more)
    except ValueError as problem:
        raise EnvironmentFailure(
            f"{machine.name} answers with what can't be ({problem}); see what its hostname and iptables are"
        ) from None


async def _all(works: Iterable[Awaitable[T]]) -> list[T]:
    """Wait for all of them, even if one fails; then raise what the first to fail raised."""
    done = await asyncio.gather(*works, return_exceptions=True)
    for outcome in done:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in done if not isinstance(outcome, BaseException)]


def restore_input(chain: str, family: int, to: Iterable[str], of: Iterable[str], *, first: bool) -> str:
    """What iptables-restore is given: drop what goes out to some addresses and what comes in from others.

    family: 4 or 6; addresses of the other one are left out. first: also make the chain, and the jumps to it ahead
    of all other rules. One chain serves both directions, as no machine sends to or hears from itself by these.
    """
    lines = ["*filter"]
    if first:
        # A chain's line empties a chain that stands, and its counters with it.
        lines += [f":{chain} - [0:0]", f"-I INPUT 1 -j {chain}", f"-I OUTPUT 1 -j {chain}"]
    lines += [f"-A {chain} -d {address} -j DROP" for address in to if ip_address(address).version == family]
    lines += [f"-A {chain} -s {address} -j DROP" for address in of if ip_address(address).version == family]
    return "\n".join([*lines, "COMMIT", ""])


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
    """What a machine answered to the questions above; host: the address by which it is reached.

    Raises ValueError for an address that is none, or that no machine can have for itself alone, and for too many.
    """
    addresses = {host}
    families = set()
    for line in said.splitlines():
        match line.split():
            case ["v4", *words]:
                # Those with colons are listed again below, all of them.
                addresses |= {_own(IPv4Address(word)) for word in words if ":" not in word}
            case ["v6", digits, _, _, scope, *_] if scope != "10":  # 10: loopback
                if not re.fullmatch(r"[0-9a-fA-F]{32}", digits, re.ASCII):
                    raise ValueError(f"{digits!r:.40} is no IPv6 address")
                addresses.add(_own(IPv6Address(int(digits, 16))))
            case ["tool", tool]:
                families |= {family for family, name in _TOOLS.items() if name == tool}
    if len(addresses) > ADDRESSES_LIMIT:
        raise ValueError(f"{len(addresses)} addresses")
    if not any(ip_address(address).version == 6 for address in addresses):
        families.discard(6)
    return Facts(frozenset(addresses), frozenset(families))


def _own(address: IPv4Address | IPv6Address) -> str:
    if address.is_loopback or address.is_multicast or address.is_unspecified:
        raise ValueError(f"{address} is no address of one machine")
    return str(address)
