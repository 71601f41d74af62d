"""What the lines of a history of sets prove, read as plain JSON and judged by nothing of the checkers.

1. A read counts that was ok and invoked after the stage "final-reads" and after the last acknowledged add.
2. An acknowledged add is lost if its key has reads that count and none of them holds it. It is missing if some hold it,
   others do not, and the replicas were given time to converge.
3. An element is impossible that some ok read holds twice, or that no add of its key can have put there: there was none,
   or each is known to have failed.
4. The history is whole if it reached the stage "end", no operation crashed, every fault ended and took effect, and each
   key that has adds was read at the end through every node.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Found:
    """lost, missing, impossible: (key, element). acknowledged: how many adds were. whole, healed: see rule 4."""

    lost: frozenset[tuple[str, int]]
    missing: frozenset[tuple[str, int]]
    impossible: frozenset[tuple[str, int]]
    acknowledged: int
    whole: bool
    healed: bool

    @property
    def bad(self) -> bool:
        return bool(self.lost or self.missing or self.impossible)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The lines of a history; the last one may be cut off."""
    found = []
    for line in path.read_bytes().split(b"\n"):
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def oracle(path: Path, nodes: int) -> Found:
    """What a history proves. nodes: how many there are."""
    lines = lines_of(path)
    stage_at = {line.get("value"): at for at, line in enumerate(lines) if line["f"] == "stage"}
    outcome: dict[tuple[str, int], set[str]] = {}
    reads: list[tuple[int, str, str, list[int]]] = []
    open_at: dict[Any, int] = {}
    last_ack = -1
    crashed = False
    for at, line in enumerate(lines):
        kind, process = line["type"], line["process"]
        if process == "nemesis":
            continue
        crashed = crashed or str(line.get("error") or "").startswith("crash")
        if kind == "invoke":
            open_at[process] = at
            if line["f"] == "add":
                outcome.setdefault((line["key"], line["value"]), set()).add("open")
            continue
        if line["f"] == "add":
            known = outcome[line["key"], line["value"]]
            known.discard("open")
            known.add(kind)
            last_ack = at if kind == "ok" else last_ack
        elif line["f"] == "read" and kind == "ok":
            reads.append((open_at[process], line["key"], line["node"], line.get("value") or []))
    begun = max(stage_at.get("final-reads", len(lines)), last_ack)
    final: dict[str, list[tuple[str, set[int]]]] = {}
    for at, key, node, value in reads:
        if at > begun:
            final.setdefault(key, []).append((node, set(value)))
    promised = [each for each, known in outcome.items() if "ok" in known and each[0] in final]
    holding = {each: [each[1] in value for _, value in final[each[0]]] for each in promised}
    impossible = set()
    for _, key, _, value in reads:
        for element in value:
            if value.count(element) > 1 or outcome.get((key, element), {"fail"}) == {"fail"}:
                impossible.add((key, element))
    through = {key: {node for node, _ in found} for key, found in final.items()}
    healed = _healed(lines)
    return Found(
        lost=frozenset(each for each, held in holding.items() if not any(held)),
        missing=frozenset(
            each for each, held in holding.items() if any(held) and not all(held) and "convergence" in stage_at
        ),
        impossible=frozenset(impossible),
        acknowledged=sum("ok" in known for known in outcome.values()),
        whole="end" in stage_at
        and not crashed
        and healed
        and all(len(through.get(key, ())) == nodes for key, _ in outcome),
        healed=healed,
    )


def _healed(lines: list[dict[str, Any]]) -> bool:
    """Whether every action of the nemesis ended, and had an effect."""
    asked = ended = 0
    for line in lines:
        value = line.get("value")
        if line["process"] != "nemesis" or not isinstance(value, dict) or "fault" not in value:
            continue
        if "evidence" not in value:
            asked += 1
            continue
        ended += 1
        if line.get("error") or value["evidence"].get("effective") is False:
            return False
    return asked == ended
