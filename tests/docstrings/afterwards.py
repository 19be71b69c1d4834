"""What becomes of an example that only defines something: a function or a class of it is put to use."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from importlib import import_module
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from django.core.management import call_command
from django.test import RequestFactory, override_settings
from django.urls.resolvers import RegexPattern, URLResolver
from starlette.applications import Starlette
from starlette.routing import Route

from docstrings.example import Example
from docstrings.names import ISSUER, Calls, Names
from private_key_jwt import AsyncClientAssertionVerifier, ClientAssertionVerifier, InvalidClient, Reason
from private_key_jwt.integrations import flask as in_flask


def _counts_refusals(example: Example) -> None:
    names, verifier = example.names, example.made["verifier"]
    with pytest.raises(InvalidClient):
        verifier.verify(names.tenant.defective("expired"))
    assert names.refused == {Reason.EXPIRED: 1}


def _is_a_store(example: Example) -> None:
    names = example.names
    settings = names.rest_of("AsyncClientAssertionVerifier", ["replay_store"])

    async def use_twice() -> None:
        verifier = AsyncClientAssertionVerifier(**settings, replay_store=example.made["MyStore"]())
        await verifier.verify(names.client_assertion)
        with pytest.raises(InvalidClient, match="replayed"):
            await verifier.verify(names.client_assertion)

    example.made["engine"] = names.engine
    asyncio.run(use_twice())


def _keeps_the_law(name: str, law: str) -> Callable[[Example], None]:
    def keep(example: Example) -> None:
        case = example.made[name]()
        case.setup_method()
        try:
            getattr(case, law)()
        finally:
            case.teardown_method()

    return keep


def _answers_wsgi(example: Example) -> None:
    names = example.names
    assert example.made["token"](names.environ, names.calls["start_response"]) == [b'{"access_token": "a token"}']
    del names.__dict__["environ"]
    [body] = example.made["token"](names.environ, names.calls["start_response"])  # replayed
    assert names.calls["start_response"].made[-1][0] == "401 Unauthorized"
    assert b"invalid_client" in body


# A token request to a server of any framework. Without proof the assertion must not be used up.

Post = Callable[[dict[str, str]], tuple[int, Any]]


def _issues_once(names: Names, post: Post) -> None:
    status, body = post(names.form)
    assert (status, "access_token" in body) == (200, True)
    assert names.calls["issue_tokens"].made == [(names.client_id,)]
    assert post(names.form)[0] == 401  # replayed


def _wants_proof(names: Names, post: Post) -> None:
    names.proof_is_good = False
    status, body = post(names.form)
    assert (status, body["error"]) == (400, "use_dpop_nonce")
    names.proof_is_good = True
    _issues_once(names, post)


def _in_flask(check: Callable[[Names, Post], None]) -> Callable[[Example], None]:
    def in_flask(example: Example) -> None:
        def post(form: dict[str, str]) -> tuple[int, Any]:
            response = example.names.app.test_client().post("/token", data=form)
            return response.status_code, response.get_json()

        check(example.names, post)

    return in_flask


def _logs_in_flask(example: Example) -> None:
    app, names = example.names.app, example.names
    lines: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        lines.append(record.getMessage())
        return False

    app.logger.addFilter(keep)
    app.post("/token")(in_flask.client_authentication(names.verifier)(lambda client: client.client_id))
    for _ in range(2):
        app.test_client().post("/token", data=names.form)
    assert [line.partition(":")[0] for line in lines] == ["replayed"]


def _in_asgi(check: Callable[[Names, Post], None]) -> Callable[[Example], None]:
    def in_asgi(example: Example) -> None:
        app = example.made.get("app") or Starlette(routes=[Route("/token", example.made["token"], methods=["POST"])])

        async def send(form: dict[str, str]) -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as http:
                return await http.post("/token", data=form)

        def post(form: dict[str, str]) -> tuple[int, Any]:
            response = asyncio.run(send(form))
            return response.status_code, response.json()

        check(example.names, post)

    return in_asgi


def _in_django(check: Callable[[Names, Post], None]) -> Callable[[Example], None]:
    def in_django(example: Example) -> None:
        call_command("migrate", "private_key_jwt", verbosity=0)
        find = example.made.get("find_client")
        assert find is None or (find("client-1").client_id, find("another")) == ("client-1", None)
        view = example.made.get("token") or example.made["Token"].as_view()

        def post(form: dict[str, str]) -> tuple[int, Any]:
            body = urlencode(form)
            request = RequestFactory().post("/token", body, content_type="application/x-www-form-urlencoded")
            response = view(request)
            return response.status_code, json.loads(response.content)

        with override_settings(REST_FRAMEWORK={"UNAUTHENTICATED_USER": None}):  # the project has no users
            check(example.names, post)

    return in_django


def _authenticates(names: Names, post: Post) -> None:
    assert post(names.form) == (200, None)
    assert post(names.form)[0] == 401  # replayed


def _is_a_validator(example: Example) -> None:
    oauth_toolkit = import_module("private_key_jwt.integrations.oauth_toolkit")
    middleware = f"{oauth_toolkit.__name__}.ClientAssertionMiddleware"
    with override_settings(MIDDLEWARE=[middleware]):
        made = example.made["Validator"]()
    assert isinstance(made.client_assertion_verifier, ClientAssertionVerifier)


def _is_set_up(example: Example) -> None:
    """The settings name the validator, and the issuer that the policy has."""
    oauth_toolkit = import_module("private_key_jwt.integrations.oauth_toolkit")
    example.made["Validator"]()
    assert oauth_toolkit.configured_validator() is example.made["Validator"]
    found = import_module("private_key_jwt.integrations._toolkit_checks").check_toolkit()
    # No URLs yet, and the default model: the guide goes on to tell of both.
    assert [each.id for each in found] == ["private_key_jwt.W007", "private_key_jwt.E006"]


def _serves_metadata(example: Example) -> None:
    """Where the metadata of an issuer without a path must stand."""
    resolver = URLResolver(RegexPattern(""), example.made["urlpatterns"])
    for document in ("oauth-authorization-server", "openid-configuration"):
        assert resolver.resolve(f".well-known/{document}").func.view_class.__module__.startswith("oauth2_provider.")


def _checks_proof(example: Example) -> None:
    names, validator = example.names, example.made["Validator"]
    pending = names.verifier.begin(names.client_assertion)
    names.proof_is_good = False
    with pytest.raises(names.UseDPoPNonceError):
        validator.before_consume(validator, pending, names.request)
    names.proof_is_good = True
    validator.before_consume(validator, pending, names.request)
    assert pending.consume().client_id == names.client_id


def _migrates(example: Example) -> None:
    call_command("migrate", "private_key_jwt", verbosity=0)
    verifier = import_module("private_key_jwt.integrations.django").get_verifier()
    names = example.names
    assert verifier.verify(names.client_assertion).client_id == names.client_id
    with pytest.raises(InvalidClient, match="replayed"):
        verifier.verify(names.client_assertion)


Key = str | tuple[str, str]
DJANGO_SETTINGS = 'INSTALLED_APPS += ["private_key_jwt.stores.django"]'
DJANGO_SETTINGS += "  # settings.py; then: manage.py migrate private_key_jwt"
REST_FRAMEWORK = '@method_decorator(client_authentication(), name="dispatch")'
TOOLKIT_URLS = "from oauth2_provider.urls import metadata_urlpatterns"

# By what the docstring is of, and by the first line of the example where there are several.
AFTERWARDS: dict[Key, Callable[[Example], None]] = {
    "private_key_jwt.AsyncReplayStore": _is_a_store,
    "private_key_jwt.testing.ReplayStoreContract": _keeps_the_law("TestMyStore", "test_a_key_is_new_once"),
    "private_key_jwt.testing.JWKSCacheContract": _keeps_the_law("TestMyCache", "test_a_newer_document_stays"),
    "private_key_jwt.events": _counts_refusals,
    "private_key_jwt.integrations": _answers_wsgi,
    ("private_key_jwt.integrations.flask", '@app.post("/token")'): _in_flask(_issues_once),
    ("private_key_jwt.integrations.flask", "@app.after_request"): _logs_in_flask,
    "private_key_jwt.integrations.starlette": _in_asgi(_issues_once),
    "private_key_jwt.integrations.fastapi": _in_asgi(_issues_once),
    "private_key_jwt.integrations.fastapi.ClientAuthentication": _in_asgi(_authenticates),
    ("private_key_jwt.integrations.django", DJANGO_SETTINGS): _in_django(_issues_once),
    ("private_key_jwt.integrations.django", REST_FRAMEWORK): _in_django(_issues_once),
    "private_key_jwt.integrations.authlib": _in_flask(_issues_once),
    ("private_key_jwt.integrations.oauth_toolkit", TOOLKIT_URLS): _serves_metadata,
    "private_key_jwt.integrations.oauth_toolkit": _is_set_up,
    "private_key_jwt.integrations.oauth_toolkit.ClientAssertionMixin": _is_a_validator,
    "private_key_jwt.stores.django": _migrates,
    "private_key_jwt.stores.DjangoReplayStore": _migrates,
}

# What checks a proof before an assertion is used up.
WITH_PROOF: dict[str, Callable[[Example], None]] = {
    "private_key_jwt.integrations.flask": _in_flask(_wants_proof),
    "private_key_jwt.integrations.starlette": _in_asgi(_wants_proof),
    "private_key_jwt.integrations.django": _in_django(_wants_proof),
    "private_key_jwt.integrations.authlib": _in_flask(_wants_proof),
    "private_key_jwt.integrations.oauth_toolkit": _checks_proof,
}


def put_to_use(example: Example) -> None:
    """Call what an example has defined. What defines something, and has nobody to call it, fails."""
    if "has_good_proof" in example.code:
        WITH_PROOF[example.owner](example)
        return
    key = (example.owner, example.code.splitlines()[0])
    check = AFTERWARDS.get(key) or AFTERWARDS.get(example.owner)
    assert check or not example.defines, f"nothing calls {example.defines}"
    if check:
        check(example)
    for name in sorted(example.names.calls.keys() & example.made.keys()):
        if isinstance(example.made[name], Calls):
            assert example.names.calls[name].made, f"{name} was not called"
