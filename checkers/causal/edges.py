"""Causal order as a graph: which operation precedes which, why, and how a path or cycle reads in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from splitbrain.checkers.algorithms.cycles import on_cycle, shortest_cycle, shortest_path
from splitbrain.checkers.histories.columns import Integers
from splitbrain.checkers.verdict import Witness

SESSION, READ, CONFLICT = range(3)
WHY = ("session", "read", "conflict")
_LISTED = 100


class Rows(Protocol):
    """Operations by row, as a witness needs them."""

    def describe(self, row: int) -> str:
        """What it did, as a clause."""
        ...

    def as_data(self, row: int) -> dict[str, Any]: ...

    def events(self, rows: set[int]) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class CausalEdges:
    """Edges from earlier rows to later ones.

    why: SESSION, READ (the target read, or had seen, the source) or CONFLICT. through: of a conflict, the read that
    shows it; -1 for the others.
    """

    source: Integers
    target: Integers
    why: Integers
    through: Integers

    @classmethod
    def causal(cls, session: Integers, sources: Mapping[int, Sequence[int]]) -> CausalEdges:
        """The order of sessions, and of what was read or seen. O(rows log rows + sources)."""
        ordered = np.argsort(session, kind="stable")
        same = session[ordered[1:]] == session[ordered[:-1]]
        pairs = [(source, row) for row, some in sources.items() for source in some]
        read = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        source = np.concatenate((ordered[:-1][same], read[:, 0]))
        target = np.concatenate((ordered[1:][same], read[:, 1]))
        why = np.repeat((SESSION, READ), (int(same.sum()), len(read)))
        return cls(source, target, why, np.full(len(source), -1))

    @classmethod
    def conflicts(cls, source: Integers, target: Integers, through: Integers) -> CausalEdges:
        return cls(source, target, np.full(len(source), CONFLICT), through)

    @classmethod
    def joined(cls, several: Iterable[CausalEdges]) -> CausalEdges:
        parts = [cls(*(np.zeros(0, dtype=np.int64),) * 4), *several]
        names = ("source", "target", "why", "through")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def __len__(self) -> int:
        return len(self.source)

    def only(self, which: NDArray[Any]) -> CausalEdges:
        """A selection of edges: by a mask, or by their numbers in that order."""
        return CausalEdges(self.source[which], self.target[which], self.why[which], self.through[which])

    def on_cycles(self, rows: int) -> CausalEdges:
        """The edges that lie on a cycle."""
        return self.only(on_cycle(rows, self.source, self.target))

    def shortest_cycle(self) -> CausalEdges:
        """A short cycle of these edges, all of which lie on one: through a conflict if there is any."""
        first = int(np.argmax(self.why == CONFLICT))
        return self.only(np.array(shortest_cycle(self.source, self.target, first)))

    def path(self, start: int, end: int) -> CausalEdges:
        """A shortest path. Raises ValueError if there is none."""
        return self.only(np.array(shortest_path(self.source, self.target, start, end), dtype=np.int64))

    def clauses(self, rows: Rows) -> list[str]:
        """A clause for each operation along these edges. Steps within a session between two others are omitted."""
        clauses = []
        for at, (target, why, through) in enumerate(
            zip(self.target.tolist(), self.why.tolist(), self.through.tolist(), strict=True)
        ):
            if why == CONFLICT:
                clauses.append(
                    f"that must come before the one by which {rows.describe(target)}, for {rows.describe(through)}"
                )
            elif why == READ or at + 1 == len(self) or self.why[at + 1] != SESSION:
                clauses.append(rows.describe(target))
        return clauses

    def witness(self, rows: Rows, kind: str, text: str, *others: int) -> Witness:
        """A witness of a cycle or a path. others: more rows that it shows."""
        ends = self.source.tolist() + self.target.tolist() + self.through.tolist()
        involved = {*others, *ends} - {-1}
        shown = [
            {"source": rows.as_data(source), "target": rows.as_data(target), "why": WHY[why]}
            for source, target, why in zip(
                self.source[:_LISTED].tolist(), self.target[:_LISTED].tolist(), self.why[:_LISTED].tolist(), strict=True
            )
        ]
        return Witness(text, rows.events(involved), {"kind": kind, "edges": shown})
