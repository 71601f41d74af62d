"""What is asked for: a fault family by its name, and which of its strikes.

1. `NAME`, `NAME/SHAPE`, `NAME=TARGET` or `NAME/SHAPE=TARGET`. NAME may be a place, `file.py:NAME`, hence no colon here.
2. A family that is named more than once has each of what was chosen for it, in turns.
3. A strike that was chosen is one that its family would draw: only which of them there are is chosen.
4. What a family does not have is refused, with what it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from splitbrain.harness.nemesis.fault_family import FaultFamily
from splitbrain.harness.nemesis.targets import LEADER, PRIMARIES, Targets, in_turn
from splitbrain.harness.seeds import split
from splitbrain.harness.suggestions import did_you_mean

DRAWS_MOST = 10_000
"""How many strikes are drawn until one is as chosen. The rarest of ours is one in thirty."""
_ONLY_WHERE = {LEADER: "which node leads", PRIMARIES: "which nodes hold the same keys"}
"""By shape or target: what the system has to say, or there is none."""


@dataclass(frozen=True)
class Asked:
    """One word of `--faults`. text: as it was given. shape, target: what was chosen; "" for any."""

    text: str
    name: str
    shape: str = ""
    target: str = ""

    @classmethod
    def parse(cls, text: str) -> Asked:
        """Raises ValueError for a word in which a part is missing."""
        # A place is a path, and a path may have a slash or an equals sign.
        where, colon, rest = text.rpartition(":")
        before, equals, target = rest.partition("=")
        name, slash, shape = before.partition("/")
        if not name or bool(slash) != bool(shape) or bool(equals) != bool(target):
            raise ValueError(f"{text!r} is no fault; give NAME, NAME/SHAPE, NAME=TARGET or NAME/SHAPE=TARGET")
        return cls(text, f"{where}{colon}{name}", shape, target)

    @property
    def is_choice(self) -> bool:
        return bool(self.shape or self.target)

    def matches(self, how: Mapping[str, Any]) -> bool:
        """Whether a strike is as chosen."""
        return self.shape in ("", how.get("shape")) and self.target in ("", how.get("target"))

    def check(self, family: FaultFamily, targets: Targets) -> None:
        """Raises ValueError for a shape or target that the family does not have, or not of this system."""
        for kind, word, other, there, others in (
            ("shape", self.shape, "target", family.shapes, family.targets),
            ("target", self.target, "shape", family.targets, family.shapes),
        ):
            offered = _offered(there, targets)
            if not word or word in offered:
                continue
            if word in there:
                why = f"the system does not say {_ONLY_WHERE[word]}"
            elif word in others:
                sign = "/" if other == "shape" else "="
                why = f"{word} is a {other}: write {family.name}{sign}{word}"
            else:
                why = f"{family.name} has no {kind} {word}{did_you_mean(word, offered)}"
            listed = f"its {kind}s are {', '.join(offered)}" if offered else f"its strikes have no {kind} to choose"
            raise ValueError(f"fault {self.text}: {why}; {listed}")


def by_name(texts: Iterable[str]) -> Mapping[str, Sequence[Asked]]:
    """What is asked for by the families' names, in the order of their first mention. Raises ValueError."""
    found: dict[str, list[Asked]] = {}
    for text in dict.fromkeys(texts):
        asked = Asked.parse(text)
        found.setdefault(asked.name, []).append(asked)
    for several in found.values():
        if len(several) > 1 and (whole := [each.text for each in several if not each.is_choice]):
            chosen = ", ".join(each.text for each in several if each.is_choice)
            raise ValueError(f"{whole[0]} has what {chosen} chooses already; leave one of the two out")
    return found


def chosen(family: FaultFamily, several: Sequence[Asked], targets: Targets) -> FaultFamily:
    """The family with only the strikes that are asked for. Raises ValueError (rule 4)."""
    choices = [asked for asked in several if asked.is_choice]
    for asked in choices:
        asked.check(family, targets)
    if not choices:
        return family

    def aim(nodes: Targets, seed: int, turn: int) -> Mapping[str, Any]:
        asked, of_turn = in_turn(choices, seed, turn), split(seed, turn)
        for number in range(DRAWS_MOST):
            how = family.aim(nodes, of_turn, number)
            if asked.matches(how):
                return how
        raise ValueError(f"none of {DRAWS_MOST:,} strikes of {family.name} was one of {asked.text}; choose another")

    return replace(family, aim=aim)


def _offered(words: Iterable[str], targets: Targets) -> list[str]:
    said = {LEADER: targets.led, PRIMARIES: bool(targets.primaries)}
    return [word for word in words if said.get(word, True)]
