"""Whether the projects that ``.ci/run types`` checks as a user's use every public name. Nothing is imported for it."""

from __future__ import annotations

import ast
from pathlib import Path
from symtable import symtable

import pytest

import private_key_jwt

_SOURCE = Path(private_key_jwt.__file__).parent
_PROJECTS = [Path(__file__).with_name(name) for name in ("api.py", "frameworks.py")]
# The command line is run; what Django imports by its dotted name stands in a project's settings; the recipe is for who
# writes a verifier, and its VerifiedAssertion is the package's; the runbook is read.
_NOT_IMPORTED = ("cli.", "__main__", "integrations.apps", "stores.django", "recipe", "runbook")


def public_modules() -> dict[str, Path]:
    """The modules whose dotted name has no part that begins with an underscore; the package itself is ``""``."""
    found = {}
    for path in _SOURCE.rglob("*.py"):
        parts = path.relative_to(_SOURCE).with_suffix("").parts
        name = ".".join(parts).removesuffix("__init__").removesuffix(".")
        if (
            not any(part.startswith("_") for part in name.split("."))
            and name != "cli"
            and not name.startswith(_NOT_IMPORTED)
        ):
            found[name] = path
    return dict(sorted(found.items()))


def exported(path: Path) -> list[str]:
    """What ``__all__`` of a module holds."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    raise AssertionError(f"{path} has no __all__")


def used() -> set[str]:
    """The dotted names that the projects import, and the attributes that they take of what they import."""
    names: set[str] = set()
    for project in _PROJECTS:
        tree = ast.parse(project.read_text())
        imported = {
            alias.asname or alias.name: f"{node.module}.{alias.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        names |= set(imported.values())
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
                names.add(f"{imported[node.value.id]}.{node.attr}")
    return names


@pytest.mark.parametrize("name", public_modules())
def test_the_projects_of_users_use_every_public_name(name: str) -> None:
    module = f"private_key_jwt.{name}".removesuffix(".")
    names = used()
    if not name.startswith("integrations"):  # a class may be imported from the package or from its module
        names |= {f"{module}.{each.rpartition('.')[2]}" for each in names if each.startswith("private_key_jwt.")}
    assert [each for each in exported(public_modules()[name]) if f"{module}.{each}" not in names] == []


@pytest.mark.parametrize("name", public_modules())
def test_a_public_module_says_what_is_public_and_each_once(name: str) -> None:
    path = public_modules()[name]
    names = exported(path)
    assert len(set(names)) == len(names)
    assert set(names) <= set(symtable(path.read_text(), path.name, "exec").get_identifiers())
