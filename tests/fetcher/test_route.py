"""How a client gets to a URL: only what is recognized is exempt, also when httpx changes inside."""

from __future__ import annotations

from typing import Any

import httpcore
import httpx
import pytest

from edges import Edge
from private_key_jwt.fetcher._route import DIRECT, Route, Way, find_way

URL = httpx.URL("https://op.example/jwks.json")


def transport(edge: Edge, **settings: Any) -> Any:
    return {"sync": httpx.HTTPTransport, "async": httpx.AsyncHTTPTransport}[edge.name](**settings)


def test_a_client_of_our_own_and_a_plain_one_of_the_users_are_direct(edge: Edge) -> None:
    assert find_way(None, URL) is DIRECT
    assert find_way(edge.http_client(), URL) == Way(Route.DIRECT)
    assert find_way(edge.http_client(http2=True), URL) == Way(Route.DIRECT)


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
@pytest.mark.parametrize("host", ["proxy.example", "10.0.0.1", "[fd00::1]"])
def test_a_proxy_is_known_by_its_host_and_port(edge: Edge, scheme: str, host: str) -> None:
    expected = Way(Route.PROXY, (host.strip("[]"), 3_128))
    assert find_way(edge.http_client(proxy=f"{scheme}://user:secret@{host}:3128"), URL) == expected
    mounts = {"all://op.example": transport(edge, proxy=f"{scheme}://{host}:3128"), "all://other.example": None}
    client = edge.http_client(mounts=mounts)
    assert find_way(client, URL) == expected
    assert find_way(client, httpx.URL("https://other.example/")) == DIRECT


def test_a_socket_in_the_file_system_is_known(edge: Edge) -> None:
    assert find_way(edge.http_client(transport=transport(edge, uds="/run/socket")), URL).route is Route.SOCKET


def test_what_answers_from_memory_is_known_or_says_so(edge: Edge) -> None:
    class InProcess(httpx.BaseTransport, httpx.AsyncBaseTransport):
        in_process = True

    def application(*_args: Any) -> Any:
        raise NotImplementedError

    for each in (
        httpx.MockTransport(application),
        httpx.ASGITransport(application) if edge.name == "async" else httpx.WSGITransport(application),
        InProcess(),
    ):
        assert find_way(edge.http_client(transport=each), URL).route is Route.MEMORY


@pytest.mark.parametrize("value", [False, None, 1, "yes"])
def test_a_mark_that_is_not_true_is_none(edge: Edge, value: object) -> None:
    class Marked(httpx.BaseTransport, httpx.AsyncBaseTransport):
        in_process = value

    assert find_way(edge.http_client(transport=Marked()), URL).route is Route.UNKNOWN


def test_a_subclass_of_what_is_known_is_not(edge: Edge) -> None:
    class Transport(type(transport(edge))):  # type: ignore[misc]
        pass

    class Pool(type(transport(edge)._pool)):  # type: ignore[misc]
        pass

    class Proxy({"sync": httpcore.HTTPProxy, "async": httpcore.AsyncHTTPProxy}[edge.name]):  # type: ignore[misc]
        pass

    assert find_way(edge.http_client(transport=Transport()), URL).route is Route.UNKNOWN
    assert find_way(edge.http_client(transport=Transport(proxy="http://10.0.0.1")), URL).route is Route.UNKNOWN
    for pool in (Pool(), Proxy("http://10.0.0.1")):
        subject = transport(edge)
        subject._pool = pool
        assert find_way(edge.http_client(transport=subject), URL).route is Route.UNKNOWN


@pytest.mark.parametrize("missing", ["_transport_for_url", "_pool", "_uds", "_network_backend", "_proxy_url"])
def test_what_httpx_should_hide_in_future_is_not_exempt(
    edge: Edge, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = transport(edge, proxy="http://10.0.0.1") if missing == "_proxy_url" else transport(edge)
    client = edge.http_client(transport=subject)
    if missing == "_transport_for_url":
        monkeypatch.setattr(type(client), missing, None)
    elif missing == "_pool":
        monkeypatch.setattr(subject, missing, object())
    else:
        monkeypatch.delattr(subject._pool, missing)
    assert find_way(client, URL).route is Route.UNKNOWN
    monkeypatch.undo()


def test_a_resolver_of_the_users_is_left_to_look_names_up(edge: Edge) -> None:
    """It may know names that the platform does not; the peer is judged."""

    class Backend({"sync": httpcore.SyncBackend, "async": httpcore.AnyIOBackend}[edge.name]):  # type: ignore[misc]
        pass

    subject = transport(edge)
    subject._pool._network_backend = Backend()
    assert find_way(edge.http_client(transport=subject), URL).route is Route.UNKNOWN


def test_a_pool_that_is_given_a_proxy_is_not_direct(edge: Edge) -> None:
    """httpcore's plain pools take one, too; httpx uses the proxy pools."""
    subject = transport(edge)
    subject._pool._proxy = httpcore.Proxy("http://10.0.0.1:3128")
    assert find_way(edge.http_client(transport=subject), URL).route is Route.UNKNOWN
