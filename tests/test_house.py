"""The house: three floors, imports only downward, no circle, bounded rooms and files, a store core without I/O."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import FLOORS, MODULES, ROOT, SOURCES, docstrings, module_of, tree_of

FILES_MAX = 16
"""Modules in a folder, besides its `__init__`."""
LINES_MAX = 400
"""Lines of a file, tests and benchmarks too: past them it holds two nouns."""
TABLES: dict[str, str] = {}
"""Files that may be longer, each with the reason: nothing but a table, which would be no clearer in two."""
CLIENT = {"store.client", "store.contact", "store.connecting", "store.blocking"}
SHELLS = {"store.server", *CLIENT, "store.descriptors", "store.wire.udp", "store.storage.engine"}
SYSTEMS = {path.stem for path in (ROOT / "harness" / "systems").iterdir() if not path.name.startswith(("_", "."))}


def imports(path: Path) -> Iterator[str]:
    """What a file imports, wherever it does, by full name: modules, and of `from` each name's module or the name."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner.removeprefix("splitbrain.") in MODULES else node.module


def own_imports(path: Path) -> set[str]:
    """The modules of the house that a file imports, without `splitbrain.`."""
    return {name.removeprefix("splitbrain.") for name in imports(path) if name.startswith("splitbrain.")}


def test_there_is_something_to_look_at():
    assert len(SOURCES) > 200
    assert "dynamo" in SYSTEMS


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_a_file_imports_only_from_its_own_floor_or_below(path):
    own = module_of(path).split(".")[0]
    for imported in own_imports(path):
        other = imported.split(".")[0]
        if other != own:
            assert FLOORS[other] < FLOORS[own], f"{module_of(path)} imports {imported}"


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_the_house_is_imported_as_splitbrain(path):
    # `import store` finds the user's own folder of that name, or a second copy of ours.
    assert {name for name in imports(path) if name.split(".")[0] in FLOORS} == set()


def test_no_module_imports_itself_through_others():
    """Imports inside functions and under TYPE_CHECKING count: what is read together must not go in circles either."""
    graph = {
        name: {target for target in own_imports(path) if target in MODULES and target != name}
        for name, path in MODULES.items()
    }
    done: set[str] = set()
    path_now: list[str] = []

    def visit(name: str) -> None:
        assert name not in path_now, " -> ".join([*path_now[path_now.index(name) :], name])
        if name in done:
            return
        path_now.append(name)
        for target in sorted(graph[name]):
            visit(target)
        path_now.pop()
        done.add(name)

    for name in sorted(graph):
        visit(name)


def test_a_folder_holds_at_most_sixteen_files():
    files = Counter(path.parent for path in SOURCES if path.name != "__init__.py")
    assert {folder.name: number for folder, number in files.items() if number > FILES_MAX} == {}


def lines_of_every_file() -> dict[str, int]:
    """By path, the lines of each Python file of the project: sources, tests, benchmarks, examples."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    return {name: len((ROOT / name).read_bytes().splitlines()) for name in listed if name and (ROOT / name).is_file()}


def test_no_file_is_longer_than_four_hundred_lines_but_for_tables():
    lines = lines_of_every_file()
    assert {"store", "tests", "benchmarks", "examples"} <= {name.split("/")[0] for name in lines}
    assert {name: number for name, number in lines.items() if number > LINES_MAX and name not in TABLES} == {}
    assert {name for name in TABLES if lines.get(name, 0) <= LINES_MAX} == set(), "these need no exception"


@pytest.mark.parametrize("floor", FLOORS)
def test_a_file_name_says_which_file_it_is(floor):
    names = Counter(path.stem for path in SOURCES if path.name != "__init__.py" and module_of(path).startswith(floor))
    assert {name for name, number in names.items() if number > 1} == set()


@pytest.mark.parametrize("path", [path for path in SOURCES if module_of(path).startswith("store.")], ids=module_of)
def test_the_store_below_its_shells_touches_no_socket_clock_or_randomness(path):
    if module_of(path) in SHELLS or module_of(path).startswith("store.cli"):
        return
    forbidden = {"socket", "time", "random", "secrets", "os", "asyncio", "threading", "select", "datetime"}
    assert forbidden.isdisjoint(name.split(".")[0] for name in imports(path))


@pytest.mark.parametrize("path", [path for path in SOURCES if module_of(path).startswith("harness")], ids=module_of)
def test_nothing_in_the_harness_outside_its_systems_knows_a_system(path):
    if "harness.systems" in module_of(path):
        return
    assert "store" not in {name.split(".")[0] for name in own_imports(path)}
    words = re.compile(rf"\b({'|'.join(sorted(SYSTEMS))})\b", re.IGNORECASE)
    texts = {id(node) for _, node in docstring_nodes(path)}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts:
            assert not words.search(node.value), f"line {node.lineno} names a system: {node.value!r}"
        if isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            assert not words.fullmatch(name), f"line {node.lineno} names a system: {name}"


def docstring_nodes(path: Path) -> Iterator[tuple[ast.AST, ast.Constant]]:
    """The literals that are no data: docstrings, and the strings below attributes."""
    for owner in ast.walk(tree_of(path)):
        for statement in getattr(owner, "body", []) if isinstance(getattr(owner, "body", None), list) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                yield owner, statement.value


@pytest.mark.parametrize("path", [path for path in SOURCES if module_of(path).startswith("checkers")], ids=module_of)
def test_a_checker_does_no_input_or_output(path):
    names = {
        node.func.id
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "open" not in names
    clock = set() if module_of(path) == "checkers.budget" else {"time"}
    assert {"socket", "os", "pathlib", "subprocess", *clock}.isdisjoint(name.split(".")[0] for name in imports(path))


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_every_module_opens_with_what_it_is_for(path):
    assert ast.get_docstring(tree_of(path))


NAME = re.compile(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?:\(\))?`")


def known_names() -> set[str]:
    """Every identifier, and every word of a literal that is no docstring, in all sources."""
    names: set[str] = set()
    for path in SOURCES:
        names.update(module_of(path).split("."))
        texts = {id(node) for _, node in docstring_nodes(path)}
        for node in ast.walk(tree_of(path)):
            match node:
                case ast.Name():
                    names.add(node.id)
                case ast.Attribute():
                    names.add(node.attr)
                case ast.arg() | ast.keyword():
                    names.add(node.arg or "")
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    names.add(node.name)
                case ast.alias():
                    names.update(node.name.split("."))
                case ast.Constant() if isinstance(node.value, str) and id(node) not in texts:
                    names.update(re.findall(r"\w+", node.value))
    return names


KNOWN = known_names() | set(dir(__builtins__)) | set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_the_names_in_docstrings_exist(path):
    for owner, text in docstrings(path):
        for name in NAME.findall(text):
            where = f"{module_of(path)}, {getattr(owner, 'name', 'its opening')}: `{name}`"
            first, *rest = name.removeprefix("splitbrain.").split(".")
            if first in FLOORS and rest:
                dotted = name.removeprefix("splitbrain.")
                inside = any(dotted == module or dotted.startswith(f"{module}.") for module in MODULES if "." in module)
                assert inside, where
            assert set(name.split(".")) <= KNOWN | {"splitbrain"}, where
