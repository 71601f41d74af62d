"""The mutation score of checkers: python -m tests.mutation.mutation_run [--page] [PART OF A FILE'S NAME ...]

1. A mutant is killed if one of its file's tests fails, or runs five times as long as all of them usually do. Else it
   survived: nobody would notice that mistake.
2. The tests are collected once. Each mutant gets a fork of that process, in which its functions have other code; so a
   mutant costs as long as the first test that it fails. Tests that killed others come first.
3. Survivors that `equivalents.toml` argues away count for nothing. Each line there has to name a mutant that exists and
   survives, or this ends with 1. So it does if a score is under `WANTED`.

--page writes docs/mutation.md, for all files or none.
"""

from __future__ import annotations

import importlib
import os
import resource
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.targets import TARGETS

ROOT = Path(__file__).parents[2]
EQUIVALENTS = Path(__file__).parent / "equivalents.toml"
PAGE = ROOT / "docs" / "mutation.md"
WANTED = 0.95
SLOWER, GRACE_S = 5, 5
"""How many times the usual CPU time a mutant's tests may take, and so much more."""


@dataclass
class Score:
    """What became of a file's mutants. survivors, equivalent: their names; stale: argued away, and no survivors."""

    file: str
    mutants: int = 0
    survivors: list[Mutant] = field(default_factory=list)
    equivalent: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        counted = self.mutants - len(self.equivalent)
        return (counted - len(self.survivors)) / counted if counted else 1.0


def arguments() -> dict[str, dict[str, str]]:
    """By file: which mutants do the same as the module, and why."""
    return tomllib.loads(EQUIVALENTS.read_text())


class Judge:
    """A pytest plugin that runs the collected tests for each mutant, in a fork, in place of running them."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.score = Score(file)
        self.broken = ""

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        module = importlib.import_module("splitbrain." + self.file.removesuffix(".py").replace("/", "."))
        items, argued = list(session.items), arguments().get(self.file, {})
        usual_s, failed = _tried(session, items, None, module, 3600)
        if failed is not None:
            self.broken = f"without any mutant {failed} fails"
            return True
        for mutant in mutants((ROOT / self.file).read_text()):
            _, killer = _tried(session, items, mutant, module, int(SLOWER * usual_s) + GRACE_S)
            self.score.mutants += 1
            if killer is None and mutant.name in argued:
                self.score.equivalent.append(mutant.name)
            elif killer is None:
                self.score.survivors.append(mutant)
                print(f"survived: {self.file}:{mutant.line}: {mutant.name}", flush=True)
            elif killer:
                items.sort(key=lambda item: item.nodeid != killer)
        self.score.stale = [name for name in argued if name not in self.score.equivalent]
        return True


def _tried(
    session: pytest.Session, items: list[pytest.Item], mutant: Mutant | None, module: ModuleType, most_s: int
) -> tuple[float, str | None]:
    """CPU seconds that the tests took, and the name of the one that failed; "" for too long, None if none did."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        failed: str | None = "the module itself"
        try:
            with tempfile.TemporaryFile("w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
                os.dup2(nowhere.fileno(), 2)
            resource.setrlimit(resource.RLIMIT_CPU, (most_s, most_s + 1))
            resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
            if mutant is not None:
                infect(module, mutant)
            failed = _first_failure(session, items)
        finally:
            os.write(writing, (failed or "").encode())
            os._exit(failed is not None)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        name = pipe.read().decode()
    _, status, used = os.wait4(child, 0)
    return used.ru_utime + used.ru_stime, None if status == 0 else name


def _first_failure(session: pytest.Session, items: list[pytest.Item]) -> str | None:
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return item.nodeid
    return None


def infect(module: ModuleType, mutant: Mutant) -> None:
    """Give the module's functions the mutant's code: whoever has imported them calls that."""
    name = module.__name__ + "_infected"
    infected: Any = ModuleType(name)
    sys.modules[name] = infected  # Dataclasses look their module up.
    infected.__package__ = module.__package__
    exec(compile(mutant.tree, module.__file__ or "", "exec", dont_inherit=True), infected.__dict__)
    _replace(vars(module), module, vars(infected), name)


def _replace(old: Any, owner: Any, new: Any, home: str) -> None:
    for name, there in list(new.items()):
        here = old.get(name)
        before, after = _function(here), _function(there)
        if before is not None and after is not None:
            if after.__module__ == home:
                before.__code__, before.__defaults__ = after.__code__, after.__defaults__
                before.__kwdefaults__ = after.__kwdefaults__
        elif isinstance(there, type) and isinstance(here, type):
            if there.__module__ == home:
                _replace(vars(here), here, vars(there), home)
        elif not name.startswith("__") and here is not None and type(there).__module__ == "builtins":
            setattr(owner, name, there)


def _function(value: Any) -> Any:
    """The function that a property, a class method or a decorated function stands for."""
    for inner in ("fget", "__func__", "__wrapped__"):
        found = getattr(value, inner, None)
        if found is not None:
            return _function(found)
    return value if isinstance(value, FunctionType) else None


def judged(file: str) -> Score:
    """Judge a file's mutants. Raises RuntimeError where its tests fail as it is."""
    judge = Judge(file)
    words = ["-q", "-s", "-p", "no:cacheprovider", "-p", "no:timeout", "--hypothesis-seed=0", "--no-header"]
    pytest.main([*words, *TARGETS[file]], plugins=[judge])
    if judge.broken or not judge.score.mutants:
        raise RuntimeError(f"{file}: {judge.broken or 'its tests were not run'}")
    return judge.score


def main(words: list[str]) -> int:
    os.environ.setdefault("SPLITBRAIN_ORACLE_EXAMPLES", "150")
    parts, scores, began = [word for word in words if word != "--page"], [], time.monotonic()
    for file in TARGETS:
        if not parts or any(part in file for part in parts):
            score = judged(file)
            scores.append(score)
            left = f", {len(score.survivors)} survived, {len(score.equivalent)} do the same as the module"
            print(f"{file}: {score.share:.1%} of {score.mutants:,} mutants killed{left}", flush=True)
            for name in score.stale:
                print(f"argued away, and no survivor: {name}", flush=True)
    print(f"{time.monotonic() - began:,.0f} s")
    if "--page" in words:
        from tests.mutation.page import page

        PAGE.write_text(page(scores, arguments()))
    return int(any(score.share < WANTED or score.stale for score in scores))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
