"""Small mistakes, one for each mutant, made in a module's syntax tree."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.BitXor: ast.BitOr,
}
# What answers with the like of what it was called on, or given: without it, the code may still run.
_METHODS = {
    "strip",
    "lstrip",
    "rstrip",
    "lower",
    "upper",
    "removeprefix",
    "removesuffix",
    "replace",
    "translate",
    "encode",
    "decode",
    "copy",
    "items",
    "multi_items",
    "lists",
}
_BUILTINS = {"tuple", "list", "set", "frozenset", "dict", "bytes", "str", "int", "float", "sorted", "all", "any"}
# What only writes the text of an error: its wording is no rule.
_WORDING = {
    "_malformed",
    "_invalid",
    "InvalidClient",
    "InvalidRequest",
    "ValueError",
    "FetchFailed",
    "_audience_mismatch",
}


@dataclass(frozen=True)
class Mutant:
    """One mistake: where, what stood there, and what stands there now."""

    path: str
    line: int
    scope: str
    before: str
    after: str
    source: str

    @property
    def name(self) -> str:
        return f"{Path(self.path).stem}.{self.scope}: {self.before}  ->  {self.after}"


Change = tuple[ast.AST, Callable[[ast.AST], ast.AST]]


def _replaced(value: ast.expr) -> Callable[[ast.AST], ast.AST]:
    return lambda _node: value


def _with(field: str, value: object) -> Callable[[ast.AST], ast.AST]:
    def change(node: ast.AST) -> ast.AST:
        setattr(node, field, value)
        return node

    return change


def _without(place: int, *fields: str) -> Callable[[ast.AST], ast.AST]:
    def change(node: ast.AST) -> ast.AST:
        for field in fields:
            values = getattr(node, field)
            setattr(node, field, [*values[:place], *values[place + 1 :]])
        return node

    return change


def _compare(node: ast.Compare) -> Iterator[Callable[[ast.AST], ast.AST]]:
    for place, operator in enumerate(node.ops):
        for other in _COMPARISONS[type(operator)]:
            yield _with("ops", [*node.ops[:place], other(), *node.ops[place + 1 :]])


def _bool_op(node: ast.BoolOp) -> Iterator[Callable[[ast.AST], ast.AST]]:
    yield _with("op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
    for place in range(len(node.values)):
        rest = [*node.values[:place], *node.values[place + 1 :]]
        yield _replaced(rest[0]) if len(rest) == 1 else _with("values", rest)


def _constant(node: ast.Constant) -> Iterator[Callable[[ast.AST], ast.AST]]:
    value = node.value
    if isinstance(value, bool):
        yield _with("value", not value)
    elif isinstance(value, int | float):
        yield _with("value", value + 1)
        yield _with("value", value - 1)
    elif isinstance(value, str):
        yield _with("value", f"{value}X")
    elif isinstance(value, bytes):
        yield _with("value", value + b"X")


def _call(node: ast.Call) -> Iterator[Callable[[ast.AST], ast.AST]]:
    match node:
        case ast.Call(func=ast.Attribute(value=whole, attr=name)) if name in _METHODS:
            yield _replaced(whole)
        case ast.Call(func=ast.Name(id=name), args=[whole], keywords=[]) if name in _BUILTINS:
            yield _replaced(whole)
    for place, keyword in enumerate(node.keywords):
        # Without a flag is what the other value of the flag is: that one is made anyway.
        if not (isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, bool)):
            yield _without(place, "keywords")


def _display(node: ast.Tuple | ast.List | ast.Set | ast.Dict) -> Iterator[Callable[[ast.AST], ast.AST]]:
    if isinstance(node, ast.Dict):
        yield from (_without(place, "keys", "values") for place in range(len(node.keys)))
    elif not isinstance(getattr(node, "ctx", None), ast.Store):  # a target: one name less can never be unpacked
        yield from (_without(place, "elts") for place in range(len(node.elts)))


def _of_expressions(node: ast.AST) -> Iterator[Callable[[ast.AST], ast.AST]]:
    match node:
        case ast.Compare():
            yield from _compare(node)
        case ast.BoolOp():
            yield from _bool_op(node)
        case ast.Constant():
            yield from _constant(node)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield _replaced(node.operand)
        case ast.BinOp() | ast.AugAssign() if type(node.op) in _OPERATORS:
            yield _with("op", _OPERATORS[type(node.op)]())
        case ast.Call():
            yield from _call(node)
        case ast.Tuple() | ast.List() | ast.Set() | ast.Dict():
            yield from _display(node)


def _of_statements(node: ast.AST) -> Iterator[Callable[[ast.AST], ast.AST]]:
    match node:
        case ast.If() | ast.IfExp() | ast.While():
            if not isinstance(node, ast.While):  # one that never ends is no finding
                yield _with("test", ast.Constant(value=True))
            yield _with("test", ast.Constant(value=False))
        case ast.Raise() | ast.Expr() | ast.AugAssign():
            yield lambda _node: ast.Pass()
        case ast.Return(value=ast.expr()):
            yield _with("value", ast.Constant(value=None))
        case ast.comprehension(ifs=[_, *_]):
            yield _with("ifs", [])


def _is_name(node: ast.expr, names: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _skipped(node: ast.AST, field: str, child: ast.AST) -> bool:
    """Documentation, annotations, names that are only told, and the wording of errors."""
    if field in ("annotation", "returns", "type_params", "decorator_list") or isinstance(child, ast.JoinedStr):
        return True
    if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
        return True
    if isinstance(node, ast.Call) and _is_name(node.func, _WORDING):
        return isinstance(child, ast.Constant) and " " in str(child.value)
    if isinstance(node, ast.Subscript):
        # The types within a type, and keys of several parts: what has fewer is nowhere.
        return _is_name(node.value, {"Literal"}) or isinstance(child, ast.Tuple)
    return False


def _walk(node: ast.AST, scope: tuple[str, ...]) -> Iterator[tuple[ast.AST, str, int | None, ast.AST, tuple[str, ...]]]:
    """Each node that may change, with its parent, its place there, and the names around it."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        scope = (*scope, node.name)
    for field, value in ast.iter_fields(node):
        for place, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST) and not _skipped(node, field, child):
                yield node, field, place, child, scope
                yield from _walk(child, scope)


def _put(parent: ast.AST, field: str, place: int | None, child: ast.AST) -> None:
    if place is None:
        setattr(parent, field, child)
    else:
        getattr(parent, field)[place] = child


def _told(node: ast.AST) -> str:
    # Of a statement with a body, its head.
    return ast.unparse(node).split("\n")[0]


def mutants(path: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module, each under a name of its own that does not depend on line numbers."""
    names: Counter[str] = Counter()
    for mutant in _mutants(path, source):
        names[mutant.name] += 1
        number = names[mutant.name]
        yield mutant if number == 1 else replace(mutant, after=f"{mutant.after}  ({number})")


def _mutants(path: str, source: str) -> Iterator[Mutant]:
    tree = ast.parse(source)
    seen: set[str] = {ast.unparse(tree)}
    for parent, field, place, child, scope in list(_walk(tree, ())):
        for change in [*_of_expressions(child), *_of_statements(child)]:
            changed = change(copy.copy(child))
            _put(parent, field, place, ast.copy_location(changed, child))
            text = ast.unparse(ast.fix_missing_locations(tree))
            _put(parent, field, place, child)
            if text not in seen:
                seen.add(text)
                line = getattr(child, "lineno", 0) or getattr(getattr(child, "target", child), "lineno", 0)
                around = parent if isinstance(child, ast.Constant) and isinstance(parent, ast.expr) else None
                before = _told(around or child)
                after = _told(changed) if around is None else f"[{_told(child)} = {_told(changed)}]"
                yield Mutant(path, line, ".".join(scope) or "module", before, after, text)
