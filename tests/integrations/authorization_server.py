"""An example of an authorization server in a process of its own: a framework's settings are for a whole process.

The parent says on standard input what to do, in lines of JSON, and reads an answer to each. When it goes, so does
the child, in peace, so that coverage is saved.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import coverage

TESTS = Path(__file__).parent.parent
HOST = "127.0.0.1"
Add = Callable[..., None]


class AuthorizationServer:
    """The parent's side. Two of them in one folder are two workers: they share databases and the replay store."""

    def __init__(self, example: str, folder: Path, now: float) -> None:
        self._error_log = folder / f"{os.getpid()}.{id(self)}.log"
        measured = ["-m", "coverage", "run", f"--rcfile={TESTS.parent / 'pyproject.toml'}"]
        command = [sys.executable, *(measured if coverage.Coverage.current() else []), __file__, example, repr(now)]
        environment = {
            **os.environ,
            "AUTHLIB_INSECURE_TRANSPORT": "1",
            "COVERAGE_FILE": str(TESTS.parent / ".coverage"),
            "DJANGO_SETTINGS_MODULE": f"{example.removesuffix('_asgi')}.settings",
            "PYTHONPATH": str(TESTS / "examples"),
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

    def _tell(self, command: str, **what: Any) -> None:
        assert self._process.stdin is not None
        print(json.dumps([command, what]), file=self._process.stdin, flush=True)
        assert self._answer() == "done", self.errors()

    def errors(self) -> str:
        """What the server wrote to its standard error."""
        return self._error_log.read_text()

    def add(self, client_id: str, **metadata: Any) -> None:
        """Register a client: by ``jwks_uri``, or with a ``client_secret``."""
        self._tell("add", client_id=client_id, **metadata)

    def advance(self, seconds: float) -> None:
        self._tell("advance", seconds=seconds)

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


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Standard error is for what goes wrong."""


def _serve_wsgi(application: Any) -> str:
    server = make_server(HOST, 0, application, _ThreadingServer, _QuietHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://{HOST}:{server.server_port}"


def _serve_asgi(application: Any) -> str:
    import socket

    import uvicorn

    listener = socket.create_server((HOST, 0))
    server = uvicorn.Server(uvicorn.Config(application, lifespan="off", log_level="warning", ws="none"))
    threading.Thread(target=server.run, args=([listener],), daemon=True).start()
    return f"http://{HOST}:{listener.getsockname()[1]}"


def _authlib_flask() -> tuple[Any, Add, str]:
    example = importlib.import_module("authlib_flask")
    example.Base.metadata.create_all(example.engine)

    def add(client_id: str, client_secret: str = "", **metadata: Any) -> None:
        method = {"token_endpoint_auth_method": "private_key_jwt"} if "jwks_uri" in metadata else {}
        example.add_client(client_id, client_secret, **method, **metadata)
        example.session.remove()

    from werkzeug.serving import make_server

    server = make_server(HOST, 0, example.app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return example.verifier, add, f"http://{HOST}:{server.server_port}"


def _set_up_django() -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command

    # Tables straight from the models: the migrations of others are not what is tested, and take their time.
    settings.MIGRATION_MODULES = dict.fromkeys(name.rpartition(".")[2] for name in settings.INSTALLED_APPS)
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)


def _authlib_django() -> tuple[Any, Add, str]:
    _set_up_django()
    from django.core.wsgi import get_wsgi_application

    models = importlib.import_module("authlib_django.models")

    def add(client_id: str, **metadata: Any) -> None:
        method = {"token_endpoint_auth_method": "private_key_jwt"} if "jwks_uri" in metadata else {}
        models.Client.objects.create(client_id=client_id, **{**method, **metadata})

    verifier = importlib.import_module("authlib_django.oauth2").verifier
    return verifier, add, _serve_wsgi(get_wsgi_application())


def _oauth_toolkit(serve: Callable[[Any], str], interface: str) -> tuple[Any, Add, str]:
    _set_up_django()
    application = getattr(importlib.import_module(f"django.core.{interface}"), f"get_{interface}_application")()
    models = importlib.import_module("oauth_toolkit.models")

    def add(client_id: str, **metadata: Any) -> None:
        kind = {"client_type": "confidential", "authorization_grant_type": "client-credentials"}
        models.Application.objects.create(client_id=client_id, **{**kind, **metadata})

    validator = importlib.import_module("oauth_toolkit.validators").Validator
    return validator.client_assertion_verifier, add, serve(application)


START: dict[str, Callable[[], tuple[Any, Add, str]]] = {
    "authlib_flask": _authlib_flask,
    "authlib_django": _authlib_django,
    "oauth_toolkit": lambda: _oauth_toolkit(_serve_wsgi, "wsgi"),
    "oauth_toolkit_asgi": lambda: _oauth_toolkit(_serve_asgi, "asgi"),
}


def main(example: str, now: float) -> None:
    from private_key_jwt import JWKSFetcher, JWKSPolicy
    from private_key_jwt.testing import Clock

    clock = Clock(now)
    verifier, add, url = START[example]()
    # Time moves when the parent says so.
    verifier._clock = clock
    verifier._jwks = JWKSFetcher(JWKSPolicy(allow_http_loopback=True), clock=clock)
    commands: dict[str, Callable[..., None]] = {"add": add, "advance": clock.advance}
    print(url, flush=True)
    for line in sys.stdin:
        command, what = json.loads(line)
        commands[command](**what)
        print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
