"""One table of requests and answers, over real HTTP, for every framework."""

from __future__ import annotations

import contextlib
import socket
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from examples import wsgi_app
from integrations import werkzeug_server
from integrations.apps import APPS, Provider
from integrations.scenarios import (
    ACCEPTED,
    FORM,
    INVALID_CLIENT,
    INVALID_CLIENT_TRIED_BASIC,
    INVALID_REQUEST,
    MALFORMED,
    MISSING,
    REFUSED,
    TEMPORARILY_UNAVAILABLE,
    MakeRequest,
    issued_to,
    send_cut_off,
    token_request,
    wire,
)
from integrations.served import Served
from private_key_jwt import Reason
from private_key_jwt.testing import Tenant


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
def test_a_malformed_request_is_refused_with_one_event(served: Served, make: MakeRequest) -> None:
    served.provider.refusals()
    assert wire(served.http.post(served.url, **make(served.usual))) == INVALID_REQUEST
    assert served.provider.refusals() == [Reason.INVALID_REQUEST]


@pytest.mark.parametrize("make", MISSING.values(), ids=MISSING)
def test_a_request_without_an_assertion_is_refused_with_one_event(served: Served, make: MakeRequest) -> None:
    served.provider.refusals()
    assert wire(served.http.post(served.url, **make(served.usual))) == INVALID_CLIENT
    assert served.provider.refusals() == [Reason.MISSING_ASSERTION]


def test_a_client_that_tried_another_scheme_is_challenged_for_it(served: Served) -> None:
    served.provider.refusals()
    basic = {"Authorization": "Basic eDp5"}
    assert wire(served.http.post(served.url, headers=basic)) == INVALID_CLIENT_TRIED_BASIC
    # What is no scheme is repeated to nobody.
    assert wire(served.http.post(served.url, headers={"Authorization": '"a", b'})) == INVALID_CLIENT
    assert served.provider.refusals() == [Reason.MISSING_ASSERTION] * 2


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_who_is_not_authenticated_is_refused_with_one_event(served: Served, make: MakeRequest) -> None:
    served.provider.refusals()
    assert wire(served.http.post(served.url, **make(served.usual))) == INVALID_CLIENT
    assert len(served.provider.refusals()) == 1


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


def test_a_body_that_was_cut_off_uses_up_no_assertion(served: Served) -> None:
    """What is left of it is a form as well, that asks for less."""
    tenant = served.usual
    form = token_request(tenant.assertion(), scope="read write")
    send_cut_off(served.url, form)
    assert wire(served.http.post(served.url, data=form)) == issued_to(tenant.client_id)


# Under WSGI a body in chunks has an end only where the server says so, and Django reads none even then.
HAND_ON_NO_CHUNKS = ("django", "wsgi")


def in_chunks(content: bytes, size: int) -> Any:
    return (content[start : start + size] for start in range(0, len(content), size))


def test_a_body_in_chunks_is_read_where_the_server_hands_it_on(served: Served) -> None:
    tenant = served.usual
    body = httpx.Request("POST", "http://x", data=token_request(tenant.assertion())).content
    served.provider.refusals()
    answer = wire(served.http.post(served.url, content=in_chunks(body, 100), headers={"Content-Type": FORM}))
    if served.app in HAND_ON_NO_CHUNKS:
        assert answer == INVALID_REQUEST
        assert served.provider.refusals() == [Reason.INVALID_REQUEST]
    else:
        assert answer == issued_to(tenant.client_id)


def test_a_body_in_chunks_is_bounded(served: Served) -> None:
    body = in_chunks(b"a" * 200_000, 1_000)
    assert wire(served.http.post(served.url, content=body, headers={"Content-Type": FORM})) == INVALID_REQUEST


def test_plain_wsgi_reads_a_body_in_chunks_from_a_server_that_ends_it(provider: Provider, tenant: Tenant) -> None:
    body = httpx.Request("POST", "http://x", data=token_request(tenant.assertion())).content
    with werkzeug_server.serve(wsgi_app.create_app(provider.verifier())) as url:
        with httpx.Client(trust_env=False) as http:
            answer = http.post(url, content=in_chunks(body, 100), headers={"Content-Type": FORM})
    assert wire(answer) == issued_to(tenant.client_id)


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
