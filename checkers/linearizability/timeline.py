"""The timeline of calls: their invocations and returns in order, as the search walks along them.

1. A step is an invocation or a return. A crashed call has no return.
2. An open call has two adjacent bits of its own. They are used again after its return.
3. Calls that are alike (same operation, argument, result and key) are of one kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.linearizability.model import Call, Model


@dataclass
class Layout:
    """Calls laid out in time.

    calls: in the order of their invocations. kinds: the number of each call's kind. bits: the lower bit of each call
    while it is open. beyond: a bit that no call has. steps: in order, an invocation as the call's number, a return as
    the complement of that number.
    """

    calls: Sequence[Call]
    kinds: list[int] = field(init=False)
    bits: list[int] = field(init=False)
    beyond: int = field(init=False)
    steps: list[int] = field(init=False)

    def __post_init__(self) -> None:
        known: dict[object, int] = {}
        self.kinds = [
            known.setdefault((c.f, c.argument, c.result, c.known, c.failed, c.key), len(known)) for c in self.calls
        ]
        # Integers are sorted fastest. Each holds the event's index, the call's number, and whether it is a return.
        marks = [(call.invoked << 33) + (number << 1) for number, call in enumerate(self.calls)]
        marks += [
            (call.returned << 33) + (number << 1) + 1
            for number, call in enumerate(self.calls)
            if call.returned != FOREVER
        ]
        marks.sort()
        self.steps = [~(mark >> 1 & 0xFFFFFFFF) if mark & 1 else mark >> 1 & 0xFFFFFFFF for mark in marks]
        self.bits = [0] * len(self.calls)
        free: list[int] = []
        most = 0
        for step in self.steps:
            if step < 0:
                free.append(self.bits[~step])
            elif free:
                self.bits[step] = free.pop()
            else:
                self.bits[step] = 1 << most
                most += 2
        self.beyond = 1 << most


def informative_steps(layout: Layout, model: Model) -> int:
    """How many steps there are up to the last return of a call that is not blind (rule 8)."""
    for position in range(len(layout.steps) - 1, -1, -1):
        step = layout.steps[position]
        if step < 0 and not model.blind(layout.calls[~step]):
            return position + 1
    return 0


def horizons(layout: Layout, model: Model) -> list[int]:
    """By step, the event after which a state of that moment can no longer be observed by reads still to be invoked.

    It is the first return of a read or of an overwriting call among those still to be invoked. A read that is invoked
    after that return can't observe the state unless that read did. If the call overwrote the state, nothing can.
    """
    found = [FOREVER] * len(layout.steps)
    if type(model).leads_to is Model.leads_to:
        return found  # Such a model never loses a state, so the horizons are not used.
    ends = FOREVER
    for position in range(len(found) - 1, -1, -1):
        found[position] = ends
        step = layout.steps[position]
        if step >= 0 and (model.read_only(layout.calls[step]) or model.overwrites(layout.calls[step])):
            ends = min(ends, layout.calls[step].returned)
    return found
