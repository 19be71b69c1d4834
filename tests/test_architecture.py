"""The shape of the source: which module may import which, the sync and async pairs, and what is public."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import pytest

import private_key_jwt

SOURCE = Path(private_key_jwt.__file__).parent
PACKAGE = "private_key_jwt"
CONTRACTS = Path(__file__).parent.parent / "pyproject.toml"


def modules() -> list[str]:
    """The dotted names of all modules in the source."""
    paths = (path.relative_to(SOURCE.parent).with_suffix("") for path in SOURCE.rglob("*.py"))
    return [".".join(path.parts).removesuffix(".__init__") for path in paths]


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package that stands in ``directory``, with the contracts of pyproject.toml."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(directory)}
    return subprocess.run([*command, str(CONTRACTS)], env=environment, cwd=directory, capture_output=True, text=True)


def test_imports_point_one_way_and_the_core_is_pure() -> None:
    result = lint_imports(SOURCE.parent)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "added", "broken"),
    [
        ("policy.py", "from . import verifier", "imports point one way"),
        ("integrations/flask.py", "from .. import testing", "imports point one way"),
        ("another.py", "", "imports point one way"),
        ("stores/_sqlite.py", "from . import _sqlalchemy\n", "no cycles"),
        ("_core/claims.py", "import time", "the core is pure"),
        ("policy.py", "import threading", "the core is pure"),  # what the core imports must be as pure
    ],
)
def test_an_import_against_a_contract_is_found(tmp_path: Path, module: str, added: str, broken: str) -> None:
    package = tmp_path / PACKAGE
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    with (package / module).open("a") as file:
        file.write(f"\n{added}\n")
    if broken == "no cycles":
        with (package / "stores" / "_sqlalchemy.py").open("a") as file:
            file.write("\nfrom . import _sqlite\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout
    assert re.search(rf"^{broken}.* BROKEN", result.stdout, re.MULTILINE), result.stdout


class Synchronous(ast.NodeTransformer):
    """An asynchronous syntax tree as the synchronous one would be written."""

    NAMES: ClassVar = {
        "aclose": "close",
        "__aenter__": "__enter__",
        "__aexit__": "__exit__",
        "async_clients": "sync_clients",
        "async_store": "sync_store",
        "async_keys": "sync_keys",
    }

    def _name(self, name: str) -> str:
        return self.NAMES.get(name, name).replace("Async", "").removesuffix("_async")

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        other = ast.FunctionDef(**{field: getattr(node, field) for field in node._fields})
        return self.visit_FunctionDef(ast.copy_location(other, node))

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
def test_sync_and_async_differ_only_in_await(name: str) -> None:
    """Law 8."""
    found = classes(SOURCE / "verifier.py")
    sync, other = (Synchronous().visit(found[each]) for each in (name, f"Async{name}"))
    assert ast.unparse(other) == ast.unparse(sync)


@pytest.mark.parametrize("name", ["find_client", "get_key", "mark"])
def test_the_sources_of_client_key_and_mark_differ_only_in_await(name: str) -> None:
    """Law 8."""
    tree = ast.parse((SOURCE / "_sources.py").read_text())
    made = [node for node in tree.body if isinstance(node, ast.FunctionDef) and "sync_" in node.name]
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = [each for node in made for each in ast.walk(node) if isinstance(each, functions) and each.name == name]
    sync, other = (ast.unparse(Synchronous().visit(each)) for each in found)
    assert other == sync


@pytest.mark.parametrize(
    ("method", "owner"), [("_drive", "Fetcher"), ("refresh", "AsyncJWKSFetcher"), ("get_key", "AsyncJWKSFetcher")]
)
def test_the_fetchers_drive_one_flow(method: str, owner: str) -> None:
    """Law 8."""
    modules = ("_base.py", "_sync.py", "_async.py")
    found = {name: node for each in modules for name, node in classes(SOURCE / "fetcher" / each).items()}
    bodies = []
    for name, names in (("JWKSFetcher", {method}), (owner, {method, f"{method}_async"})):
        [function] = [node for node in found[name].body if getattr(node, "name", "") in names]
        bodies.append(ast.unparse(Synchronous().visit(function)))
    assert bodies[0] == bodies[1]


# Types that signatures name, and that are no classes: they have neither a module nor a docstring.
ALIASES = {"AsyncClients", "Check", "Clients"}


def test_what_is_exported_is_all_there_is() -> None:
    public = {
        name
        for name, value in vars(private_key_jwt).items()
        if not name.startswith("_") and getattr(value, "__module__", PACKAGE).startswith(PACKAGE)
    }
    submodules = {f"{module}..".split(".")[1] for module in modules()} - {"events", "fapi2", "ledgerbee"}
    assert sorted(public - submodules | {"__version__"} | ALIASES) == sorted(private_key_jwt.__all__)


def test_every_public_name_is_documented() -> None:
    for name in set(private_key_jwt.__all__) - ALIASES:
        exported = getattr(private_key_jwt, name)
        assert exported.__doc__, name
        if isinstance(exported, type):
            for attribute, value in vars(exported).items():
                if not attribute.startswith("_") and callable(value):
                    assert value.__doc__, f"{name}.{attribute}"


@pytest.mark.parametrize("package", ["cli", "ledgerbee", "testing"])
def test_docstrings_are_no_subordinate_clauses(package: str) -> None:
    """They say what a name does, in the imperative."""
    found = [
        f"{path.name}:{node.lineno}"
        for path in (SOURCE / package).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if re.match("(What|How|Where|Which|Who|When|Why) ", str(node.value.value))
    ]
    assert found == []


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
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


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


GIVEN_OBJECTS = re.compile(
    r"^_?(on_event|http_client|verifier|(jwks_|assertion_)?policy|(jwks_)?cache|(replay_)?store|fetcher|clients?|handler|"
    r"(wall_)?clock|transport|current_key|engine|server)$"
)


def judged_by_truth(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The line and the name of each object of a caller's whose truth is asked for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If | ast.IfExp | ast.While | ast.Assert):
            asked = [node.test]
        elif isinstance(node, ast.BoolOp):
            asked = node.values
        elif isinstance(node, ast.comprehension):
            asked = node.ifs
        else:
            asked = [node.operand] if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not) else []
        for each in asked:
            name = each.id if isinstance(each, ast.Name) else each.attr if isinstance(each, ast.Attribute) else ""
            if GIVEN_OBJECTS.match(name):
                yield each.lineno, name


def test_no_object_of_a_callers_is_judged_by_its_truth() -> None:
    """A handler that counts, a client or a store may have a length, of 0 at first: it is there all the same."""
    assert list(judged_by_truth(ast.parse("handler = on_event or log")))  # the test sees one
    found = {path.name: list(judged_by_truth(ast.parse(path.read_text("utf-8")))) for path in SOURCE.rglob("*.py")}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_one_function_writes_to_the_log() -> None:
    """It lets nothing out that a handler of the project's log raises."""
    methods = {"debug", "info", "warning", "warn", "error", "exception", "critical", "fatal", "log"}
    calls = [
        (path.name, ast.unparse(node.func))
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in methods
    ]
    assert [each for each in calls if "log" in each[1].partition(".")[0]] == [("_log.py", "_logger.log")]


def test_the_recipe_is_numbered_in_order() -> None:
    text = (SOURCE / "recipe.py").read_text()
    assert re.findall(r"^(\d)\. ", text, re.MULTILINE) == ["1", "2", "3", "4", "5", "6"]
    assert re.findall(r"# (\d)\. ", text) == ["1", "2", "3"]
