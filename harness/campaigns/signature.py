"""Signatures: which failures are one and the same.

1. A signature has four parts: the checker, the kind of anomaly, the families of faults that struck it, and its shape.
   The shape is the operations of the witness, in order, without keys, values and times.
2. Two failures with equal signatures are reported once. `core`, the checker and the kind, is what a smaller run that
   shows the same failure has to keep.
3. A verdict has a signature for each checker that found an anomaly, in the order of the checkers.

The rule of deduplication follows that of fuzzers, which keep one crash of each stack (Böhme et al., "Boosting Fuzzer
Efficiency", 2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import NamedTuple

from splitbrain.checkers import Event, History, Outcome, Verdict, Witness
from splitbrain.checkers.histories.faults import Fault, faults
from splitbrain.checkers.histories.history import Operation

SHAPE_MAX = 8
"""Operations in a shape: long cycles of one anomaly differ in their length."""


class Signature(NamedTuple):
    """What a failure is known by.

    checker: that found it. kind: of anomaly, in the checker's words. faults: families that struck an operation of the
    witness, sorted. shape: of the witness, such as `put ok`; a run of equal ones counts once.
    """

    checker: str
    kind: str
    faults: tuple[str, ...] = ()
    shape: tuple[str, ...] = ()

    @property
    def core(self) -> tuple[str, str]:
        """Checker and kind."""
        return self.checker, self.kind

    @property
    def text(self) -> str:
        """As people and programs read it.

        >>> Signature("lost-writes", "lost", ("kill",), ("put ok", "read ok")).text
        'lost-writes: lost, under kill: put ok, read ok'
        """
        under = f", under {'+'.join(self.faults)}" if self.faults else ""
        shape = f": {', '.join(self.shape)}" if self.shape else ""
        return f"{self.checker}: {self.kind}{under}{shape}"


def signatures(verdict: Verdict, history: History) -> tuple[Signature, ...]:
    """The signatures of what is wrong with a history, by its verdict. None if nothing is. O(n)."""
    wrong = {name: part.witness for name, part in _parts(verdict).items() if part.outcome is Outcome.INVALID}
    if not wrong:
        return ()
    operations = {event.index: each for each in history.operations for event in _events(each)}
    stood = faults(history)
    return tuple(_signature(name, witness, operations, stood) for name, witness in wrong.items() if witness is not None)


def _parts(verdict: Verdict) -> Mapping[str, Verdict]:
    return verdict.parts or {"checker": verdict}


def _signature(name: str, witness: Witness, operations: Mapping[int, Operation], stood: list[Fault]) -> Signature:
    told = witness.data.get("kind") if isinstance(witness.data, Mapping) else None
    known = [operations[index] for index in witness.events if index in operations]
    shown = list({operation.invocation.index: operation for operation in known}.values())
    struck = {fault.family for fault in stood if any(_struck(operation, fault) for operation in shown)}
    shape = [kind for kind, _ in groupby(f"{operation.f} {operation.outcome}" for operation in shown)]
    return Signature(name, str(told or "anomaly"), tuple(sorted(struck)), tuple(shape[:SHAPE_MAX]))


def _events(operation: Operation) -> list[Event]:
    return [event for event in (operation.invocation, operation.completion) if event is not None]


def _struck(operation: Operation, fault: Fault) -> bool:
    """Whether the fault held while the operation was under way (`checkers.histories.faults`, rule 3)."""
    begun = fault.ended is None or operation.invocation.index < fault.ended.index
    done = operation.completion is None or operation.completion.index > fault.began.index
    return begun and done
