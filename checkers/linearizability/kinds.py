"""Kinds of calls: what the model's hints promise about each, and which states follow a state.

1. Calls that are alike (`Layout.kinds`) are asked about once, by any one of them.
2. The states that follow a state are asked for once, as long as there is room to remember them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from sys import getsizeof

from splitbrain.checkers.linearizability.configurations import CONFIGURATION_BYTES, LOST
from splitbrain.checkers.linearizability.model import Call, Model, State, stepped
from splitbrain.checkers.linearizability.timeline import Layout

_REMEMBERED_BYTES = 20_000_000


class Kinds:
    """The kinds of a layout's calls, by number.

    sample: a call of each. reads, commutes, overwrites, blind: what the hints promise.
    """

    def __init__(self, layout: Layout, model: Model) -> None:
        self._model = model
        first = dict(zip(reversed(layout.kinds), reversed(layout.calls), strict=True))
        self.sample: list[Call] = [first[kind] for kind in range(len(first))]
        self.reads = [model.read_only(call) for call in self.sample]
        self.commutes = [model.commutes(call) for call in self.sample]
        self.overwrites = [model.overwrites(call) for call in self.sample]
        self.blind = [model.blind(call) for call in self.sample]
        self._still_to_return = Counter(layout.kinds)
        # By kind, the states that follow a state.
        self._following: dict[int, dict[State, Sequence[State]]] = {}
        self._held_bytes = 0

    def following(self, kind: int, state: State) -> Sequence[State]:
        """The states that a call of the kind may leave."""
        remembered = self._following.get(kind)
        found = remembered.get(state) if remembered is not None else None
        if found is not None:
            return found
        if state is LOST:
            # What overwrites leaves the same state whichever it was.
            return self.following(kind, self._model.initial) if self.overwrites[kind] else ()
        self._held_bytes += CONFIGURATION_BYTES + getsizeof(state)
        if self._held_bytes > _REMEMBERED_BYTES:
            self._held_bytes = 0
            for each in self._following.values():
                each.clear()
        following = stepped(self._model, state, self.sample[kind])
        self._following.setdefault(kind, {})[state] = following
        return following

    def remembered(self, kind: int) -> Mapping[State, Sequence[State]]:
        """The states that follow a state, as far as they are remembered. It stays up to date."""
        return self._following.setdefault(kind, {})

    def returned(self, kind: int) -> None:
        """A call of the kind returned. After the last one nothing of the kind is remembered."""
        self._still_to_return[kind] -= 1
        if not self._still_to_return[kind]:
            self._following.pop(kind, None)
