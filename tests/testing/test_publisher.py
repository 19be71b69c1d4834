"""What is answered over HTTP, whatever carries it."""

import json
from typing import Any

import httpx
import pytest

from private_key_jwt import ConfigurationError
from private_key_jwt.testing import RelyingParty
from private_key_jwt.testing._publisher import Answer, Publisher
from private_key_jwt.testing._tenant import Tenant

PATH = "/api/.well-known/portal-sso/acme/jwks.json"


@pytest.fixture
def publisher() -> Publisher:
    publisher = Publisher("https://rp.example/api/")
    publisher.tenants["acme"] = Tenant(
        "acme", "portal-acme", audience="https://op.example", clock=lambda: 0, base_url="https://rp.example/api/"
    )
    return publisher


def test_answers_with_the_key_set(publisher: Publisher) -> None:
    status, headers, body = publisher.answer("GET", PATH)
    assert status == 200
    assert headers == {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Cache-Control": "max-age=300",
    }
    assert json.loads(body) == publisher.document("acme")
    assert len(json.loads(body)["keys"]) == 1


@pytest.mark.parametrize("path", [PATH.replace("acme", "nobody"), PATH.replace("acme", "ac%6De")])
def test_a_slug_that_nobody_has_is_an_empty_set(publisher: Publisher, path: str) -> None:
    answer = publisher.answer("GET", path)
    assert (answer.status, json.loads(answer.body)) == (200, {"keys": []})


def test_a_query_changes_nothing(publisher: Publisher) -> None:
    assert publisher.answer("GET", f"{PATH}?x=1") == publisher.answer("GET", PATH)


@pytest.mark.parametrize(
    "path", ["/", PATH + "/", "/api" + PATH, PATH[4:], PATH.replace("acme", "a/b"), PATH.replace("acme", ""), "*"]
)
def test_another_path_is_not_found(publisher: Publisher, path: str) -> None:
    assert publisher.answer("GET", path).status == 404


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "BREW"])
def test_another_method_is_not_allowed(publisher: Publisher, method: str) -> None:
    answer = publisher.answer(method, PATH)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET")


def test_an_outage_is_a_status(publisher: Publisher) -> None:
    publisher.outage = 503
    answer: Answer = publisher.answer("GET", PATH)
    assert (answer.status, publisher.outage) == (503, 503)
    publisher.outage = None
    assert publisher.answer("GET", PATH).status == 200


@pytest.mark.parametrize("outage", [httpx.ConnectError, httpx.ReadTimeout("slow")])
def test_an_outage_is_an_error(publisher: Publisher, outage: Any) -> None:
    publisher.outage = outage
    kind = outage if isinstance(outage, type) else type(outage)
    with pytest.raises(kind):
        publisher.answer("GET", PATH)


@pytest.mark.parametrize("outage", [200, 302, 600, True, "503", OSError, OSError("x")])
def test_nothing_else_is_an_outage(publisher: Publisher, outage: Any) -> None:
    with pytest.raises(ValueError, match="outage"):
        publisher.outage = outage


def test_a_base_url_without_a_path(publisher: Publisher) -> None:
    publisher = Publisher("https://rp.example")
    assert publisher.base_path == ""
    assert publisher.answer("GET", PATH[4:]).status == 200


def test_a_base_url_that_may_not_be_fetched() -> None:
    with pytest.raises(ConfigurationError):
        RelyingParty(base_url="http://rp.example")
