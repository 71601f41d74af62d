"""Degraded links on real machines: the controller of the packet queues on the nodes.

1. A link has one queue, at its target: packets that wait at their source would count against the sender's buffer, and
   hold up what it sends to others. A link to clients has its queue at its source. Queues are numbered by the nodes'
   names, so they never change.
2. Of two holders the later one's conditions count. When it heals, the earlier one's come back.
3. A program that died degrades nothing. Its links show no interference, so no fault passes for one that took effect.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from splitbrain.harness.environment import (
    CLIENTS,
    Conditions,
    EnvironmentFailure,
    Interference,
    Link,
)
from splitbrain.harness.hosts.line_program import LineProgram
from splitbrain.harness.hosts.reached import Reached
from splitbrain.harness.seeds import split

AGENT = Path(__file__).with_name("agent") / "packet_queue.py"
TO_CLIENTS = 4096
"""The queue of what goes to clients; those of the others count from 0, by source."""

Count = Annotated[int, msgspec.Meta(ge=0, le=10**15)]


class Ready(msgspec.Struct):
    """What the program says at first."""

    ready: bool


class Counts(msgspec.Struct):
    """What it answers: by queue, how many packets were lost, duplicated, corrupted, delayed, held."""

    counts: dict[str, tuple[Count, Count, Count, Count, Count]]


class Degraded:
    """The links of a run that are degraded. seed: of every draw; a link's own comes from it and the holder's name."""

    def __init__(self, machines: Mapping[str, Reached], seed: int) -> None:
        self._machines = machines
        self._seed = seed
        self._numbers = {name: number for number, name in enumerate([*sorted(machines), CLIENTS])}
        self._programs: dict[str, LineProgram] = {}
        self._conditions: dict[Link, dict[str, Conditions]] = {}
        self._dead: set[Link] = set()
        self.away: frozenset[str] = frozenset()
        """Nodes that can't be asked now; `renew` one that can be again."""

    @property
    def links(self) -> Collection[Link]:
        """Those that are degraded now."""
        return self._conditions.keys()

    def place(self, link: Link) -> tuple[str, int]:
        """At which node it is degraded, and by which queue."""
        source, target = link
        return (source, TO_CLIENTS) if target == CLIENTS else (target, self._numbers[source])

    async def obstacle(self, machine: Reached) -> str:
        """Why packets can't be queued on that machine; "" if they can. Takes about 0.1 s."""
        # A chain that nothing jumps to: whether the kernel knows the target.
        chain, rule = "splitbrain-try", "-j NFQUEUE --queue-num 65535 --queue-bypass -m mark ! --mark 1"
        said = await machine.connection.run(
            f"iptables -w 5 -N {chain} 2>&1 && iptables -w 5 -A {chain} {rule} 2>&1; known=$?\n"
            f"iptables -w 5 -F {chain}; iptables -w 5 -X {chain}\n"
            f"[ $known = 0 ] && exec python3 -c {shlex.quote(AGENT.read_text())} try"
        )
        return "" if said.status == 0 else said.excerpt.splitlines()[-1] if said.excerpt else "iptables refuses it"

    async def set(self, links: Collection[Link], conditions: Conditions, holder: str) -> None:
        """Treat what comes into these links' queues from now on."""
        for link in links:
            standing = self._conditions.setdefault(link, {})
            standing.pop(holder, None)
            standing[holder] = conditions
        await self._send(links, anew=True)

    def healed(self, holder: str | None) -> list[Link]:
        """Forget what this holder did, or all. Returns the links that it concerned, which `release` has to be told."""
        concerned = [link for link, standing in self._conditions.items() if holder is None or holder in standing]
        for link in concerned:
            self._conditions[link] = {
                name: conditions
                for name, conditions in self._conditions[link].items()
                if holder is not None and name != holder
            }
            if not self._conditions[link]:
                del self._conditions[link]
        return concerned

    async def release(self, links: Collection[Link]) -> None:
        """Let what these links hold go on, under the conditions that are left."""
        await self._send(links, anew=False)
        self._dead -= set(links) - self._conditions.keys()

    async def renew(self, node: str) -> None:
        """Treat again what comes into the queues of a node that has lost them."""
        links = [link for link in self._conditions if self.place(link)[0] == node]
        await self._send(links, anew=True)

    async def interference(self) -> dict[Link, Interference]:
        """What was done to packets of each link since it was degraded."""
        nodes = sorted({self.place(link)[0] for link in self._conditions})
        counted = dict(zip(nodes, await asyncio.gather(*(self._counts(node) for node in nodes)), strict=True))
        found = {}
        for link in self._conditions:
            node, queue = self.place(link)
            counts = (0,) * 5 if link in self._dead else counted[node].get(str(queue), (0,) * 5)
            found[link] = Interference(*counts)
        return found

    def close(self) -> None:
        """End the programs. Idempotent."""
        for program in self._programs.values():
            program.close()
        self._programs.clear()

    async def _send(self, links: Collection[Link], *, anew: bool) -> None:
        nodes = sorted({self.place(link)[0] for link in links} - self.away)
        await asyncio.gather(*(self._send_to(node, sorted(links), anew) for node in nodes))

    async def _send_to(self, node: str, links: Collection[Link], anew: bool) -> None:
        program = self._programs.get(node)
        if program is None or program.ended:
            if not anew:
                return  # It has ended, so nothing is held there.
            self._dead |= {link for link in self._conditions if self.place(link)[0] == node and link not in links}
            program = self._programs[node] = await LineProgram.start(self._machines[node], AGENT, "the packet queue")
            await program.answer(Ready)
        for link in links:
            at, queue = self.place(link)
            if at != node:
                continue
            standing = self._conditions.get(link, {})
            holder, conditions = next(reversed(standing.items()), ("", None))
            seed = split(split(self._seed, f"degrade {holder}"), f"{link[0]}>{link[1]}")
            try:
                await program.ask({"set": [queue, conditions, seed, link[1] == CLIENTS]}, Counts)
            except EnvironmentFailure:
                if anew:
                    raise
                return  # It turns out to have ended.

    async def _counts(self, node: str) -> dict[str, tuple[int, int, int, int, int]]:
        program = self._programs.get(node)
        if program is None or program.ended:
            return {}
        try:
            return (await program.ask({"count": True}, Counts)).counts
        except EnvironmentFailure:
            # Rule 3. If the machine itself is gone, whatever asks it next says so.
            return {}
