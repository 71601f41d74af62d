"""Operations as the harness makes them: invocations from generators, completions from clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True)
class Invocation:
    """Something to do, from a generator.

    f, key, value: as in the history. node: through which node, or None for the process's own.
    process: set by the interpreter; a generator sets it only to name the nemesis's operations "nemesis".
    time_ns: not before this moment of the run; None means now.
    """

    f: str
    value: Any = None
    key: str | None = None
    node: str | None = None
    process: int | Literal["nemesis"] | None = None
    time_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """The outcome of an invocation: `ok` it happened, `fail` it certainly did not, `info` it is indeterminate."""

    type: Literal["ok", "fail", "info"]
    value: Any = None
    error: str | None = None


class Nemesis(Protocol):
    """Injects faults."""

    async def invoke(self, invocation: Invocation) -> Mapping[str, Any]:
        """Do it, observe whether it took effect, and return the completion's value, with `evidence`."""
