"""The source of the four packages as trees, for the tests of the house and of its prose."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
FLOORS = {"checkers": 1, "store": 1, "harness": 2, "workloads": 3}
SOURCES = [path for package in FLOORS for path in sorted((ROOT / package).rglob("*.py"))]
Documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def module_of(path: Path) -> str:
    """The module's name below `splitbrain`.

    >>> module_of(ROOT / "store" / "ring" / "__init__.py")
    'store.ring'
    """
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in SOURCES}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def docstrings(path: Path) -> Iterator[tuple[ast.AST, str]]:
    """Every docstring of a file, and whose it is."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            yield node, text
