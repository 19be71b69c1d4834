"""The publisher behind httpx."""

import asyncio

import httpx
import pytest

from private_key_jwt import ledgerbee
from private_key_jwt.testing import RelyingParty

URL = ledgerbee.jwks_uri("acme")


def test_serves_a_sync_client(relying_party: RelyingParty) -> None:
    relying_party.tenant()
    with httpx.Client(transport=relying_party.transport) as http:
        response = http.get(URL)
    assert response.json() == relying_party.document("acme")
    assert response.headers["cache-control"] == "max-age=300"


def test_serves_an_async_client(relying_party: RelyingParty) -> None:
    relying_party.tenant()

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=relying_party.transport) as http:
            return await http.get(URL)

    assert asyncio.run(get()).json() == relying_party.document("acme")


def test_answers_on_any_host(relying_party: RelyingParty) -> None:
    relying_party.tenant()
    with httpx.Client(transport=relying_party.transport) as http:
        assert http.get(URL.replace("api.ledgerbee.com", "rp.example")).json()["keys"]
        assert http.get("https://api.ledgerbee.com/").status_code == 404


def test_answers_with_a_raw_stream(relying_party: RelyingParty) -> None:
    with httpx.Client(transport=relying_party.transport) as http, http.stream("GET", URL) as response:
        assert not response.is_stream_consumed
        assert b"".join(response.iter_raw()) == b'{"keys":[]}'


def test_answers_with_a_raw_async_stream(relying_party: RelyingParty) -> None:
    async def read() -> bytes:
        transport = relying_party.transport
        async with httpx.AsyncClient(transport=transport) as http, http.stream("GET", URL) as response:
            return b"".join([chunk async for chunk in response.aiter_raw()])

    assert asyncio.run(read()) == b'{"keys":[]}'


def test_a_transport_counts_each_request_until_it_is_reset(relying_party: RelyingParty) -> None:
    transport = relying_party.transport
    with httpx.Client(transport=transport) as http:
        http.get(URL, headers={"X-Test": "1"})
        http.post(URL)
    with httpx.Client(transport=transport) as http:
        relying_party.outage = httpx.ConnectError
        with pytest.raises(httpx.ConnectError):
            http.get(URL)
    assert transport.count == 3
    assert [request.method for request in transport.requests] == ["GET", "POST", "GET"]
    assert transport.requests[0].headers["x-test"] == "1"
    transport.reset()
    assert (transport.count, transport.requests) == (0, [])
