"""A story: one run that shows a defect, told twice, with the defect and without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from splitbrain.checkers import History, Verdict, check
from splitbrain.store.config import Config


@dataclass(frozen=True)
class Story:
    """defect: what it shows. tell: given a configuration, does the run. checker, options: who judges it.

    config: of both runs, which otherwise differ in the defect only.
    """

    defect: str
    tell: Callable[[Config], History]
    checker: str
    options: Mapping[str, Any] = field(default_factory=dict)
    config: Config = field(default_factory=Config)

    def judge(self, *, defective: bool) -> Verdict:
        config = replace(self.config, defect=self.defect, unsafe=True) if defective else self.config
        return check(self.checker, self.tell(config), **self.options)
