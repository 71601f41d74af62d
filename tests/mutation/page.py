"""docs/mutation.md: what `mutation_run` found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.mutation.mutation_run import Score

_HEAD = """# Which mistakes in checkers their tests would notice

A test that passes shows little: it may pass for any code. So `make mutation` puts one mistake at a time into a checker
(a comparison turned round, a condition that always or never holds, a loop that never runs, a number that is one too
large, a text that says something else, a statement left out; `tests/mutation/mutants.py` has them all) and runs the
checker's tests. A mutant that some test fails for is killed. One that all tests pass for is a mistake that nobody would
notice, or no mistake: some do the same as the checker. Those are argued away below, one by one, and count for nothing.

At least 95% of the others have to be killed. `make mutation` renews this page; it takes about an hour.

| file | mutants | do the same | survived | killed |
| --- | --- | --- | --- | --- |
"""


def page(scores: Sequence[Score], arguments: Mapping[str, Mapping[str, str]]) -> str:
    """The page, of all scores there are."""
    rows = [
        f"| `{each.file}` | {each.mutants} | {len(each.equivalent)} | {len(each.survivors)} | {each.share:.1%} |"
        for each in scores
    ]
    parts = [_HEAD + "\n".join(rows)]
    if any(each.survivors for each in scores):
        parts.append("## Survivors")
        parts += [_listed(each.file, [f"`{mutant.name}`" for mutant in each.survivors]) for each in scores]
    if any(each.equivalent for each in scores):
        parts.append("## Mutants that do the same")
        parts += [
            _listed(each.file, [f"`{name}`: {arguments[each.file][name]}" for name in each.equivalent])
            for each in scores
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _listed(file: str, lines: Sequence[str]) -> str:
    return "\n".join([f"`{file}`:", "", *(f"- {line}" for line in lines)]) if lines else ""
