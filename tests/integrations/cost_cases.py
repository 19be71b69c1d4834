"""What whole requests cost that a stranger makes up, in the process that serves them.

Where a framework parses a request, the library must have bounded it before.
"""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple
from urllib.parse import urlencode

from integrations.scenarios import FORM, token_request
from integrations.timing import least, least_of_each, rsa_verification, verifications

ROUNDS = 4
LARGE = 60_000  # bytes
ALLOWED = 100  # RSA verifications, beside what a request costs that is as short as can be
RETRIES = 20  # for what costs nearly as much as is allowed, on a machine that does something else beside
FLOOR = 0.001  # seconds: below it a database and a framework are measured

PIECES = {
    "pairs": b"a=&",
    "separators": b"&",
    "signs": b"=",
    "escapes": b"%41",
    "escapes of two bytes": b"%C3%A9",
    "literal percents": b"%",
    "broken escapes": b"%zz",
    "plus": b"+",
    "backslashes": b"\\",
    "letters": b"a",
    "quotes": b'"',
    "brackets": b"[",
    "semicolons": b"a=;",
    "pairs of escapes": b"%61" * 39 + b"=" + b"%41" * 39 + b"&",  # 60 kB of it are 255 pairs
    "no UTF-8": b"\xff",
}
_PART = b'--x\r\nContent-Disposition: form-data; name="a"'
# A multipart body: what comes before a piece that is repeated, the piece, and what comes after it.
MULTIPART = {
    "parts": (b"", _PART + b"\r\n\r\n\r\n", b"--x--\r\n"),
    "header fields": (b"--x\r\n", b"a: b\r\n", b"\r\n--x--\r\n"),
    "beginnings of boundaries": (_PART + b"\r\n\r\n", b"\r\n--", b"\r\n--x--\r\n"),
    "parameters": (_PART, b";a=b", b"\r\n\r\n\r\n--x--\r\n"),
    "encoded parameters": (_PART, b";a*0*=utf-8''%41", b"\r\n\r\n\r\n--x--\r\n"),
    "escaped quotes": (_PART[:-1], b'\\"', b'"\r\n\r\n\r\n--x--\r\n'),
    "line breaks": (b"", b"\r\n", b"--x--\r\n"),
    "a file": (_PART + b'; filename="f"\r\n\r\n', b"\r\n--", b"\r\n--x--\r\n"),
}
_ASSERTION = urlencode(token_request("a.b.c")).encode() + b"&"


class Sent(NamedTuple):
    """A request."""

    query: bytes = b""
    body: bytes = b"a=b"
    content_type: str = FORM


Call = Callable[[Sent], int]
"""Make a request, and give the status of its response."""


def _fill(piece: bytes, size: int) -> bytes:
    return (piece * (size // len(piece) + 1))[:size]


def bounded() -> Iterator[tuple[str, Sent]]:
    """What a bound for bytes alone lets in, and is dear to parse for its structure."""
    for name, piece in {"boundaries": b"--x", "empty parts": b"--x\r\n", "parts": _PART + b"\r\n\r\n\r\n"}.items():
        body = _fill(piece, 4_086) + b"--x--\r\n"
        yield f"4 KiB of {name}", Sent(body=body, content_type="multipart/form-data; boundary=x")
    yield "4 KiB of JSON", Sent(body=b'{"a":""' + b',"b":""' * 580 + b"}", content_type="application/json")
    for count in (15, 30, 60, 120, 250):
        pairs = b"&".join(b"%s%d=%s" % (b"%2F" * (500 // count), number, b"x" * 80) for number in range(count))
        query = b"&".join(b"%%2F%d=xxxxxxxx" % number for number in range(count))
        yield f"{count} parameters", Sent(body=b"token=x&" + pairs)
        yield f"{count} parameters, and more in the URL", Sent(body=b"token=x&" + pairs, query=query)


def requests(size: int) -> Iterator[tuple[str, Sent]]:
    """Everything that is made up, of so many bytes."""
    for name, piece in PIECES.items():
        filled = _fill(piece, size)
        yield f"a query of {name}", Sent(query=filled)
        yield f"a short query of {name}", Sent(query=filled[: size * 4_000 // LARGE])
        yield f"a form of {name}", Sent(body=filled)
        yield f"a form with an assertion and {name}", Sent(body=_ASSERTION + filled)
        for content_type in ("text/plain", "application/json"):
            yield f"{content_type} of {name}", Sent(body=filled, content_type=content_type)
    for name, (before, piece, after) in MULTIPART.items():
        body = before + _fill(piece, size) + after
        yield f"multipart of {name}", Sent(body=body, content_type="multipart/form-data; boundary=x")


def _seconds(call: Call, sent: Sent, rounds: int = ROUNDS) -> float:
    def send() -> None:
        assert call(sent) < 500

    return least(send, rounds)


def _grows_linearly(call: Call, sent: Sent, half: Sent, empty: Sent) -> bool:
    """Measure in one breath: a machine that does something else beside, or runs slower for a while, changes each."""
    whole, part, plain = least_of_each(*(partial(call, each) for each in (sent, half, empty)), rounds=10 * ROUNDS)
    return whole - plain <= 2.5 * max(part - plain, FLOOR)


def check(call: Call) -> None:
    """Assert what each request may cost: so many RSA verifications, and for twice the bytes two and a half times."""
    call(Sent())
    empty, token = Sent(), Sent(body=b"token=x")  # for the latter a database is asked
    plain, with_token = _seconds(call, empty, 10 * ROUNDS), _seconds(call, token, 10 * ROUNDS)
    unit = rsa_verification()

    def cost(sent: Sent, short: Sent, seconds: float) -> float:
        """In RSA verifications; again in one breath with them, if that is too much."""
        found = (_seconds(call, sent) - seconds) / unit
        for _ in range(RETRIES):
            if found <= ALLOWED:
                break
            # A machine that does something else beside, or runs slower for a while, changes each of the three.
            found = min(found, verifications(partial(call, sent), partial(call, short), 5 * ROUNDS))
        return found

    for name, sent in bounded():
        found = cost(sent, token, with_token)
        assert found <= ALLOWED, (name, found)
    half, whole = dict(requests(LARGE // 2)), dict(requests(LARGE))
    for name, sent in whole.items():
        found = cost(sent, empty, plain)
        assert found <= ALLOWED, (name, found)
        if _seconds(call, sent) - plain > 2.5 * max(_seconds(call, half[name]) - plain, FLOOR):
            assert any(_grows_linearly(call, sent, half[name], empty) for _ in range(RETRIES)), name


def wsgi(application: Any, path: str, method: str = "POST") -> Call:
    """Make requests of a WSGI application."""

    def call(sent: Sent) -> int:
        environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": sent.query.decode("latin-1"),
            "CONTENT_TYPE": sent.content_type,
            "CONTENT_LENGTH": str(len(sent.body)),
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "127.0.0.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(sent.body),
            "wsgi.errors": io.StringIO(),
        }
        statuses: list[str] = []
        response = application(environ, lambda status, _headers, _error=None: statuses.append(status))
        b"".join(response)
        response.close()
        return int(statuses[0][:3])

    return call


def asgi(application: Any, path: str, runner: asyncio.Runner) -> Call:
    """Make requests of an ASGI application, on an event loop that waits for nothing."""

    def call(sent: Sent) -> int:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": sent.query,
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1"), (b"content-type", sent.content_type.encode())],
        }
        statuses: list[int] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": sent.body}

        async def send(message: Any) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        runner.run(application(scope, receive, send))
        return statuses[0]

    return call


# In the process of an authorization server:


def authlib_flask() -> None:
    server = import_module("authlib_flask.app")
    server.app.add_url_rule("/token", endpoint="more", methods=["GET", "PUT"], view_func=server.token)
    for path, method in (("/token", "POST"), ("/revoke", "POST"), ("/token", "GET"), ("/token", "PUT")):
        check(wsgi(server.app, path, method))


def django() -> None:
    from django.core.wsgi import get_wsgi_application

    paths = {
        "authlib_django.settings": ("/token", "/revoke"),
        "oauth_toolkit.settings": ("/o/token/", "/o/revoke_token/", "/o/introspect/", "/o/device-authorization/"),
    }
    for path in paths[os.environ["DJANGO_SETTINGS_MODULE"]]:
        check(wsgi(get_wsgi_application(), path))
