"""The network between real machines: links cut by iptables, or degraded by packet queues; healed, and observed.

1. All rules are in one chain of the run's own. Healing the last holder removes that chain and its two jumps, and
   nothing else; healing another one removes its rules.
2. A directed link is cut at both ends: the source drops what it sends there, the target what comes from there. One end
   alone would not be enough if a rule of the machine's owner lets the packet pass. A link of clients has one end here,
   where nothing is cut: the harness reaches its nodes by it, and their SSH always passes.
3. A link is cut while any holder cuts it. Counters survive what others do: a chain is never rewritten while it exists.
4. Our own probes are not counted as dropped. On a degraded link they are packets like others.
5. A machine may leave with its program, its rules too, and come back with another address. What is cut or degraded at
   its end is so again once it has come back (`rejoin`).
6. What a machine reports about itself goes into the rules of others, so each word is parsed. Nonsense, or another
   machine's address, is an EnvironmentFailure that names the machine.

A process that sends over a link cut at its own end gets EPERM from the kernel, where a real network is silent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, TypeVar

from splitbrain.harness.environment import CLIENTS, Conditions, EnvironmentFailure, Interference, Link, LinkObservation
from splitbrain.harness.hosts import rules
from splitbrain.harness.hosts.degrade import Degraded
from splitbrain.harness.hosts.probe import Probe
from splitbrain.harness.hosts.reached import Reached
from splitbrain.harness.hosts.rules import TOOLS, WAIT, Facts, Rule, read_counters, read_facts

T = TypeVar("T")


class IptablesNetwork:
    """An `environment.Network` between machines that one can log in to as root.

    machines: by node name. run: the run's id, at most 16 letters and digits; it names the chain. seed: of what is drawn
    for degraded links. turn: is held while anything is asked or done here; who takes a machine down waits for it.
    """

    def __init__(
        self, machines: Mapping[str, Reached], run: str, seed: int = 0, turn: asyncio.Lock | None = None
    ) -> None:
        self._machines = dict(sorted(machines.items()))
        self.chain = rules.chain_of(run)
        self.obstacle = ""
        """Why no link can be degraded; "" if they can. Known after `open`."""
        self._facts: dict[str, Facts] = {}
        self._probe = Probe(self._machines)
        self._degraded = Degraded(self._machines, seed)
        self._cut: dict[Link, set[str]] = {}
        self._chained: set[str] = set()
        self._probes: dict[Link, int] = {}
        self._here: frozenset[str] = frozenset(self._machines)
        self._turn = turn or asyncio.Lock()

    async def open(self) -> tuple[str, ...]:
        """Learn every machine's addresses, and see what works there.

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
        await self._probe.heard((), {}, {}, self._machines)
        obstacles = await asyncio.gather(*(self._degraded.obstacle(machine) for machine in self._machines.values()))
        self.obstacle = next((f"{name}: {why}" for name, why in zip(self._machines, obstacles, strict=True) if why), "")
        return tuple(name for name, fact in self._facts.items() if 6 not in fact.families)

    async def cut(self, links: Collection[Link], holder: str = "") -> None:
        """Drop everything sent over these directed links, besides those cut already.

        Raises EnvironmentFailure naming a machine where it did not work; `heal` then removes what did.
        """
        self._check(links)
        await self._wholly(self._cut_now(links, holder))

    async def degrade(self, links: Collection[Link], conditions: Conditions, holder: str = "") -> None:
        """Give these directed links these conditions, until healed. Of two holders the later one's count.

        Raises EnvironmentFailure where the kernel has no queues for packets, and naming a machine where it did not
        work.
        """
        self._check(links)
        if self.obstacle:
            raise EnvironmentFailure(
                f"links can't be degraded ({self.obstacle}); that needs a kernel with NFQUEUE and its iptables target"
            )
        await self._wholly(self._degrade_now(links, conditions, holder))

    async def heal(self, holder: str | None = None) -> None:
        """Remove what this holder did, or all; if nothing is left, the run's chain, and look that it is gone.

        Raises EnvironmentFailure where it is not. A machine that fails does not keep the others from being healed.
        """
        await self._wholly(self._heal_now(holder))

    async def observe(self) -> list[LinkObservation]:
        """Observe every directed link between two nodes, in the order of their names; then those of clients that are
        cut or degraded. Links of a machine that has left are observed only if they are cut or degraded.

        Only a cut link has a count of what was dropped: look once more before a heal to know what the cut did.
        """
        async with self._turn:
            here = await self._look()
            try:
                return await self._observed()
            except EnvironmentFailure:
                # A program may have ended by itself just now, and taken its machine's network along.
                if await self._look() == here:
                    raise
                return await self._observed()

    async def rejoin(self, name: str) -> None:
        """A machine has come back: learn its addresses, and do to it again what is cut or degraded.

        Only while the turn is held, or others would find it without its rules. Raises EnvironmentFailure naming a
        machine where it did not work.
        """
        await self._look()
        self._chained.discard(name)
        facts = await self._ask(self._machines[name])
        # The address may have been another's, which is still away: what is cut for that one must not strike this one.
        for other in sorted(self._machines.keys() - self._here - {name}):
            left = self._facts[other].addresses - facts.addresses
            await self._move(other, replace(self._facts[other], addresses=left))
        await self._move(name, facts)
        for link in self._cut:
            if link[0] == name:
                self._probes.pop(link, None)
        cut, treated = self._of(name)
        await self._degraded.renew(name)
        await self._add({name: [*self._drops(name, cut), *self._queues(name, treated)]})

    async def _observed(self) -> list[LinkObservation]:
        disturbed = {*self._cut, *self._degraded.links}
        links = [(a, b) for a in self._machines for b in self._machines if a != b]
        links = [link for link in links if self._here.issuperset(link) or link in disturbed]
        links += sorted(link for link in disturbed if CLIENTS in link)
        sent: dict[Link, int] = {}
        heard = await self._probe.heard(links, sent, self.clients, self._here)
        for link in self._cut:
            self._probes[link] = self._probes.get(link, 0) + sent.get(link, 0)
        counted = await _all(self._count(self._machines[name]) for name in sorted(self._chained))
        dropped = self._dropped(pair for machine in counted for pair in machine)
        treated: Mapping[Link, Interference] = await self._degraded.interference()
        return [
            LinkObservation(*link, link in self._cut, link in heard, dropped.get(link), treated.get(link))
            for link in links
        ]

    @property
    def clients(self) -> Mapping[str, str]:
        """By node, the address at which it sees clients; "" where it does not say. Known after `open`."""
        return {name: fact.clients for name, fact in self._facts.items()}

    async def silent(self) -> list[Link]:
        """The links over which no packet comes now, those of clients too. Raises EnvironmentFailure."""
        ends = [*self._machines, CLIENTS]
        links = [(a, b) for a in ends for b in ends if a != b]
        return sorted(set(links) - await self._probe.heard(links, {}, self.clients, self._here))

    def close(self) -> None:
        """Stop the listeners and queues; rules go with `heal`, and let everything pass until then if they queue."""
        self._probe.close()
        self._degraded.close()

    async def _wholly(self, work: Coroutine[Any, Any, None]) -> None:
        """One thing after another is done to the tables, and what was begun is finished, whoever is cancelled."""

        async def in_turn() -> None:
            async with self._turn:
                await self._look()
                await work

        await asyncio.shield(in_turn())

    async def _look(self) -> frozenset[str]:
        """Which machines are there. One that left took its rules along."""
        there = await asyncio.gather(*(machine.present() for machine in self._machines.values()))
        self._here = frozenset(name for name, present in zip(self._machines, there, strict=True) if present)
        self._chained &= self._here
        self._degraded.away = frozenset(self._machines) - self._here
        return self._here

    async def _move(self, name: str, facts: Facts) -> None:
        """A machine has other addresses than before: change what the others do to it."""
        before, cut, treated = self._facts[name], *self._of(name)
        others = [other for other in self._ends([*cut, *treated]) if other != name and other in self._chained]
        old = {other: [*self._drops(other, cut), *self._queues(other, treated)] for other in others}
        self._facts[name] = facts
        if facts.addresses != before.addresses:
            await _all(self._delete(self._machines[other], old[other]) for other in others)
            await self._add({other: [*self._drops(other, cut), *self._queues(other, treated)] for other in others})

    def _of(self, name: str) -> tuple[list[Link], list[Link]]:
        """The links of a machine that are cut, and those that are degraded."""
        return [link for link in sorted(self._cut) if name in link], [
            link for link in sorted(self._degraded.links) if name in link
        ]

    async def _cut_now(self, links: Collection[Link], holder: str) -> None:
        new = sorted(set(links) - self._cut.keys())
        for link in links:
            self._cut.setdefault(link, set()).add(holder)
        await self._add({name: self._drops(name, new) for name in self._ends(new)})

    async def _degrade_now(self, links: Collection[Link], conditions: Conditions, holder: str) -> None:
        new = sorted(set(links) - set(self._degraded.links))
        # First the program, then the packets: what finds no program passes.
        await self._degraded.set(links, conditions, holder)
        await self._add({name: self._queues(name, new) for name in self._ends(new)})

    async def _heal_now(self, holder: str | None) -> None:
        for holders in self._cut.values():
            holders.difference_update(holders.copy() if holder is None else {holder})
        whole = sorted(link for link, holders in self._cut.items() if not holders)
        treated = self._degraded.healed(holder)
        clear = sorted(set(treated) - set(self._degraded.links))
        for link in whole:
            del self._cut[link]
            self._probes.pop(link, None)
        try:
            if self._cut or self._degraded.links:
                ends = self._ends([*whole, *clear])
                undone = {name: [*self._drops(name, whole), *self._queues(name, clear)] for name in ends}
                await _all(self._delete(self._machines[name], undone[name]) for name in undone if name in self._chained)
            else:
                await _all(self._remove(self._machines[name]) for name in sorted(self._here))
        finally:
            await self._degraded.release(treated)

    async def _ask(self, machine: Reached) -> Facts:
        said = await machine.connection.run(rules.FACTS)
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

    def _check(self, links: Collection[Link]) -> None:
        known = {*self._machines, CLIENTS}
        for source, target in links:
            if source == target or not {source, target} <= known:
                raise EnvironmentFailure(f"there is no link from {source} to {target} to be cut; use the nodes' names")

    def _ends(self, links: Collection[Link]) -> list[str]:
        """The nodes at the ends of these links."""
        return sorted({name for link in links for name in link if name != CLIENTS})

    def _drops(self, me: str, links: Collection[Link]) -> list[Rule]:
        """The rules by which a machine cuts its ends of these links."""
        to = [Rule(True, address) for a, b in links if a == me for address in self._addresses(b, me)]
        return to + [Rule(False, address) for a, b in links if b == me for address in self._addresses(a, me)]

    def _queues(self, me: str, links: Collection[Link]) -> list[Rule]:
        """The rules by which a machine degrades those of these links that are degraded there."""
        found = []
        for link in links:
            node, queue = self._degraded.place(link)
            if node == me:
                outward = link[0] == me
                other = link[1] if outward else link[0]
                found += [Rule(outward, address, queue) for address in self._addresses(other, me)]
        return found

    async def _add(self, new: Mapping[str, list[Rule]]) -> None:
        await _all(self._append(self._machines[name], new[name]) for name in new if new[name] and name in self._here)

    async def _append(self, machine: Reached, new: list[Rule]) -> None:
        facts = self._facts[machine.name]
        first = machine.name not in self._chained
        script = "set -e\n"
        for family in sorted(facts.families):
            lines = rules.begun(self.chain, family, facts) if first else []
            table = rules.restored([*lines, *rules.added(self.chain, family, facts, new)])
            script += f"{TOOLS[family]}-restore {WAIT} --noflush <<'END'\n{table}END\n"
        await machine.connection.check(script)
        self._chained.add(machine.name)

    async def _delete(self, machine: Reached, old: list[Rule]) -> None:
        """Remove rules. One that something else has removed is no failure: what was wanted is so."""
        script = "set -e\n"
        for family in sorted(self._facts[machine.name].families):
            lines = rules.removed(self.chain, family, old)
            tool = f"{TOOLS[family]} {WAIT}"
            singly = "".join(
                f"{tool} {line} 2>/dev/null || ! {tool} {line.replace('-D', '-C', 1)} 2>/dev/null\n" for line in lines
            )
            script += (
                f"if ! {TOOLS[family]}-restore {WAIT} --noflush 2>/dev/null <<'END'\n{rules.restored(lines)}END\n"
                f"then\n:\n{singly}fi\n"
            )
        await machine.connection.check(script)

    async def _count(self, machine: Reached) -> list[tuple[Link, int]]:
        tools = [TOOLS[family] for family in sorted(self._facts[machine.name].families)]
        said = await machine.connection.check(" && ".join(f"{tool} {WAIT} -vxnL {self.chain}" for tool in tools))
        me = machine.name
        owner = {address: name for name in self._machines for address in self._addresses(name, me)}
        owner[self._facts[me].clients] = CLIENTS
        counted: list[tuple[Link, int]] = []
        for packets, source, target in _parsed(machine, read_counters, said.text):
            if target in owner:
                counted.append(((me, owner[target]), packets))
            elif source in owner:
                counted.append(((owner[source], me), packets))
        return counted

    async def _remove(self, machine: Reached) -> None:
        """Remove the chain, whatever is left of it, and see that it is gone."""
        await machine.connection.check(rules.cleared(self.chain, self._facts[machine.name].families))
        self._chained.discard(machine.name)

    def _dropped(self, counted: Iterable[tuple[Link, int]]) -> dict[Link, int]:
        """Packets dropped for each cut link, at both its ends together, without our own probes."""
        total = dict.fromkeys(self._cut, 0)
        for link, packets in counted:
            total[link] = total.get(link, 0) + packets
        return {link: max(0, packets - self._probes.get(link, 0)) for link, packets in total.items()}

    def _clients(self, seen_from: str) -> str:
        """Where a machine sees clients."""
        address = self._facts[seen_from].clients
        if not address:
            raise EnvironmentFailure(
                f"{seen_from} does not say from where it is reached, so links of clients can't be cut there; "
                "see whether its sshd sets SSH_CONNECTION"
            )
        return address

    def _addresses(self, name: str, seen_from: str) -> list[str]:
        """The addresses that identify a machine: those that no other machine has (both may have a bridge's)."""
        if name == seen_from:
            return []
        if name == CLIENTS:
            return [self._clients(seen_from)]
        return sorted(self._facts[name].addresses - self._facts[seen_from].addresses)


def _parsed(machine: Reached, read: Callable[..., T], said: str, *more: str) -> T:
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
