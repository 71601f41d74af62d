"""The schedule: all strikes of a run, drawn from its seed before it starts.

1. Strikes are struck in the first part of the load. The rest of it is quiet, and loaded: what does not recover after
   the last heal is seen there (`struck_s`).
2. First comes a round in which every family strikes once. Those that hold the same kind of thing take turns in it, in
   drawn order, each with its share of the time. Families of different kinds overlap.
3. Then strikes come at random, without end of the kinds or the round: gaps are exponential with `interval_s` on
   average, families are drawn, and holds are log-uniform. They take `HOLD_INTERVALS` intervals at most: the system is
   left alone between strikes too, however often they come. What would hold a thing that is held is left out.
4. A family's strikes that destroy copies hit only nodes that the system can do without.
5. A time in which the first round does not fit is refused, with the least that it needs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from splitbrain.checkers.histories.prose import listing
from splitbrain.harness.nemesis.fault_family import FaultFamily
from splitbrain.harness.nemesis.strike import Hold, Strike
from splitbrain.harness.nemesis.targets import Targets
from splitbrain.harness.seeds import draw, log_uniform, shuffled, split

LEAST_S = 0.5
"""The shortest quiet time or hold of the first round: a shorter fault fits between two retransmissions."""
TURN_S = 10.0
"""How long a family's turn in the first round is at most, in seconds, unless its strikes may take longer."""
QUIET_S = 5.0
"""How long the load goes on after the last heal, at least."""
QUIET_SHARE = 0.2
HOLD_INTERVALS = 4
INTERVAL_S = 2.5
"""From one strike to the next on average, where commands take no time."""


def struck_s(time_limit_s: float, least_s: float) -> float:
    """The part of the load in which strikes are struck, in seconds.

    least_s: what the first round needs. The quiet part is given up where it would not fit: then the load goes on
    after its time limit.
    """
    quiet_s = max(QUIET_S, QUIET_SHARE * time_limit_s)
    return min(time_limit_s, max(time_limit_s - quiet_s, time_limit_s / 2, least_s))


@dataclass
class Schedule:
    """Draws strikes.

    families: in the order of their names' first mention. targets: whom they may strike. seed: of all draws.
    commands_s: what the commands of one strike take, its start and its end together, in seconds.
    """

    families: Sequence[FaultFamily]
    targets: Targets
    seed: int
    commands_s: float
    _turns: dict[str, int] = field(default_factory=dict)
    _drawn: list[Strike] = field(default_factory=list)

    def strikes(self, time_limit_s: float, interval_s: float | None = None) -> tuple[Strike, ...]:
        """All strikes of a load of this length, by their time.

        interval_s: from one strike to the next, on average; None for a usual one. Raises ValueError with the least
        time that the first round needs.
        """
        if not self.families:
            return ()
        least_s = self._least_s()
        if time_limit_s < least_s:
            raise ValueError(
                f"{time_limit_s:g} s is too short for a strike of {listing([each.name for each in self.families], 9)};"
                f" give --time-limit {math.ceil(least_s)} or more, or fewer faults"
            )
        end_s = struck_s(time_limit_s, least_s)
        self._turns.clear()
        self._drawn.clear()
        rest_s = self._first_round(end_s)
        self._more(rest_s, end_s, interval_s or max(INTERVAL_S, 2 * self.commands_s))
        ordered = sorted(self._drawn, key=lambda strike: strike.at_s)  # Stable: of one moment, the one drawn first.
        return tuple(
            Strike(number, each.family, each.at_s, each.for_s, each.how) for number, each in enumerate(ordered)
        )

    def _least_s(self) -> float:
        """What the first round needs."""
        return max(
            sum(LEAST_S + self._overhead_s(family) + max(LEAST_S, family.shortest_s) for family in chain)
            for chain in self._chains()
        )

    def _overhead_s(self, family: FaultFamily) -> float:
        return self.commands_s + family.silence_s

    def _chains(self) -> list[list[FaultFamily]]:
        """The families, those that hold the same kinds of things together, in drawn order."""
        kinds = {family.name: _kinds(family.holds(self._how(family, 0))) for family in self.families}
        chains: list[tuple[set[str], list[FaultFamily]]] = []
        order = shuffled(draw(split(self.seed, "order")), self.families)
        # Those that change the members come last: what other families were to strike may be gone after them.
        for family in sorted(order, key=lambda family: family.changes_members):
            mine = kinds[family.name]
            joined = [chain for chain in chains if chain[0] & mine]
            chains = [chain for chain in chains if not chain[0] & mine]
            members = [member for _, some in joined for member in some]
            chains.append((mine.union(*(held for held, _ in joined)), [*members, family]))
        return [members for _, members in chains]

    def _first_round(self, end_s: float) -> float:
        """Rule 2. Returns when it is over."""
        over_s = 0.0
        for number, chain in enumerate(self._chains()):
            spare_s = end_s - sum(LEAST_S + self._overhead_s(each) + max(LEAST_S, each.shortest_s) for each in chain)
            at_s = 0.0
            for family in chain:
                rng = draw(split(split(self.seed, "first"), family.name))
                share_s = min(spare_s / len(chain), max(TURN_S, family.longest_s))
                # Chains begin apart, so that what one starts does not end what another does.
                quiet_s = LEAST_S + share_s * rng.random() / (2 if number else 4)
                longest_s = max(LEAST_S, family.shortest_s) + share_s - (quiet_s - LEAST_S)
                longest_s = min(family.longest_s, longest_s)
                hold_s = longest_s if family.lasts else log_uniform(rng, max(LEAST_S, family.shortest_s), longest_s)
                self._add(family, at_s + quiet_s, hold_s)
                at_s += quiet_s + hold_s + self._overhead_s(family)
            over_s = max(over_s, at_s)
        return over_s

    def _more(self, begin_s: float, end_s: float, interval_s: float) -> None:
        """Rule 3."""
        rng = draw(split(self.seed, "more"))
        at_s = begin_s + _exponential(interval_s, rng)
        while at_s < end_s - LEAST_S:
            for family in shuffled(rng, self.families):
                longest_s = min(family.longest_s, end_s - at_s, max(family.shortest_s, HOLD_INTERVALS * interval_s))
                hold_s = log_uniform(rng, min(family.shortest_s, longest_s), longest_s)
                if longest_s >= family.shortest_s and self._is_free(family, at_s, hold_s):
                    self._add(family, at_s, hold_s)
                    break
            at_s += _exponential(interval_s, rng)

    def _is_free(self, family: FaultFamily, at_s: float, hold_s: float) -> bool:
        """Whether nothing that its next strike would hold is held meanwhile."""
        held = frozenset(family.holds(self._how(family, self._turns.get(family.name, 0))))
        until_s = at_s + hold_s + self._overhead_s(family)
        return not any(
            strike.at_s < until_s
            and at_s < strike.end_s + self._overhead_s(self._by_name[strike.family])
            and held.intersection(self._by_name[strike.family].holds(strike.how))
            for strike in self._drawn
        )

    @property
    def _by_name(self) -> Mapping[str, FaultFamily]:
        return {family.name: family for family in self.families}

    def _how(self, family: FaultFamily, turn: int) -> Mapping[str, object]:
        how = family.aim(self.targets, split(self.seed, family.name), turn)
        beyond = sorted(set(family.destroys(how)).difference(self.targets.expendable))
        if beyond:
            raise ValueError(f"{family.name} would destroy what {listing(beyond, 5)} holds, beyond what is tolerated")
        return how

    def _add(self, family: FaultFamily, at_s: float, hold_s: float) -> None:
        turn = self._turns.get(family.name, 0)
        self._turns[family.name] = turn + 1
        # To the millisecond: people read them, and move them.
        self._drawn.append(Strike(0, family.name, round(at_s, 3), round(hold_s, 3), self._how(family, turn)))


def _kinds(holds: Iterable[Hold]) -> set[str]:
    return {hold[0] for hold in holds}


def _exponential(mean: float, rng: random.Random) -> float:
    """A draw of about an exponential distribution, without libm's logarithm, which differs between machines.

    Von Neumann, "Various techniques used in connection with random digits" (1951): runs of falling uniform draws.
    """
    whole = 0
    while True:
        first = last = rng.random()
        length = 1
        while (drawn := rng.random()) < last:
            last, length = drawn, length + 1
        if length % 2:
            return mean * (whole + first)
        whole += 1
