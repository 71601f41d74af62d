"""A budget of time and memory, for checks whose cost can't be predicted.

1. A check that runs out of it ends as `unknown` and says how far it came. It never guesses.
2. Memory is what the check itself accounts for, so whether it runs out depends on the history alone.
3. Time depends on the machine. Nothing else in this package does, and no other file reads a clock.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

Seconds = Annotated[float, msgspec.Meta(gt=0)]
Megabytes = Annotated[float, msgspec.Meta(gt=0)]


@dataclass
class Budget:
    """What a check may still spend. The time begins when the budget is made.

    timeout_s: seconds from then. memory_mb: megabytes that the check may hold besides the history. None: no limit.
    """

    timeout_s: float | None = None
    memory_mb: float | None = None
    _began: float = field(default_factory=time.monotonic)

    def spent(self, held_bytes: int = 0) -> str | None:
        """The reason to stop, as a clause (`the time limit of 5 s was reached`), or None to go on.

        held_bytes: what the check holds now.
        """

        if self.memory_mb is not None and held_bytes > self.memory_mb * 1e6:
            return f"the memory limit of {self.memory_mb:g} MB was reached"
        if self.timeout_s is not None and time.monotonic() - self._began > self.timeout_s:
            return f"the time limit of {self.timeout_s:g} s was reached"
        return None

    @property
    def left_s(self) -> float | None:
        """Seconds left, 0 once the time is up; None without a limit."""
        return None if self.timeout_s is None else max(0.0, self.timeout_s - (time.monotonic() - self._began))
