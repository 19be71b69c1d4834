"""The shape of the source: layers, twins, purity, and what is public."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import pytest

import private_key_jwt

SOURCE = Path(private_key_jwt.__file__).parent
PACKAGE = "private_key_jwt"

# Each layer may import those before it; modules on one line know nothing of each other.
LAYERS = [
    {"exceptions"},
    {"policy"},
    {"_core"},
    {"events"},
    {"_registration"},
    {"discovery", "clients", "_after_fork", "_either", "_http_client"},
    {"ledgerbee"},
    {"stores"},
    {"fetcher"},
    {"_adapters", "_watch"},
    {"verifier"},
    {""},
    {"integrations", "testing"},
    {"cli"},
]


def modules() -> dict[str, Path]:
    return {
        ".".join((PACKAGE, *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in SOURCE.rglob("*.py")
    }


def imports(name: str, path: Path) -> set[str]:
    """The modules of this package that a module imports."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    known = modules()
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module or ""]))
            if module.split(".")[0] == PACKAGE:
                found |= {
                    f"{module}.{alias.name}" if f"{module}.{alias.name}" in known else module for alias in node.names
                }
    return found


def unit(module: str) -> str:
    return [*module.split("."), ""][1]


def layer(module: str) -> int:
    return next(number for number, units in enumerate(LAYERS) if unit(module) in units)


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_point_one_way(name: str) -> None:
    for imported in imports(name, modules()[name]):
        same_unit = unit(imported) == unit(name)
        assert same_unit or layer(imported) < layer(name), f"{name} imports {imported}"


def test_no_two_modules_import_each_other() -> None:
    graph = {name: imports(name, path) for name, path in modules().items()}

    def reaches(start: str) -> set[str]:
        seen: set[str] = set()
        todo = list(graph[start])
        while todo:
            module = todo.pop()
            if module not in seen:
                seen.add(module)
                todo += graph.get(module, [])
        return seen

    assert [name for name in graph if name in reaches(name)] == []


@pytest.mark.parametrize("path", sorted((SOURCE / "_core").glob("*.py")), ids=lambda path: path.stem)
def test_the_core_is_pure(path: Path) -> None:
    impure = {"httpx", "asyncio", "threading", "time", "datetime", "socket", "os", "random", "secrets", "logging"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & impure
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert str(node.module).split(".")[0] not in impure


class Synchronous(ast.NodeTransformer):
    """An asynchronous syntax tree as its synchronous twin would be written."""

    NAMES: ClassVar = {
        "aclose": "close",
        "__aenter__": "__enter__",
        "__aexit__": "__exit__",
        "async_clients": "sync_clients",
        "async_store": "sync_store",
        "async_fetcher": "sync_fetcher",
    }

    def _name(self, name: str) -> str:
        return self.NAMES.get(name, name).replace("Async", "").removesuffix("_async")

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        twin = ast.FunctionDef(**{field: getattr(node, field) for field in node._fields})
        return self.visit_FunctionDef(ast.copy_location(twin, node))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self._name(node.name)
        # Annotations and documentation differ by right.
        node.returns = None
        for argument in [*node.args.args, *node.args.kwonlyargs]:
            argument.annotation = None
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        return self.generic_visit(node)

    def visit_Await(self, node: ast.Await) -> ast.AST:
        return self.visit(node.value)  # type: ignore[no-any-return]

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._name(node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        node.attr = self._name(node.attr)
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self._name(node.name)
        node.body = node.body[1:]
        return self.generic_visit(node)


def classes(path: Path) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)}


@pytest.mark.parametrize("name", ["ClientAssertionVerifier", "PendingAssertion"])
def test_the_twins_differ_only_in_await(name: str) -> None:
    """Law 8."""
    found = classes(SOURCE / "verifier.py")
    sync, twin = (Synchronous().visit(found[each]) for each in (name, f"Async{name}"))
    assert ast.unparse(twin) == ast.unparse(sync)


@pytest.mark.parametrize("name", ["find", "mark"])
def test_the_adapters_of_look_ups_and_stores_differ_only_in_await(name: str) -> None:
    """Law 8."""
    tree = ast.parse((SOURCE / "_adapters.py").read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.walk(tree) if isinstance(node, functions) and node.name == name]
    sync, twin = (ast.unparse(Synchronous().visit(each)) for each in found)
    assert twin == sync


@pytest.mark.parametrize(
    ("method", "owner"), [("_drive", "_Fetcher"), ("refresh", "AsyncJWKSFetcher"), ("get_key", "AsyncJWKSFetcher")]
)
def test_the_fetchers_drive_one_flow(method: str, owner: str) -> None:
    """Law 8."""
    found = classes(SOURCE / "fetcher" / "_fetchers.py")
    bodies = []
    for name, names in (("JWKSFetcher", {method}), (owner, {method, f"{method}_async"})):
        [function] = [node for node in found[name].body if getattr(node, "name", "") in names]
        bodies.append(ast.unparse(Synchronous().visit(function)))
    assert bodies[0] == bodies[1]


def test_what_is_exported_is_all_there_is() -> None:
    public = {
        name
        for name, value in vars(private_key_jwt).items()
        if not name.startswith("_") and getattr(value, "__module__", PACKAGE).startswith(PACKAGE)
    }
    submodules = {unit(module) for module in modules()} - {"events", "ledgerbee"}
    assert sorted(public - submodules) == sorted(private_key_jwt.__all__)


def test_every_public_name_is_documented() -> None:
    for name in private_key_jwt.__all__:
        exported = getattr(private_key_jwt, name)
        assert exported.__doc__, name
        if isinstance(exported, type):
            for attribute, value in vars(exported).items():
                if not attribute.startswith("_") and callable(value):
                    assert value.__doc__, f"{name}.{attribute}"


@pytest.mark.parametrize("name", ["starlette", "fastapi", "flask", "django"])
def test_every_public_name_of_an_integration_is_documented(name: str) -> None:
    module = import_module(f"{PACKAGE}.integrations.{name}")
    assert module.__doc__
    assert {"authenticate", "error_response"} <= set(module.__all__)  # the same names everywhere
    assert [each for each in module.__all__ if not getattr(module, each).__doc__] == []


EXTRAS = {
    *("typer", "rich", "click", "redis", "sqlalchemy", "starlette", "fastapi", "flask", "django", "authlib"),
    *("oauth2_provider", "opentelemetry", "pytest", "hypothesis", "sqlite3"),
}


def new_modules(name: str) -> set[str]:
    """The top-level modules that an import brings, beside those that our dependencies bring by themselves.

    (httpx imports click and rich where there are any.)
    """
    code = f"""
import sys, cachetools, cryptography, httpx, joserfc
before = set(sys.modules)
import {name}
print(*{{module.split(".")[0] for module in set(sys.modules) - before}})
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(told.stdout.split())


def test_importing_the_package_imports_no_extra() -> None:
    assert new_modules("private_key_jwt") & EXTRAS == set()


@pytest.mark.parametrize(
    ("module", "brings"),
    [
        ("", set()),
        (".starlette", {"starlette"}),
        (".fastapi", {"starlette", "fastapi"}),
        (".flask", {"flask"}),
        (".django", {"django"}),
    ],
)
def test_an_integration_imports_its_own_framework_only(module: str, brings: set[str]) -> None:
    frameworks = {"starlette", "fastapi", "flask", "django", "authlib", "oauth2_provider", "uvicorn"}
    assert new_modules(f"private_key_jwt.integrations{module}") & frameworks == brings


def test_the_recipe_is_numbered_in_order() -> None:
    for name in ("ClientAssertionVerifier", "AsyncClientAssertionVerifier"):
        text = (SOURCE / "verifier.py").read_text().split(f"class {name}:")[1].split("\nclass ")[0]
        assert re.findall(r"# (\d)\. ", text) == ["1", "2", "3", "4", "5", "6"]
