"""One table of requests and answers, over real HTTP, for every framework."""

from __future__ import annotations

import contextlib
import socket
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from integrations.apps import APPS
from integrations.scenarios import (
    ACCEPTED,
    INVALID_CLIENT,
    INVALID_REQUEST,
    MALFORMED,
    REFUSED,
    TEMPORARILY_UNAVAILABLE,
    MakeRequest,
    issued_to,
    token_request,
    wire,
)
from integrations.served import Served


@pytest.mark.parametrize("make", ACCEPTED.values(), ids=ACCEPTED)
def test_a_token_is_issued(served: Served, make: MakeRequest) -> None:
    tenant = served.usual
    assert wire(served.http.post(served.url, **make(tenant))) == issued_to(tenant.client_id)


def test_a_replay_is_refused(served: Served) -> None:
    tenant = served.usual
    assertion = tenant.assertion()
    assert served.post(assertion) == issued_to(tenant.client_id)
    assert served.post(assertion) == INVALID_CLIENT
    assert served.post(tenant.assertion()) == issued_to(tenant.client_id)


def test_a_new_key_works_at_once(served: Served) -> None:
    tenant = served.tenant()
    before = tenant.current_key
    assert served.post(tenant.assertion()).status == 200
    tenant.rotate()
    assert served.post(tenant.assertion()) == issued_to(tenant.client_id)
    assert served.post(tenant.assertion(key=before)) == issued_to(tenant.client_id)


def test_a_removed_key_is_refused_when_its_time_is_over(served: Served) -> None:
    tenant = served.tenant()
    assert served.post(tenant.assertion()).status == 200
    tenant.remove_keys()
    assert served.post(tenant.assertion()) == issued_to(tenant.client_id)
    served.provider.clock.advance(301)
    assert served.post(tenant.assertion()) == INVALID_CLIENT


def test_a_removed_client_is_refused_at_once(served: Served) -> None:
    tenant = served.tenant()
    assert served.post(tenant.assertion()).status == 200
    del served.provider.clients[tenant.client_id]
    assert served.post(tenant.assertion()) == INVALID_CLIENT


def test_an_outage_of_the_keys_is_no_fault_of_the_client(served: Served) -> None:
    tenant = served.tenant()
    served.party.outage = 500
    try:
        assert served.post(tenant.assertion()) == TEMPORARILY_UNAVAILABLE
    finally:
        served.party.outage = None
    assert served.post(tenant.assertion()) == issued_to(tenant.client_id)


@pytest.mark.parametrize("make", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_refused(served: Served, make: MakeRequest) -> None:
    assert wire(served.http.post(served.url, **make(served.usual))) == INVALID_REQUEST


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_who_is_not_authenticated_is_refused(served: Served, make: MakeRequest) -> None:
    assert wire(served.http.post(served.url, **make(served.usual))) == INVALID_CLIENT


def test_the_answer_tells_no_reason(served: Served) -> None:
    tenant = served.usual
    answers = {
        served.http.post(served.url, data=token_request(tenant.defective(name))).text
        for name in ("expired", "foreign_key", "kid_unknown", "aud_slash")
    }
    assert len(answers) == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_only_a_post_authenticates(served: Served, method: str) -> None:
    tenant = served.usual
    form = token_request(tenant.assertion())
    assert served.http.request(method, served.url, data=form).status_code in (400, 405)
    # It was not even used up.
    assert wire(served.http.post(served.url, data=form)) == issued_to(tenant.client_id)


def test_a_body_in_chunks_is_read_or_taken_as_none(served: Served) -> None:
    tenant = served.usual
    body = httpx.Request("POST", "http://x", data=token_request(tenant.assertion())).content
    chunks: Any = (body[i : i + 100] for i in range(0, len(body), 100))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = wire(served.http.post(served.url, content=chunks, headers=headers))
    assert answer in (issued_to(tenant.client_id), INVALID_CLIENT)


def test_a_body_in_chunks_is_bounded(served: Served) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    chunks: Any = (b"a" * 1_000 for _ in range(200))
    assert wire(served.http.post(served.url, content=chunks, headers=headers)) in (INVALID_REQUEST, INVALID_CLIENT)


# Under ASGI, Django itself takes the whole of a body to disk before there is a request.
@pytest.mark.parametrize("served", [app for app in APPS if app != "django async"], indirect=True)
def test_a_body_without_an_end_is_answered(served: Served) -> None:
    url = httpx.URL(served.url)
    head = f"POST {url.path} HTTP/1.1\r\nHost: {url.host}\r\nTransfer-Encoding: chunked\r\n"
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        connection.sendall(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\n".encode())
        with contextlib.suppress(OSError):  # it need not read what it does not want
            connection.sendall((b"3e8\r\n" + b"a" * 1_000 + b"\r\n") * 80)
        assert connection.recv(100).split(b" ")[1] in (b"400", b"401")


# The other servers end every connection.
@pytest.mark.parametrize("served", ["starlette", "fastapi", "django async", "asgi"], indirect=True)
def test_a_connection_is_kept_alive_after_an_error(served: Served) -> None:
    tenant = served.usual
    url = httpx.URL(served.url)
    with contextlib.closing(HTTPConnection(url.host, url.port, timeout=10)) as connection:
        connection.connect()
        port = connection.sock.getsockname()
        for assertion, status in (("x", 401), ("", 400), (tenant.assertion(), 200), ("y", 401)):
            body = urlencode(token_request(assertion))
            connection.request("POST", url.path, body, {"Content-Type": "application/x-www-form-urlencoded"})
            response = connection.getresponse()
            assert (response.status, bool(response.read())) == (status, True)
            assert connection.sock is not None
            assert connection.sock.getsockname() == port
