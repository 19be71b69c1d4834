"""What is answered over HTTP, whatever carries it: the key sets, what is not found, and outages."""

import json
from typing import Any

import httpx
import pytest

from private_key_jwt import ConfigurationError
from private_key_jwt.testing import RelyingParty
from private_key_jwt.testing._exchange import Request, Response
from private_key_jwt.testing._publisher import Publisher
from private_key_jwt.testing._service import Service
from private_key_jwt.testing._tenant import Tenant

BASE_URL = "https://rp.example/api/"
PATH = "/api/.well-known/portal-sso/acme/jwks.json"


def tenant() -> Tenant:
    return Tenant("acme", "portal-acme", audience="https://op.example", clock=lambda: 0, base_url=BASE_URL)


@pytest.fixture
def publisher() -> Publisher:
    return Publisher(BASE_URL, {"acme": tenant()})


@pytest.fixture
def service(publisher: Publisher) -> Service:
    return Service([publisher.respond])


def test_answers_with_the_key_set(service: Service, publisher: Publisher) -> None:
    status, headers, body = service.respond(Request("GET", PATH))
    assert status == 200
    assert headers == {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Cache-Control": "max-age=300",
    }
    assert json.loads(body) == publisher.document("acme")
    assert len(json.loads(body)["keys"]) == 1


@pytest.mark.parametrize("path", [PATH.replace("acme", "nobody"), PATH.replace("acme", "ac%6De")])
def test_a_slug_that_nobody_has_is_an_empty_set(service: Service, path: str) -> None:
    response = service.respond(Request("GET", path))
    assert (response.status, json.loads(response.body)) == (200, {"keys": []})


def test_a_query_changes_nothing(service: Service) -> None:
    assert service.respond(Request("GET", f"{PATH}?x=1")) == service.respond(Request("GET", PATH))


@pytest.mark.parametrize(
    "path", ["/", PATH + "/", "/api" + PATH, PATH[4:], PATH.replace("acme", "a/b"), PATH.replace("acme", ""), "*"]
)
def test_another_path_is_not_found(service: Service, path: str) -> None:
    assert service.respond(Request("GET", path)).status == 404


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "BREW"])
def test_another_method_is_not_allowed(service: Service, method: str) -> None:
    response = service.respond(Request(method, PATH))
    assert (response.status, response.headers["Allow"]) == (405, "GET")


def test_an_outage_is_a_status(service: Service) -> None:
    service.outage = 503
    response: Response = service.respond(Request("GET", PATH))
    assert (response.status, service.outage) == (503, 503)
    service.outage = None
    assert service.respond(Request("GET", PATH)).status == 200


@pytest.mark.parametrize("outage", [httpx.ConnectError, httpx.ReadTimeout("slow")])
def test_an_outage_is_an_error(service: Service, outage: Any) -> None:
    service.outage = outage
    kind = outage if isinstance(outage, type) else type(outage)
    with pytest.raises(kind):
        service.respond(Request("GET", PATH))


@pytest.mark.parametrize("outage", [200, 302, 600, True, "503", OSError, OSError("x")])
def test_nothing_else_is_an_outage(service: Service, outage: Any) -> None:
    with pytest.raises(ValueError, match="outage"):
        service.outage = outage


def test_a_base_url_without_a_path() -> None:
    service = Service([Publisher("https://rp.example", {"acme": tenant()}).respond])
    assert service.respond(Request("GET", PATH[4:])).status == 200


def test_a_base_url_that_may_not_be_fetched() -> None:
    with pytest.raises(ConfigurationError):
        RelyingParty(base_url="http://rp.example")
