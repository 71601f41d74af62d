"""Failures: which exceptions of a driver say that an operation certainly did not happen, and which leave it open.

1. A table is read from above; the first row that fits counts.
2. What is in no row is a crash of the client, and the run is broken: an exception that nobody thought about must not
   pass for an outcome.
3. A row that is definite without reason makes checkers invent anomalies. In doubt a row is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from splitbrain.harness.system import OperationFailed


@dataclass(frozen=True, slots=True)
class Failure:
    """One row.

    kinds: a class of exceptions, or several. code: the reason's name in histories. definite: the operation certainly
    did not happen. when: given the exception, whether the row fits; None for always. usable: the driver's connection
    can be used further; by default if the failure is definite, since then the server has answered.
    """

    kinds: type[BaseException] | tuple[type[BaseException], ...]
    code: str
    definite: bool = False
    when: Callable[[Any], bool] | None = None
    usable: bool | None = None

    def fits(self, problem: BaseException) -> bool:
        return isinstance(problem, self.kinds) and (self.when is None or self.when(problem))

    @property
    def keeps(self) -> bool:
        """Whether the connection can be used further."""
        return self.definite if self.usable is None else self.usable


def row_of(table: Sequence[Failure], problem: BaseException) -> Failure | None:
    """The first row that fits the exception, or None."""
    return next((row for row in table if row.fits(problem)), None)


def failed(row: Failure, problem: BaseException, *, effect: bool) -> OperationFailed:
    """What the workload is told. effect: the operation changes something; one that only reads has not happened if it
    failed.
    """
    said = " ".join(str(problem).split()) or type(problem).__name__
    return OperationFailed(row.code, said[:300], definite=row.definite or not effect)
