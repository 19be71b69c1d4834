"""What goes over the wire, the same for every framework: requests, and the answers they must get (RFC 6749 §5.2)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import httpx

from private_key_jwt.testing import Tenant

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FORM = "application/x-www-form-urlencoded"


class Wire(NamedTuple):
    """An answer: its status, JSON body, and every header field that has a say in client authentication or caching."""

    status: int
    headers: dict[str, str]
    body: dict[str, str]


_FIELDS = ("content-type", "cache-control", "pragma", "www-authenticate", "retry-after")
_ERROR = {"content-type": "application/json", "cache-control": "no-store", "pragma": "no-cache"}

INVALID_CLIENT = Wire(
    401,
    {**_ERROR, "www-authenticate": 'PrivateKeyJWT error="invalid_client"'},
    {"error": "invalid_client", "error_description": "Client authentication failed."},
)
INVALID_REQUEST = Wire(
    400,
    _ERROR,
    {
        "error": "invalid_request",
        "error_description": "The client authentication parameters of the request are malformed.",
    },
)
INVALID_CLIENT_TRIED_BASIC = INVALID_CLIENT._replace(
    headers={**_ERROR, "www-authenticate": 'PrivateKeyJWT error="invalid_client", Basic realm="token"'}
)
TEMPORARILY_UNAVAILABLE = Wire(
    503,
    {**_ERROR, "retry-after": "5"},
    {
        "error": "temporarily_unavailable",
        "error_description": "Client authentication is temporarily unavailable.",
    },
)


def issued_to(client_id: str) -> Wire:
    """The answer of the examples to a client that was authenticated."""
    return Wire(
        200,
        {"content-type": "application/json", "cache-control": "no-store"},
        {"access_token": f"for {client_id}", "token_type": "Bearer"},
    )


def send_cut_off(url: str, form: dict[str, str]) -> None:
    """Send a token request without its last six bytes, and nothing more; wait for the server to be done with it."""
    body, target = urlencode(form).encode(), urlsplit(url)
    head = f"POST {target.path} HTTP/1.1\r\nHost: {target.netloc}\r\nContent-Type: {FORM}\r\nConnection: close\r\n"
    with socket.create_connection((str(target.hostname), target.port or 80), timeout=10) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-6])
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass


def wire(response: httpx.Response) -> Wire:
    """What came, in the shape of the table."""
    headers = {name: response.headers[name] for name in _FIELDS if name in response.headers}
    return Wire(response.status_code, headers, response.json())


def token_request(assertion: str, **parameters: str) -> dict[str, str]:
    """The form of a token request."""
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
        **parameters,
    }


# A request: arguments of httpx.Client.post.
Request = dict[str, Any]
MakeRequest = Callable[[Tenant], Request]


def _body(content: bytes | Iterator[bytes], content_type: str | None = FORM) -> Request:
    return {"content": content, "headers": {} if content_type is None else {"Content-Type": content_type}}


def _encoded(tenant: Tenant, **parameters: str) -> bytes:
    return urlencode(token_request(tenant.assertion(), **parameters)).encode()


def _without(tenant: Tenant, name: str) -> Request:
    form = token_request(tenant.assertion())
    del form[name]
    return {"data": form}


# Each of these holds a good assertion, in a request that is wrong around it.
MALFORMED: dict[str, MakeRequest] = {
    "no type": lambda tenant: _without(tenant, "client_assertion_type"),
    "another type": lambda tenant: {"data": token_request(tenant.assertion(), client_assertion_type="saml")},
    "no assertion": lambda tenant: _without(tenant, "client_assertion"),
    "two assertions": lambda tenant: _body(_encoded(tenant) + b"&client_assertion=a.b.c"),
    "two client_ids": lambda tenant: _body(_encoded(tenant) + b"&client_id=a&client_id=a"),
    "assertion in the query": lambda tenant: {"params": token_request(tenant.assertion())},
    "assertion in the query, and in the body": lambda tenant: {
        "params": {"client_assertion": "x"},
        "data": token_request(tenant.assertion()),
    },
    "encoded name in the query": lambda tenant: {
        "params": b"a=b&client%5Fassertion=x",
        "data": token_request(tenant.assertion()),
    },
    "secret in the query": lambda tenant: {
        "params": {"client_secret": "s"},
        "data": token_request(tenant.assertion()),
    },
    "Authorization beside": lambda tenant: {
        "data": token_request(tenant.assertion()),
        "headers": {"Authorization": "Basic eDp5"},
    },
    "two Authorization beside": lambda tenant: {
        "data": token_request(tenant.assertion()),
        "headers": [("Authorization", "Basic eDp5"), ("Authorization", "Bearer x")],
    },
    "secret beside": lambda tenant: {"data": token_request(tenant.assertion(), client_secret="s")},
    "invalid UTF-8": lambda tenant: _body(_encoded(tenant) + b"&scope=\xff\xfe"),
    "invalid UTF-8, encoded": lambda tenant: _body(_encoded(tenant) + b"&scope=%ff%fe"),
    "no UTF-8 in a charset that holds ASCII": lambda tenant: _body(
        _encoded(tenant) + b"&scope=%E9", f"{FORM}; charset=ISO-8859-1"
    ),
    "a query of 10,000 parameters": lambda tenant: {
        "params": b"a=&" * 10_000,
        "data": token_request(tenant.assertion()),
    },
    "10,000 parameters": lambda tenant: _body(_encoded(tenant) + b"&a=" * 10_000),
    "too large": lambda tenant: _body(_encoded(tenant, scope="x" * 70_000)),
    "JSON": lambda tenant: {"json": token_request(tenant.assertion())},
    "JSON without a content type": lambda tenant: _body(b'{"client_assertion": "a.b.c"}', None),
    "multipart": lambda tenant: {
        "files": {name: (None, value) for name, value in token_request(tenant.assertion()).items()}
    },
    "a broken multipart": lambda tenant: _body(b"--x\r\nContent-Disp", "multipart/form-data; boundary=x"),
    "a file": lambda tenant: {"files": {"client_assertion": ("a.txt", b"a.b.c")}},
    "no content type": lambda tenant: _body(_encoded(tenant), None),
    "text": lambda tenant: _body(_encoded(tenant), "text/plain"),
    "another charset": lambda tenant: _body(_encoded(tenant), f"{FORM}; charset=utf-16"),
    "an odd charset": lambda tenant: _body(_encoded(tenant), f"{FORM}; charset=no-such"),
}

# Each of these has no assertion.
MISSING: dict[str, MakeRequest] = {
    "nothing at all": lambda tenant: {},
    "a form without an assertion": lambda tenant: {"data": {"grant_type": "client_credentials"}},
    "an empty body": lambda tenant: _body(b""),
    "an empty body of no type": lambda tenant: _body(b"", None),
    "a secret": lambda tenant: {"data": {"client_id": tenant.client_id, "client_secret": "s"}},
    "both parameters without a value": lambda tenant: _body(b"client_assertion=&client_assertion_type&client_id=x"),
    "percent-encoded nonsense": lambda tenant: _body(b"%%%=%zz&%=%&&&=&client_assertio%6=1"),
}

# Each of these authenticates nobody.
REFUSED: dict[str, MakeRequest] = {
    "an assertion of nonsense": lambda tenant: {"data": token_request("\x00\U0001f600" * 100)},
    "a large assertion": lambda tenant: {"data": token_request("a" * 20_000)},
    "an expired assertion": lambda tenant: {"data": token_request(tenant.defective("expired"))},
    "a foreign key": lambda tenant: {"data": token_request(tenant.defective("foreign_key"))},
    "another client_id": lambda tenant: {"data": token_request(tenant.assertion(), client_id="other")},
}

# Each of these is unusual, and right.
ACCEPTED: dict[str, MakeRequest] = {
    "plain": lambda tenant: {"data": token_request(tenant.assertion())},
    "with client_id": lambda tenant: {"data": token_request(tenant.assertion(), client_id=tenant.client_id)},
    "with a charset": lambda tenant: _body(_encoded(tenant), f"{FORM}; charset=UTF-8"),
    "in a charset that holds ASCII": lambda tenant: _body(_encoded(tenant), f"{FORM}; charset=ISO-8859-1"),
    "in a charset that holds ASCII, and not ASCII": lambda tenant: _body(
        _encoded(tenant, state="é"), f'{FORM}; charset="windows-1252"'
    ),
    "parameters without a value": lambda tenant: _body(
        b"client_secret=&client_id&client_assertion=&" + _encoded(tenant) + b"&client_assertion_type"
    ),
    "parameters without a value in the query": lambda tenant: {
        "params": "client_secret=&client_id",
        "data": token_request(tenant.assertion()),
    },
    "another case": lambda tenant: _body(_encoded(tenant), "Application/X-WWW-Form-URLEncoded"),
    "every letter encoded": lambda tenant: _body(
        _encoded(tenant).replace(b"client_assertion=", b"client%5Fasserti%6Fn=")
    ),
    "a repeated resource": lambda tenant: {
        "data": token_request(tenant.assertion()) | {"resource": ["https://a", "https://b"]}
    },
    "another query": lambda tenant: {"params": {"tenant": "a"}, "data": token_request(tenant.assertion())},
    "odd parameters": lambda tenant: _body(_encoded(tenant) + "&scope=%zz&=&&x&näme=✓".encode()),
    "a body of 60 KB": lambda tenant: _body(_encoded(tenant, scope="x" * 60_000)),
}
