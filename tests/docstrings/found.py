"""The examples in docstrings: where they are, and how one of them is run."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import private_key_jwt

PACKAGE = Path(private_key_jwt.__file__).parent


@dataclass(frozen=True)
class Documented:
    """A public module, or a class or a function out of its ``__all__``; ``name`` is the dotted one."""

    name: str
    node: ast.Module | ast.ClassDef | ast.FunctionDef

    @property
    def paragraphs(self) -> list[str]:
        return re.split(r"\n\s*\n", ast.get_docstring(self.node) or "")

    @property
    def opening(self) -> str | None:
        """The example that stands behind the summary."""
        second = self.paragraphs[1:2]
        return textwrap.dedent(second[0]) if second and is_code(second[0]) else None

    @property
    def examples(self) -> list[str]:
        """All that is set as code. What a blank line parts is one."""
        found: list[str] = []
        inside = False
        for paragraph in self.paragraphs:
            if is_code(paragraph):
                found.append(f"{found.pop()}\n\n{paragraph}" if inside else paragraph)
            inside = is_code(paragraph)
        return [textwrap.dedent(each) for each in found]


def is_code(paragraph: str) -> bool:
    """Markdown's rule: each line stands four columns further in."""
    return paragraph != "" and all(line.startswith("    ") for line in paragraph.splitlines())


def modules() -> Iterator[Documented]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        # The command line documents itself, and what Django finds by its name is nobody's to call.
        if not re.search(r"\._|\.cli\b|\.management|\.migrations|\.models$", name):
            yield Documented(name, _parsed(path))


def exported(module: Documented) -> list[str]:
    assert isinstance(module.node, ast.Module)
    assigned = [node for node in module.node.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    [names] = [
        node.value
        for node in assigned
        if ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0]) == "__all__" and node.value
    ] or [ast.List([])]
    return list(ast.literal_eval(names))


def members() -> Iterator[Documented]:
    """Public classes and functions, each once, under the name of the module that is found first."""
    seen = set()
    for module in modules():
        for name in exported(module):
            found = _definition(_path(module.name.split(".")), name)
            if found is not None and found not in seen:
                seen.add(found)
                yield Documented(f"{module.name}.{name}", found)


def _path(parts: list[str]) -> Path:
    path = PACKAGE.parent.joinpath(*parts)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _definition(path: Path, name: str) -> ast.ClassDef | ast.FunctionDef | None:
    """Follow the imports of a name to its class or function; None for what is neither."""
    body = _parsed(path).body
    own = [node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name]
    if own:
        return own[-1]  # behind its overloads
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.level and node.module:
            for each in node.names:
                if (each.asname or each.name) == name:
                    package = path.relative_to(PACKAGE.parent).parts[: -node.level]
                    return _definition(_path([*package, *node.module.split(".")]), each.name)
    return None
