"""Mutants: what a module would be with one mistake in it.

1. A mutant differs in one place: a comparison, a connective, a number, a text, a condition that always or never holds,
   a loop that never runs, a statement that is left out, a value that is not returned.
2. Annotations, docstrings and imports are left alone: nothing that they say is ever run.
3. A mutant is named by its function and by what became of which code, so its name outlives changes elsewhere.

DeMillo, Lipton, Sayward, "Hints on test data selection" (Computer, 1978).
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

_NEGATED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_BOUNDARY: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any", "reversed": "list", "sorted": "list"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module with a mistake. name: see rule 3. line: where. tree: all of the module."""

    name: str
    line: int
    tree: ast.Module


def mutants(source: str) -> list[Mutant]:
    """All mutants of a module, in the order of its lines. O(mutants * length)."""
    whole = ast.parse(source)
    found, seen = [], Counter[str]()
    for place, (node, function) in enumerate(_places(whole)):
        for number, changed in enumerate(_changes(node)):
            tree = copy.deepcopy(whole)
            target = list(_places(tree))[place][0]
            name = f"{function}: {_text(node)} -> {_text(changed)}"
            seen[name] += 1
            _put(tree, target, list(_changes(target))[number])
            named = name if seen[name] == 1 else f"{name} ({seen[name]})"
            found.append(Mutant(named, node.lineno, ast.fix_missing_locations(tree)))
    return found


def _places(tree: ast.AST, function: str = "") -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """What may be changed, with the name of the function that it is in."""
    for field, value in ast.iter_fields(tree):
        if field in ("annotation", "returns", "type_comment", "decorator_list", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.Import | ast.ImportFrom) or _documents(child):
                continue
            inside = function
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inside = f"{function}.{child.name}".lstrip(".")
            if isinstance(child, ast.expr | ast.stmt):
                yield child, inside or "module"
            yield from _places(child, inside)


def _documents(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _changes(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """What may stand in a node's place."""
    match node:
        case ast.Compare(left, ops, comparators):
            for table in (_NEGATED, _BOUNDARY):
                for at, op in enumerate(ops):
                    if type(op) in table:
                        yield ast.Compare(left, [*ops[:at], table[type(op)](), *ops[at + 1 :]], comparators)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield operand
        case ast.BinOp(left, op, right) if type(op) in _OPERATORS:
            yield ast.BinOp(left, _OPERATORS[type(op)](), right)
        case ast.Constant(bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(int(number)) | ast.Constant(float(number)):
            yield ast.Constant(number + 1)
        case ast.Constant(str(text)):
            yield ast.Constant(f"XX{text}XX")
        case ast.IfExp(_, body, orelse):
            yield body
            yield orelse
        case ast.Call(ast.Name(name), arguments, keywords) if name in _CALLS:
            kept = [] if name == "sorted" else keywords
            yield ast.Call(ast.Name(_CALLS[name], ast.Load()), arguments, kept)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            yield from _without_conditions(node)
        case ast.stmt():
            yield from _changed_statements(node)


def _without_conditions(node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> Iterator[ast.expr]:
    for at, generator in enumerate(node.generators):
        for number in range(len(generator.ifs)):
            changed = copy.deepcopy(node)
            del changed.generators[at].ifs[number]
            yield changed


def _changed_statements(node: ast.stmt) -> Iterator[ast.stmt]:
    match node:
        case ast.If(_, body, orelse):
            yield ast.If(ast.Constant(True), body, orelse)
            yield ast.If(ast.Constant(False), body, orelse)
        case ast.While(_, body, orelse):
            yield ast.While(ast.Constant(False), body, orelse)
        case ast.For(target, _, body, orelse):
            yield ast.For(target, ast.Tuple([], ast.Load()), body, orelse)
        case ast.Return(value) if value is not None and not (isinstance(value, ast.Constant) and value.value is None):
            yield ast.Return(ast.Constant(None))
        case ast.Expr() | ast.AugAssign() | ast.Break() | ast.Continue() | ast.Raise() | ast.Delete() | ast.Assert():
            yield ast.Pass()
        case ast.Assign(targets) if not any(isinstance(each, ast.Name | ast.Tuple) for each in targets):
            yield ast.Pass()


def _put(tree: ast.AST, target: ast.AST, changed: ast.AST) -> None:
    """Replace a node of the tree."""
    ast.copy_location(changed, target)
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, field, changed)
                return
            if isinstance(value, list) and any(each is target for each in value):
                value[[each is target for each in value].index(True)] = changed
                return


def _text(node: ast.AST) -> str:
    """The code, or its first line where it has a body."""
    match node:
        case ast.For() if isinstance(node.iter, ast.Tuple) and not node.iter.elts:
            return f"for {ast.unparse(node.target)} in ()"
        case ast.Pass():
            return "nothing"
        case _:
            first, *_ = ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).splitlines()
            return first
