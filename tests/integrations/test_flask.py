"""What Flask makes of the decorator, beyond the table of all frameworks."""

from __future__ import annotations

import io
from typing import Any, ClassVar
from urllib.parse import urlencode

import httpx
import pytest
from flask import Flask, Response, request
from flask.views import MethodView

from integrations.apps import Provider
from integrations.scenarios import FORM, INVALID_CLIENT, INVALID_REQUEST, token_request, wire
from private_key_jwt import AuthenticationError, ClientAssertionVerifier, ConfigurationError, Reason
from private_key_jwt.integrations.flask import authenticate, client_authentication, error_response
from private_key_jwt.testing import Tenant


@pytest.fixture
def verifier(provider: Provider) -> ClientAssertionVerifier:
    return provider.verifier()


def post(app: Flask, **settings: Any) -> httpx.Response:
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://op.example.com") as http:
        return http.post("/token", **settings)


def an_app(verifier: ClientAssertionVerifier, **settings: Any) -> Flask:
    app = Flask("op")

    @app.post("/token")
    @client_authentication(verifier, **settings)
    def token(client: Any) -> Any:
        return {"client": client and client.client_id, "form": sorted(request.form)}

    return app


def test_where_an_assertion_is_optional_the_others_have_their_turn(
    verifier: ClientAssertionVerifier, tenant: Tenant
) -> None:
    app = an_app(verifier, optional=True)
    secret = {"client_id": "c", "client_secret": "s"}
    assert post(app, data=secret).json() == {"client": None, "form": ["client_id", "client_secret"]}
    assert post(app, headers={"Authorization": "Basic x"}).json()["client"] is None
    answer = post(app, data=token_request(tenant.assertion())).json()
    assert answer == {
        "client": tenant.client_id,
        "form": ["client_assertion", "client_assertion_type", "grant_type"],
    }
    # What is there must be right.
    assert wire(post(app, data=token_request("a.b.c"))) == INVALID_CLIENT
    assert wire(post(app, data=token_request(tenant.assertion(), client_secret="s"))) == INVALID_REQUEST


def test_a_body_that_was_cut_off_is_refused_behind_a_server_that_ends_it(
    verifier: ClientAssertionVerifier, provider: Provider, tenant: Tenant
) -> None:
    """Such as gunicorn: Werkzeug then takes what comes."""
    form = urlencode(token_request(tenant.assertion(), scope="read write")).encode()
    http = an_app(verifier).test_client()
    for sent, status in ((form[:-6], 400), (form, 200)):
        ends = {"wsgi.input": io.BytesIO(sent), "wsgi.input_terminated": True, "CONTENT_LENGTH": str(len(form))}
        assert http.post("/token", content_type=FORM, environ_overrides=ends).status_code == status
    assert provider.refusals() == [Reason.INVALID_REQUEST]


def test_a_form_that_was_read_before_is_read(
    verifier: ClientAssertionVerifier, provider: Provider, tenant: Tenant
) -> None:
    app = an_app(verifier)
    seen: list[int] = []
    app.before_request(lambda: seen.append(len(request.form)))
    assert post(app, data=token_request(tenant.assertion())).json()["client"] == tenant.client_id
    assert wire(post(app, data=token_request(tenant.assertion(), client_id="other"))) == INVALID_CLIENT
    files = {name: (None, value) for name, value in token_request(tenant.assertion()).items()}
    provider.refusals()
    assert wire(post(app, files=files)) == INVALID_REQUEST
    assert provider.refusals() == [Reason.INVALID_REQUEST]
    assert seen == [3, 4, 3]


def test_a_lower_limit_of_the_application_goes_first(verifier: ClientAssertionVerifier, tenant: Tenant) -> None:
    app = an_app(verifier, max_body=5_000)
    form = token_request(tenant.assertion(), scope="x" * 2_000)
    for lower in (None, 10_000):
        app.config["MAX_CONTENT_LENGTH"] = lower
        assert post(app, data=form | {"client_assertion": tenant.assertion()}).status_code == 200
    app.config["MAX_CONTENT_LENGTH"] = 1_000
    assert wire(post(app, data=form)) == INVALID_REQUEST


def test_an_async_view_is_run(verifier: ClientAssertionVerifier, tenant: Tenant) -> None:
    app = Flask("op")

    @app.post("/token")
    @client_authentication(verifier)
    async def token(client: Any) -> str:
        return str(client.client_id)

    assert post(app, data=token_request(tenant.assertion())).text == tenant.client_id


def test_a_view_of_a_class_and_a_rule_with_variables_are_served(
    verifier: ClientAssertionVerifier, tenant: Tenant
) -> None:
    class Token(MethodView):
        decorators: ClassVar = [client_authentication(verifier)]

        def post(self, client: Any, realm: str) -> list[str]:
            return [client.client_id, realm]

    app = Flask("op")
    app.add_url_rule("/<realm>", view_func=Token.as_view("token"))
    assert post(app, data=token_request(tenant.assertion())).json() == [tenant.client_id, "token"]
    assert wire(post(app)) == INVALID_CLIENT


def test_one_call_in_a_view_does_it_too(verifier: ClientAssertionVerifier, tenant: Tenant) -> None:
    app = Flask("op")

    @app.post("/token")
    def token() -> Any:
        try:
            client = authenticate(verifier, request, optional=True)
        except AuthenticationError as error:
            return error_response(error)
        return Response(client.client_id if client else "nobody")

    assert post(app, data=token_request(tenant.assertion())).text == tenant.client_id
    assert post(app).text == "nobody"
    assert wire(post(app, data=token_request("x"))) == INVALID_CLIENT


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"verifier": None}, "verifier must be an instance of ClientAssertionVerifier, not NoneType"),
        ({"optional": "yes"}, "optional"),
        ({"max_body": 0}, "max_body"),
    ],
)
def test_a_wrong_setting_is_named(verifier: ClientAssertionVerifier, settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        client_authentication(**{"verifier": verifier} | settings)


class Gone(io.BytesIO):
    """A body whose client goes away."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise ConnectionResetError("secret")


def test_a_client_that_goes_away_is_refused(verifier: ClientAssertionVerifier, provider: Provider) -> None:
    environ = {"CONTENT_LENGTH": "100", "wsgi.input": Gone()}
    answer = an_app(verifier).test_client().post("/token", content_type=FORM, environ_overrides=environ)
    assert answer.status_code == 400
    assert provider.refusals() == [Reason.INVALID_REQUEST]
    assert "secret" not in answer.text
