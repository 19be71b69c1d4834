"""An example of an authorization server in a process of its own: a framework's settings are for a whole process.

The parent says on standard input what to do, in lines of JSON, and reads an answer to each. When it goes, so does
the child, in peace, so that coverage is saved.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import coverage

from integrations import uvicorn_server, werkzeug_server, wsgiref_server
from private_key_jwt import ClientAssertionVerifier, JWKSFetcher, JWKSPolicy
from private_key_jwt._report import Reporter
from private_key_jwt.events import AssertionRefused, Event
from private_key_jwt.testing import Clock
from support import use_fetcher

TESTS = Path(__file__).parent.parent


class AuthorizationServer:
    """The parent's side. Two of them in one folder are two workers: they share databases and the replay store."""

    def __init__(self, example: str, folder: Path, now: float) -> None:
        self._error_log = folder / f"{os.getpid()}.{id(self)}.log"
        measured = coverage.Coverage.current()
        measure = ["-m", "coverage", "run", f"--rcfile={TESTS.parent / 'pyproject.toml'}"] if measured else []
        command = [sys.executable, *measure, __file__, example, repr(now)]
        data_file = str(measured.get_option("run:data_file")) if measured else ""
        environment = {
            "COVERAGE_FILE": str(Path(data_file).absolute()),
            **os.environ,
            "AUTHLIB_INSECURE_TRANSPORT": "1",
            "DJANGO_SETTINGS_MODULE": f"{example.removesuffix('_asgi')}.settings",
            "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS / 'examples'}",
            "PYTHONWARNINGS": "",
        }
        with self._error_log.open("w") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=-1, stdout=-1, stderr=log, text=True
            )
        self.url = self._answer()
        self.token_endpoint, self.revocation_endpoint, self.introspection_endpoint = (
            f"{self.url}{path}" for path in PATHS[example]
        )

    def _answer(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().strip()
        assert answer, self.errors()
        return answer

    def _tell(self, command: str, **what: Any) -> Any:
        assert self._process.stdin is not None
        print(json.dumps([command, what]), file=self._process.stdin, flush=True)
        done, answer = json.loads(self._answer())
        assert done, answer
        return answer

    def errors(self) -> str:
        """What the server wrote to its standard error."""
        return self._error_log.read_text()

    def add(self, client_id: str, **metadata: Any) -> None:
        """Register a client: by ``jwks_uri``, or with a ``client_secret``."""
        self._tell("add", client_id=client_id, **metadata)

    def advance(self, seconds: float) -> None:
        self._tell("advance", seconds=seconds)

    def call(self, function: str) -> None:
        """Call ``module:function`` in the server's process."""
        self._tell("call", function=function)

    def refusals(self) -> list[str]:
        """The reasons of the refusals that were reported since this was last asked."""
        reasons: list[str] = self._tell("refusals")
        return reasons

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            assert self._process.wait(30) == 0, self.errors()


PATHS = {
    "authlib_flask": ("/token", "/revoke", "/introspect"),
    "authlib_django": ("/token", "/revoke", "/introspect"),
    "oauth_toolkit": ("/o/token/", "/o/revoke_token/", "/o/introspect/"),
    "oauth_toolkit_asgi": ("/o/token/", "/o/revoke_token/", "/o/introspect/"),
}


# The child's side


class _Started(NamedTuple):
    """An example: its verifier, how a client is registered, and its server."""

    verifier: ClientAssertionVerifier
    add: Callable[..., None]
    server: AbstractContextManager[str]


def _method(metadata: dict[str, Any]) -> dict[str, str]:
    return {"token_endpoint_auth_method": "private_key_jwt"} if "jwks_uri" in metadata else {}


def _authlib_flask() -> _Started:
    oauth2 = importlib.import_module("authlib_flask.oauth2")
    oauth2.create_tables()

    def add(client_id: str, client_secret: str = "", **metadata: Any) -> None:
        oauth2.add_client(client_id, client_secret, **{**_method(metadata), **metadata})
        oauth2.session.remove()

    verifier = importlib.import_module("authlib_flask.client_authentication").verifier
    return _Started(verifier, add, werkzeug_server.serve(importlib.import_module("authlib_flask.app").app))


def _set_up_django() -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command

    # Tables straight from the models: the migrations of others are not what is tested, and take their time.
    settings.MIGRATION_MODULES = dict.fromkeys(name.rpartition(".")[2] for name in settings.INSTALLED_APPS)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # slow ones are slow on purpose
    django.setup()
    to_stderr = logging.StreamHandler()
    to_stderr.setLevel(logging.ERROR)
    logging.getLogger("django.request").addHandler(to_stderr)
    call_command("migrate", run_syncdb=True, verbosity=0)


def _authlib_django() -> _Started:
    _set_up_django()
    from django.core.wsgi import get_wsgi_application

    models = importlib.import_module("authlib_django.models")

    def add(client_id: str, **metadata: Any) -> None:
        models.Client.objects.create(client_id=client_id, **{**_method(metadata), **metadata})

    verifier = importlib.import_module("authlib_django.client_authentication").verifier
    return _Started(verifier, add, wsgiref_server.serve(get_wsgi_application()))


def _oauth_toolkit(*, is_async: bool = False) -> _Started:
    _set_up_django()
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application

    models = importlib.import_module("oauth_toolkit.models")

    def add(client_id: str, **metadata: Any) -> None:
        kind = {"client_type": "confidential", "authorization_grant_type": "client-credentials"}
        models.Application.objects.create(client_id=client_id, **{**kind, **metadata})

    verifier = importlib.import_module("oauth_toolkit.validators").Validator.client_assertion_verifier
    server = (
        uvicorn_server.serve(get_asgi_application(), lifespan="off")
        if is_async
        else wsgiref_server.serve(get_wsgi_application())
    )
    return _Started(verifier, add, server)


START: dict[str, Callable[[], _Started]] = {
    "authlib_flask": _authlib_flask,
    "authlib_django": _authlib_django,
    "oauth_toolkit": _oauth_toolkit,
    "oauth_toolkit_asgi": lambda: _oauth_toolkit(is_async=True),
}


def _call(function: str) -> None:
    module, _, name = function.partition(":")
    getattr(importlib.import_module(module), name)()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(example: str, now: float) -> None:
    clock = Clock(now)
    started = START[example]()
    # Time moves when the parent says so.
    started.verifier._clock = clock
    use_fetcher(started.verifier, JWKSFetcher(JWKSPolicy(allow_http_loopback=True), clock=clock))
    reported: list[Event] = []
    started.verifier._reporter = Reporter(reported.append)

    def refusals() -> list[str]:
        reasons = [event.reason.value for event in reported if isinstance(event, AssertionRefused)]
        reported.clear()
        return reasons

    commands: dict[str, Callable[..., Any]] = {
        "add": started.add,
        "advance": clock.advance,
        "call": _call,
        "refusals": refusals,
    }
    with started.server as url:
        _say(url)
        for line in sys.stdin:
            command, what = json.loads(line)
            try:
                answer = [True, commands[command](**what)]
            except BaseException:  # also what pytest raises for a test that failed
                answer = [False, traceback.format_exc()]
            _say(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
