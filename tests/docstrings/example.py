"""How one example of a docstring is run."""

from __future__ import annotations

import ast
import asyncio
import builtins
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import django
import pytest
from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from docstrings.names import Names
from private_key_jwt import AuthenticationError
from stores import postgres
from stores.redis_server import shared_url

if not settings.configured:
    settings.configure(SECRET_KEY="for tests")
django.setup(set_prefix=False)

# Places that an example names, and where they are in a test.
PLACES: dict[str, Callable[[Path], str]] = {
    "rediss://op:secret@redis.internal:6379/0": lambda _: shared_url(),
    "rediss://op:secret@redis.internal:6379/1": lambda _: shared_url(),
    "redis://redis": lambda _: shared_url(),
    "postgresql+psycopg://op@db/op": lambda _: _postgres("psycopg"),
    "postgresql+asyncpg://op@db/op": lambda _: _postgres("asyncpg"),
    "/var/lib/op/replay.db": lambda path: str(path / "replay.db"),
    "/var/lib/op/jwks.db": lambda path: str(path / "jwks.db"),
}
SERVERS = ("rediss:", "redis:", "postgresql", "StoreUnfit")


def _postgres(driver: str) -> str:
    return postgres.url().set(drivername=f"postgresql+{driver}").render_as_string(hide_password=False)


class _Prepared(ast.NodeTransformer):
    """An example with its places, what ``...`` stands for in a call, and what its comments say of a line."""

    def __init__(self, code: str, names: Names) -> None:
        self._lines = code.splitlines()
        self._names = names

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        place = PLACES.get(node.value) if isinstance(node.value, str) else None
        return node if place is None else ast.copy_location(ast.Constant(place(self._names.tmp_path)), node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        is_open = [isinstance(each, ast.Constant) and each.value is ... for each in node.args]
        if any(is_open):
            assert is_open == [True], ast.unparse(node)
            given = [keyword.arg for keyword in node.keywords]
            rest = ast.parse(f"rest_of({ast.unparse(node.func)!r}, {given!r})", mode="eval").body
            node.args, node.keywords = [], [*node.keywords, ast.keyword(None, rest)]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        self.generic_visit(node)
        comment = self._lines[node.lineno - 1].partition("  # ")[2].strip()
        if value := re.match(r"(True|False|None)(?=[:,]|$)", comment):
            equal = ast.Compare(node.value, [ast.Is()], [ast.Constant(ast.literal_eval(value[0]))])
            return ast.copy_location(ast.Assert(equal, ast.Constant(self._lines[node.lineno - 1])), node)
        if error := re.match(r"raises (\w+)", comment):
            raises = ast.parse(f"with pytest.raises({error[1]}): pass").body[0]
            assert isinstance(raises, ast.With)
            raises.body = [node]
            return ast.copy_location(raises, node)
        return node


# Django's settings, as far as an example writes them.
SETTINGS = ("INSTALLED_APPS", "MIDDLEWARE", "CACHES", "PRIVATE_KEY_JWT", "OAUTH2_PROVIDER")


def _token(request: HttpRequest) -> HttpResponse:
    """The token endpoint of a project."""
    in_django = import_module("private_key_jwt.integrations.django")
    try:
        return HttpResponse(in_django.authenticate(in_django.get_verifier(), request).client_id)
    except AuthenticationError as error:
        return cast(HttpResponse, in_django.error_response(error))


@contextmanager
def project(names: Names) -> Iterator[ModuleType]:
    """A Django project with a database, whose module project.oauth is given."""
    oauth = ModuleType("project.oauth")
    oauth.__dict__["find_client"] = names.find_client
    urls = ModuleType("project.urls")
    urls.__dict__["urlpatterns"] = [path("token", csrf_exempt(_token))]
    package = ModuleType("project")
    package.__dict__["oauth"] = oauth
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(names.tmp_path / "project.db")}
    before = connections.settings["default"]
    connections.settings["default"] = connections.configure_settings({"default": database})["default"]
    connections["default"].close()
    del connections["default"]
    installed = override_settings(
        INSTALLED_APPS=list(names.INSTALLED_APPS), USE_TZ=True, ALLOWED_HOSTS=["*"], ROOT_URLCONF="project.urls"
    )
    with pytest.MonkeyPatch.context() as patch, installed:
        patch.setitem(sys.modules, "project", package)
        patch.setitem(sys.modules, "project.oauth", oauth)
        patch.setitem(sys.modules, "project.urls", urls)
        yield oauth
    connections["default"].close()
    del connections["default"]
    connections.settings["default"] = before


class Example:
    """An example that is being run: what it was given, what it has made, and what it has set."""

    def __init__(self, owner: str, code: str, tmp_path: Path) -> None:
        self.owner, self.code = owner, code
        self.names = Names(owner, code, tmp_path)
        self.tree = ast.fix_missing_locations(_Prepared(code, self.names).visit(ast.parse(code)))
        self.made: dict[str, Any] = {"__name__": owner, "rest_of": self.names.rest_of, "pytest": pytest}

    @property
    def defines(self) -> list[str]:
        """The names of its functions and classes."""
        return defined(self.tree)

    def run(self, afterwards: Callable[[Example], None]) -> None:
        """Run it, and then, while its settings hold, what puts to use what it has only defined."""
        with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
            patch.setenv("LEDGERBEE_API_KEY", "a key")
            stack.enter_context(self.names.context)
            if "jango" in self.owner or self.owner.endswith("IntegrationsConfig") or "oauth_toolkit" in self.owner:
                oauth = stack.enter_context(project(self.names))
                self._set(stack)
                self._run(self.tree)
                oauth.__dict__.update(self.made)
            else:
                self._run(self.tree)
            afterwards(self)
            self._close()

    def _set(self, stack: ExitStack) -> None:
        """Run first what is for settings.py, and let these settings hold."""
        assert isinstance(self.tree, ast.Module)
        written = [each for each in self.tree.body if _setting_of(each)]
        self._run(ast.Module(written, []))
        self.tree = ast.Module([each for each in self.tree.body if each not in written], [])
        given = {name: self.made[name] for name in map(_setting_of, written) if name}
        unwritten = {"MIDDLEWARE": list(self.names.MIDDLEWARE), "PRIVATE_KEY_JWT": self.names.PRIVATE_KEY_JWT}
        stack.enter_context(override_settings(**{**unwritten, **given}))

    def _run(self, tree: ast.AST) -> None:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        compiled = compile(tree, f"<{self.owner}>", "exec", flags=flags, dont_inherit=True)  # type: ignore[call-overload]
        for name in sorted(_taken(tree) - self.made.keys()):
            value = self.names.find(name)
            self.made[name] = list(value) if isinstance(value, tuple) else value
        if compiled.co_flags & inspect.CO_COROUTINE:
            asyncio.run(self._run_and_close(compiled))
        else:
            exec(compiled, self.made)

    async def _run_and_close(self, compiled: Any) -> None:
        await eval(compiled, self.made)
        for made in list(self.made.values()):
            if not isinstance(made, type) and inspect.iscoroutinefunction(getattr(made, "aclose", None)):
                await made.aclose()
        for engine in self.names.engines:
            await engine.dispose()

    def _close(self) -> None:
        for made in self.made.values():
            if type(made).__module__.startswith("private_key_jwt.") and inspect.ismethod(getattr(made, "close", None)):
                made.close()


def _setting_of(statement: ast.stmt) -> str | None:
    """Return the name of the setting that a statement is for."""
    match statement:
        case ast.Assign(targets=[target]) | ast.AugAssign(target=target):
            name = ast.unparse(target).partition("[")[0]
            return name if name in SETTINGS else None
    return None


def defined(tree: ast.AST) -> list[str]:
    """Return the names of the functions and classes that an example defines."""
    kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return [node.name for node in ast.walk(tree) if isinstance(node, kinds)]


def _taken(tree: ast.AST) -> set[str]:
    """Return the names that an example reads, but for those that it makes."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    changed = {ast.unparse(node.target) for node in ast.walk(tree) if isinstance(node, ast.AugAssign)}
    made = {node.id for node in found if isinstance(node.ctx, ast.Store)} - changed | set(defined(tree))
    for node in ast.walk(tree):
        match node:
            case ast.ExceptHandler(name=str(name)) | ast.arg(arg=name):
                made.add(name)
            case ast.ImportFrom(names=names):
                made |= {each.name for each in names}
    read = {node.id for node in found if isinstance(node.ctx, ast.Load)} | changed
    return {name for name in read - made - {"rest_of"} if name.isidentifier() and not hasattr(builtins, name)}
