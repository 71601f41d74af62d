"""The house: three floors, imports only downward, a store core and checkers that do no I/O."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest

from splitbrain.harness.hosts.image import STORE_NEEDS

ROOT = Path(__file__).parent.parent
FLOORS = {"checkers": 1, "store": 1, "harness": 2, "workloads": 3}
SHELLS = {
    "splitbrain.store.server",
    "splitbrain.store.wire.udp",
    "splitbrain.store.client",
    "splitbrain.store.storage.engine",
    "splitbrain.store.cli.main",
    "splitbrain.store.cli.arguments",
    "splitbrain.store.cli.queries",
    "splitbrain.store.cli.key_commands",
    "splitbrain.store.cli.cluster_commands",
    "splitbrain.store.cli.serve",
}
SOURCES = [path for package in FLOORS for path in sorted((ROOT / package).rglob("*.py"))]


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path, *, at_import_time_only=False):
    tree = ast.parse(path.read_text())
    nodes = tree.body if at_import_time_only else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def test_there_is_something_to_look_at():
    assert len(SOURCES) > 40


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_a_file_imports_only_from_its_own_floor_or_below(path):
    own = module_of(path).split(".")[0]
    for imported in imports(path):
        other = imported.split(".")[0]
        if other in FLOORS and other != own:
            assert FLOORS[other] < FLOORS[own], f"{module_of(path)} imports {imported}"


def test_no_module_imports_itself_through_others():
    modules = {module_of(path): path for path in SOURCES}
    graph = {}
    for name, path in modules.items():
        targets = set()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    targets.add(inner if inner in modules else node.module)
        graph[name] = {target for target in targets if target in modules and target != name}
    done, path_now = set(), []

    def visit(name):
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


@pytest.mark.parametrize("path", [path for path in SOURCES if module_of(path).startswith("store.")], ids=module_of)
def test_the_store_below_its_shells_touches_no_socket_clock_or_randomness(path):
    if module_of(path) in SHELLS:
        return
    forbidden = {"socket", "time", "random", "secrets", "os", "asyncio", "threading", "select", "datetime"}
    assert forbidden.isdisjoint(name.split(".")[0] for name in imports(path))


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_nothing_in_the_harness_outside_its_systems_knows_the_reference_store(path):
    module = module_of(path)
    if module.startswith("harness") and not module.startswith("splitbrain.harness.systems"):
        assert "store" not in {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_a_checker_does_no_input_or_output(path):
    if module_of(path).startswith("checkers"):
        names = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert "open" not in names
        clock = set() if module_of(path) == "splitbrain.checkers.budget" else {"time"}
        assert {"socket", "os", "pathlib", "subprocess", *clock}.isdisjoint(imports(path))


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_every_module_opens_with_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_what_the_store_imports_is_in_the_image_of_its_nodes():
    imported = {name.split(".")[0] for path in SOURCES if module_of(path).startswith("store") for name in imports(path)}
    foreign = imported - set(sys.stdlib_module_names) - {"store"}
    assert foreign == set(STORE_NEEDS)


def test_every_package_is_listed_for_installation():
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {module_of(path) for path in SOURCES if path.name == "__init__.py"}
    assert found == listed
