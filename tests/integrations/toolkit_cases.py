"""What must hold inside of a process that runs django-oauth-toolkit: called there by the tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.test import Client, RequestFactory, override_settings
from django.test.client import MULTIPART_CONTENT
from django.test.utils import CaptureQueriesContext
from django.urls import include
from django.urls import path as url_path
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin
from oauth2_provider.models import get_access_token_model, get_application_model, get_device_grant_model
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.settings import oauth2_settings
from oauth2_provider.views import ConnectDiscoveryInfoView, UserInfoView
from oauth2_provider.views.generic import ClientProtectedResourceView
from oauthlib.common import Request

from integrations.scenarios import INVALID_CLIENT, token_request
from private_key_jwt import (
    AssertionPolicy,
    ClientAssertionVerifier,
    ConfigurationError,
    InvalidClient,
    MemoryReplayStore,
    Reason,
    RegisteredClient,
    TemporarilyUnavailable,
)
from private_key_jwt.integrations import django as in_django
from private_key_jwt.integrations._django_checks import check_app, check_deployment, check_tables
from private_key_jwt.integrations._toolkit_checks import check_toolkit
from private_key_jwt.integrations.oauth_toolkit import (
    ClientAssertionMiddleware,
    ClientAssertionMixin,
    ClientNotAuthenticated,
    refusal,
    registered_applications,
)
from private_key_jwt.stores import DjangoReplayStore
from private_key_jwt.testing import RelyingParty

FORM = "application/x-www-form-urlencoded"
MIDDLEWARE = f"{ClientAssertionMiddleware.__module__}.{ClientAssertionMiddleware.__name__}"


class Subclass(ClientAssertionMiddleware):
    max_body = 2_000


def a_verifier_and_the_middleware_must_be_set() -> None:
    for validator in (WithoutVerifier, WithAnythingAsVerifier):
        with pytest.raises(ConfigurationError, match="client_assertion_verifier"):
            validator()
    with override_settings(MIDDLEWARE=["django.middleware.common.CommonMiddleware"]):
        with pytest.raises(ConfigurationError, match=f"MIDDLEWARE must hold '{MIDDLEWARE}'"):
            _validator([])
    with override_settings(MIDDLEWARE=[f"{__name__}.Subclass"]):
        _validator([])


def _validator(clients: Any, **members: Any) -> Any:
    class Validator(ClientAssertionMixin, OAuth2Validator):  # type: ignore[misc]
        client_assertion_verifier = ClientAssertionVerifier(
            policy=AssertionPolicy(audience="https://op.example.com"),
            clients=clients,
            replay_store=MemoryReplayStore(),
        )

    for name, value in members.items():
        setattr(Validator, name, value)
    return Validator()


def _application(client_id: str, **fields: Any) -> Any:
    kind = {"client_type": "confidential", "authorization_grant_type": "client-credentials"}
    return get_application_model().objects.create(client_id=client_id, **{**kind, **fields})


def _request(form: dict[str, str], **headers: str) -> Request:
    return Request("/o/token/", "POST", list(form.items()), {"Content-Type": FORM, **headers})


def what_the_verifier_knows_is_registered_and_must_be_an_application() -> None:
    """A list of clients, and applications without any keys: those of the toolkit's default model."""
    tenant = RelyingParty().tenant("own")
    validator = _validator([RegisteredClient(tenant.client_id, jwks=tenant.document())])
    with pytest.raises(ClientNotAuthenticated) as caught:
        validator.authenticate_client(_request(token_request(tenant.assertion())))
    assert isinstance(caught.value.__cause__, InvalidClient)
    assert caught.value.__cause__.reason is Reason.UNKNOWN_CLIENT
    assert "is no usable application of the toolkit" in caught.value.__cause__.detail
    application = _application(tenant.client_id, client_secret="s3cret")
    request = _request(token_request(tenant.assertion()))
    assert validator.authenticate_client(request) is True
    assert request.client == application
    # Nothing else lets it in.
    secret = {"client_id": tenant.client_id, "client_secret": "s3cret"}
    with pytest.raises(ClientNotAuthenticated) as caught:
        validator.authenticate_client(_request(secret))
    assert caught.value.__cause__.reason is Reason.MISSING_ASSERTION
    application.client_type = "public"
    application.save()
    assert validator.authenticate_client_id(tenant.client_id, Request("/")) is False
    assert validator.client_authentication_required(_request({"client_id": tenant.client_id})) is True


def an_application_that_nobody_registered_goes_on_as_before() -> None:
    _application("plain", client_secret="s3cret")
    validator = _validator([])
    assert validator.authenticate_client(_request({"client_id": "plain", "client_secret": "s3cret"})) is True
    assert validator.authenticate_client(_request({"client_id": "plain", "client_secret": "wrong"})) is False


def clients_that_cannot_be_asked_let_nobody_in() -> None:
    def fail(client_id: str) -> RegisteredClient:
        raise OSError("no route")

    _application("asked", client_secret="s3cret")
    _application("asked-too", client_type="public")
    validator = _validator(fail)
    secret = {"client_id": "asked", "client_secret": "s3cret"}
    asks: list[Callable[[], bool]] = [
        lambda: validator.authenticate_client(_request(secret)),
        lambda: validator.authenticate_client_id("asked-too", Request("/")),
    ]
    for ask in asks:
        with pytest.raises(ClientNotAuthenticated) as caught:
            ask()
        assert isinstance(caught.value.__cause__, TemporarilyUnavailable)


def an_assertion_is_left_as_it_was_by_what_is_checked_before_it_is_used_up() -> None:
    class WrongNonceError(Exception):
        pass

    seen: list[Any] = []

    def before_consume(_self: Any, pending: Any, request: Any) -> None:
        seen.append((pending.client_id, request.grant_type))
        if len(seen) == 1:
            raise WrongNonceError

    tenant = RelyingParty().tenant("nonce")
    _application(tenant.client_id)
    clients = [RegisteredClient(tenant.client_id, jwks=tenant.document())]
    validator = _validator(clients, before_consume=before_consume)
    form = token_request(tenant.assertion())
    with pytest.raises(WrongNonceError):
        validator.authenticate_client(_request(form))
    assert validator.authenticate_client(_request(form)) is True
    assert seen == [(tenant.client_id, "client_credentials")] * 2
    with pytest.raises(ClientNotAuthenticated, match="invalid_client"):
        validator.authenticate_client(_request(form))


def an_assertion_that_another_part_of_the_server_consumed_is_used_up_once() -> None:
    tenant = RelyingParty().tenant("consumed")
    _application(tenant.client_id)
    clients = [RegisteredClient(tenant.client_id, jwks=tenant.document())]
    validator = _validator(clients, before_consume=lambda _self, pending, _request: pending.consume())
    form = token_request(tenant.assertion())
    assert validator.authenticate_client(_request(form)) is True
    with pytest.raises(ClientNotAuthenticated) as caught:
        validator.authenticate_client(_request(form))
    assert caught.value.__cause__.reason is Reason.REPLAYED
    # So it is when a middleware of Django's has consumed it.
    request = RequestFactory(headers={"Host": "localhost"}).post(
        "/", urlencode(token_request(tenant.assertion())), FORM
    )
    pending = in_django.begin_authentication(validator.client_assertion_verifier, request)
    assert pending.consume() is pending.consume()
    headers = {**request.META, "Content-Type": FORM, "private_key_jwt.request": lambda: request}
    assert validator.authenticate_client(Request("/", "POST", request.body, headers)) is True


def the_implementation_of_the_next_release_is_kept_out() -> None:
    """There, a request "presents" an assertion also by an empty parameter, and by one of the URL."""
    request = _request({"client_id": "x", "client_assertion": ""})
    assert _validator([])._presents_client_assertion(request) is False
    assert _validator([]).authenticate_client(request) is False


def _through_the_middleware(view: Any, request: Any) -> Any:
    middleware = ClientAssertionMiddleware(lambda _request: None)
    middleware.process_request(request)
    answered = middleware.process_view(request, view, (), {})
    if answered is None:
        try:
            answered = view(request)
        except Exception as error:
            answered = middleware.process_exception(request, error)
            if answered is None:
                raise
    request.resolver_match = SimpleNamespace(func=view)
    return middleware.process_response(request, answered)


def a_view_of_the_toolkit_lets_nobody_in_who_was_refused() -> None:
    """Not even with an access token beside it: the toolkit would try that next."""

    class View(ClientProtectedResourceView):  # type: ignore[misc]
        pass

    view = View.as_view()
    factory = RequestFactory(headers={"Host": "localhost"})
    form = token_request("a.b.c")

    def status(*arguments: Any, **settings: Any) -> Any:
        return _through_the_middleware(view, factory.post(*arguments, **settings)).status_code

    assert status("/", urlencode(form), content_type=FORM) == 401
    assert status("/", form) == 400  # multipart
    token = get_access_token_model().objects.create(
        token="t", scope="read", expires=timezone.now() + timedelta(hours=1)
    )
    bearer = {"Authorization": f"Bearer {token.token}"}
    assert status("/", urlencode(form), content_type=FORM, headers=bearer) == 400
    assert status("/", {}) == 403
    assert status("/", {}, headers=bearer) == 405  # let in, to a view without methods
    assert status("/?client_secret=x", {}, headers=bearer) == 400


def what_a_validator_raises_itself_is_answered_and_is_one_event() -> None:
    class View(ClientProtectedResourceView):  # type: ignore[misc]
        def dispatch(self, request: Any) -> Any:
            raise InvalidClient(Reason.BAD_SIGNATURE, "a proof is missing")

    request = RequestFactory(headers={"Host": "localhost"}).post("/", urlencode(token_request("a.b.c")), FORM)
    request.resolver_match = SimpleNamespace(func=View.as_view())
    response = _through_the_middleware(View.as_view(), request)
    assert (response.status_code, json.loads(response.content)) == (401, INVALID_CLIENT.body)
    error = refusal(request)
    assert error is not None
    assert error._is_reported

    def elsewhere(_request: Any) -> None:
        raise error

    request = RequestFactory().get("/")
    request.resolver_match = SimpleNamespace(func=elsewhere)
    with pytest.raises(InvalidClient):
        _through_the_middleware(elsewhere, request)


def an_answer_of_ones_own_to_another_request_stays() -> None:
    """The middleware answers what the validator refused, and leaves views alone that use something else."""

    def view(request: Any) -> Any:
        return HttpResponse("mine", status=418)

    response = _through_the_middleware(view, RequestFactory().post("/?client_secret=x", {}))
    assert (response.status_code, response.content) == (418, b"mine")
    with pytest.raises(ZeroDivisionError):
        _through_the_middleware(lambda _request: 1 / 0, RequestFactory().get("/"))
    assert _through_the_middleware(UserInfoView.as_view(), RequestFactory().get("/?client_id=x")).status_code == 404


def a_request_tells_why_it_was_refused() -> None:
    class View(ClientProtectedResourceView):  # type: ignore[misc]
        pass

    request = RequestFactory(headers={"Host": "localhost"}).post("/", urlencode(token_request("a.b.c")), FORM)
    response = _through_the_middleware(View.as_view(), request)
    assert json.loads(response.content) == INVALID_CLIENT.body
    error = refusal(request)
    assert error is not None
    assert error.reason is Reason.MALFORMED
    assert error._is_reported


def the_header_fields_of_others_stay() -> None:
    """The toolkit allows origins at the token endpoint, also of errors."""
    request = RequestFactory(headers={"Host": "localhost"}).post("/", urlencode(token_request("a.b.c")), FORM)

    class View(ClientProtectedResourceView):  # type: ignore[misc]
        def dispatch(self, request: Any) -> Any:
            with pytest.raises(ClientNotAuthenticated):
                self.authenticate_client(request)
            return HttpResponse("x", headers={"Access-Control-Allow-Origin": "https://a.example"})

    response = _through_the_middleware(View.as_view(), request)
    assert response.status_code == 401
    assert response["Access-Control-Allow-Origin"] == "https://a.example"
    assert response["Cache-Control"] == "no-store"


# Each may have made header fields of what ours replaces, where it stands behind it.
OTHERS = [f"django.middleware.{each}" for each in ("gzip.GZipMiddleware", "http.ConditionalGetMiddleware")]
OTHERS += ["django.middleware.common.CommonMiddleware"]


def header_fields_are_those_of_the_content_that_is_sent() -> None:
    for others in ([], *([each] for each in OTHERS), OTHERS, OTHERS[::-1]):
        with override_settings(MIDDLEWARE=[MIDDLEWARE, *others]):
            http = Client(headers={"Host": "localhost", "Accept-Encoding": "gzip"})
            form = urlencode(token_request("a.b.c"))
            refused = http.post("/o/introspect/", form, content_type=FORM)
            metadata = http.get("/o/.well-known/oauth-authorization-server")
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        assert metadata.json()["token_endpoint_auth_signing_alg_values_supported"] == ["RS256"]
        for response in (refused, metadata):
            assert response.headers.keys() & {"Content-Encoding", "ETag"} == set()
            length = str(len(response.content))
            assert response.headers.get("Content-Length", length) == length


class OtherCoding(MiddlewareMixin):  # type: ignore[misc]
    def process_response(self, _request: Any, response: Any) -> Any:
        response.content, response.headers["Content-Encoding"] = b"not to be read here", "br"
        return response


def metadata_in_a_coding_that_cannot_be_read_stays() -> None:
    with override_settings(MIDDLEWARE=[MIDDLEWARE, f"{__name__}.OtherCoding"]):
        metadata = Client(headers={"Host": "localhost"}).get("/o/.well-known/oauth-authorization-server")
    assert (metadata.status_code, metadata.content) == (200, b"not to be read here")
    assert metadata.headers["Content-Encoding"] == "br"


def a_body_has_a_cap_that_a_subclass_may_set() -> None:
    request = RequestFactory().post("/", "a=" + "x" * 2_000, FORM)

    class View(ClientProtectedResourceView):  # type: ignore[misc]
        pass

    assert Subclass(lambda _request: None).process_view(request, View.as_view(), (), {}).status_code == 400


def what_would_cost_too_much_to_parse_is_refused_before() -> None:
    class View(ClientProtectedResourceView):  # type: ignore[misc]
        pass

    view, factory = View.as_view(), RequestFactory(headers={"Host": "localhost"})
    for path, body, content_type in (
        (f"/?a={'x' * 5_000}", "", FORM),
        (f"/?a={'%41' * 600}", "", FORM),
        ("/", "a=" + "[" * 513, FORM),
        ("/", "a=&" * 300, FORM),
        ("/?" + "a=b&" * 16, "a=b&" * 17, FORM),
        ("/", {"a": "x" * 5_000}, MULTIPART_CONTENT),
        ("/", b"--x" * 33, "multipart/form-data; boundary=x"),
        ("/?" + "a=b&" * 16, b"--x\r\n" * 17, "multipart/form-data; boundary=x"),
        ("/", b"{" + b'"a":"",' * 33 + b"}", "application/json"),
        ("/", b"x" * 5_000, "application/json"),
    ):
        request = factory.post(path, body, content_type)
        assert _through_the_middleware(view, request).status_code == 400
        error = refusal(request)
        assert error is not None
        assert (error.reason, error._is_reported) == (Reason.INVALID_REQUEST, True)


def a_boundary_that_is_no_text_is_left_for_django_to_refuse() -> None:
    """RFC 2231 lets a sender name the encoding of a parameter: out of UTF-7 comes a lone surrogate."""
    request = RequestFactory().post("/", b"x", "multipart/form-data; boundary*=utf-7''%2B2AA-")
    assert request.content_params["boundary"] == "\ud800"
    view = ClientProtectedResourceView.as_view()
    assert ClientAssertionMiddleware(lambda _request: None).process_view(request, view, (), {}) is None
    with pytest.raises(MultiPartParserError):
        _ = request.POST


def what_clients_of_other_methods_send_is_parsed() -> None:
    """Django's own client for tests sends multipart, and the toolkit has a backend for JSON."""

    class View(ClientProtectedResourceView):  # type: ignore[misc]
        pass

    view, factory = View.as_view(), RequestFactory(headers={"Host": "localhost"})
    form = {f"a{number}": "b" for number in range(16)}
    for path, body, content_type in (
        ("/?" + "a=b&" * 16, "a=b&" * 16, FORM),
        ("/", {**form, "token": "x,y" * 99}, MULTIPART_CONTENT),
        ("/", json.dumps(form), "application/json"),
        ("/", "", "text/plain"),
    ):
        request = factory.post(path, body, content_type)
        assert _through_the_middleware(view, request).status_code == 403, path
        assert refusal(request) is None
    assert len(request.POST) == 0
    request = factory.post("/", {"a": "b" * 4_000}, MULTIPART_CONTENT)
    assert request.POST["a"]  # another middleware has had it parsed already, as a stream
    assert _through_the_middleware(view, request).status_code == 403
    request = factory.post("/", b"--x", "multipart/form-data; boundary=x")
    request._stream = SimpleNamespace(read=lambda *_: 1 / 0)
    assert _through_the_middleware(view, request).status_code == 400


def an_application_with_keys_is_not_known_by_its_name() -> None:
    """Whatever else an endpoint asks first."""
    _application("by-name", client_type="public")
    _application("by-key", client_type="public", jwks_uri="https://client.example/jwks.json")
    validator = _validator(lambda _: None)
    assert validator.authenticate_client_id("by-name", Request("/")) is True
    assert validator.authenticate_client_id("by-key", Request("/")) is False
    assert validator.authenticate_client_id("nobody", Request("/")) is False


def an_application_without_keys_is_told_from_none() -> None:
    _application("without-keys")
    tenant = RelyingParty().tenant("without-keys")
    validator = _validator(registered_applications())
    for client_id, said in {
        "without-keys": "application 'without-keys' exists, and has no jwks_uri",
        "nobody": "no client is registered as 'nobody'",
    }.items():
        with pytest.raises(ClientNotAuthenticated) as caught:
            validator.authenticate_client(_request(token_request(tenant.assertion(iss=client_id, sub=client_id))))
        assert (caught.value.__cause__.reason, caught.value.__cause__.detail) == (Reason.UNKNOWN_CLIENT, said)
    assert registered_applications()("without-keys") is None


def no_database_is_asked_for_what_some_cannot_take() -> None:
    verifier = _validator(registered_applications()).client_assertion_verifier
    with CaptureQueriesContext(connection) as queries:
        assert verifier.is_registered("a\0b") is False
        assert len(queries) == 0
        assert verifier.is_registered("nobody") is False
        assert len(queries) == 1


def a_client_is_registered_under_the_name_that_is_stored() -> None:
    """A column that compares without case answers to every spelling; each would have replay marks of its own."""
    stored = _application("PORTAL-acme", jwks_uri="https://client.example/jwks.json")
    objects = get_application_model().objects
    with patch.object(type(objects), "filter", lambda *_, **__: SimpleNamespace(first=lambda: stored)):
        found = registered_applications()("portal-ACME")
    assert found is not None
    assert found.client_id == "PORTAL-acme"


def the_provider_configuration_names_the_algorithms_where_it_names_the_method() -> None:
    def told(*methods: str) -> Any:
        provider = {"OIDC_ENABLED": True, "OIDC_TOKEN_ENDPOINT_AUTH_METHODS_SUPPORTED": list(methods)}
        with override_settings(OAUTH2_PROVIDER={**settings.OAUTH2_PROVIDER, **provider}):
            oauth2_settings.reload()
            request = RequestFactory(headers={"Host": "localhost"}).get("/")
            metadata = json.loads(_through_the_middleware(ConnectDiscoveryInfoView.as_view(), request).content)
        oauth2_settings.reload()
        return metadata.get("token_endpoint_auth_signing_alg_values_supported")

    assert told("private_key_jwt", "client_secret_basic") == ["RS256"]
    assert told("client_secret_basic") is None


def _checked(**provider: Any) -> list[checks.CheckMessage]:
    with _provider(**provider):
        return check_toolkit()


@contextmanager
def _provider(**provider: Any) -> Iterator[None]:
    with override_settings(OAUTH2_PROVIDER={**settings.OAUTH2_PROVIDER, **provider}):
        oauth2_settings.reload()
        yield
    oauth2_settings.reload()


class WithoutVerifier(ClientAssertionMixin, OAuth2Validator):  # type: ignore[misc]
    pass


class WithMemoryStore(ClientAssertionMixin, OAuth2Validator):  # type: ignore[misc]
    client_assertion_verifier = ClientAssertionVerifier(
        policy=AssertionPolicy(audience="https://op.example.com"), clients=[], replay_store=MemoryReplayStore()
    )


class WithAnythingAsVerifier(ClientAssertionMixin, OAuth2Validator):  # type: ignore[misc]
    client_assertion_verifier: Any = "x"


class WithUnknownAlgorithm(ClientAssertionMixin, OAuth2Validator):  # type: ignore[misc]
    client_assertion_signing_algs = ("RS256", "HS256")
    client_assertion_verifier = WithMemoryStore.client_assertion_verifier


class WithAsyncCheck(ClientAssertionMixin, OAuth2Validator):  # type: ignore[misc]
    client_assertion_verifier = WithMemoryStore.client_assertion_verifier

    async def before_consume(self, pending: Any, request: Any) -> None:  # type: ignore[override]
        """Would never be run."""


# What a project may name by mistake, and what it is told.
UNFIT_VALIDATORS = {
    "oauth2_provider.oauth2_validators.OAuth2Validator": "names oauth2_provider.oauth2_validators.OAuth2Validator",
    f"{__name__}.ClientAssertionMixin": "must name a class Validator(ClientAssertionMixin, OAuth2Validator)",
    f"{__name__}.WithoutVerifier": "WithoutVerifier.client_assertion_verifier must be a ClientAssertionVerifier",
    f"{__name__}.WithAnythingAsVerifier": "must be a ClientAssertionVerifier, not str",
    f"{__name__}.WithAsyncCheck": "WithAsyncCheck.before_consume must be a plain function, not a coroutine function",
    f"{__name__}.WithUnknownAlgorithm": "WithUnknownAlgorithm.client_assertion_signing_algs must be of RS256, ",
}


def a_class_with_its_bases_in_the_wrong_order_is_refused() -> None:
    """Nothing would ask the mixin: its methods stand behind those of the toolkit, which do not call them."""

    class OfTheProject(OAuth2Validator):  # type: ignore[misc]
        pass

    class Good(ClientAssertionMixin, OAuth2Validator):  # type: ignore[misc]
        pass

    class Deciding(OAuth2Validator):  # type: ignore[misc]
        def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
            return True

    for base in (OAuth2Validator, OfTheProject, Deciding):
        order = r"class Validator\(ClientAssertionMixin, (OAuth2Validator|Deciding)\)$"
        with pytest.raises(
            ConfigurationError, match=f"class Validator: ClientAssertionMixin must stand before .*{order}"
        ):
            type("Validator", (base, ClientAssertionMixin), {})
    with pytest.raises(ConfigurationError, match="must stand before Deciding"):
        type("Validator", (Deciding, Good), {})
    # What only adds to the toolkit's, and what comes behind ours, may stand where it likes.
    for bases in ((OfTheProject, Good), (Good, OfTheProject), (ClientAssertionMixin, Deciding)):
        assert issubclass(type("Validator", bases, {}), ClientAssertionMixin)


def a_server_does_not_start_with_a_validator_that_is_unfit() -> None:
    for name, said in UNFIT_VALIDATORS.items():
        with _provider(OAUTH2_VALIDATOR_CLASS=name):
            with pytest.raises(ConfigurationError) as caught:
                get_wsgi_application()
            assert said in str(caught.value)


def a_validator_that_is_unfit_is_checked() -> None:
    for name, said in {**UNFIT_VALIDATORS, "no.such.Validator": "Could not import 'no.such.Validator'"}.items():
        (found,) = _checked(OAUTH2_VALIDATOR_CLASS=name)
        assert (found.id, found.level) == ("private_key_jwt.E002", checks.ERROR)
        assert said in found.msg


def a_middleware_that_is_missing_is_checked() -> None:
    with override_settings(MIDDLEWARE=["django.middleware.common.CommonMiddleware"]):
        (found,) = check_toolkit()
        assert (found.id, found.level) == ("private_key_jwt.E003", checks.ERROR)
        assert MIDDLEWARE in found.msg
        other = {"OAUTH2_VALIDATOR_CLASS": "oauth2_provider.oauth2_validators.OAuth2Validator"}
        assert [each.id for each in _checked(**other)] == ["private_key_jwt.E002", "private_key_jwt.E003"]
        # The toolkit stands beside views that authenticate by themselves.
        with override_settings(PRIVATE_KEY_JWT={}):
            assert _checked(**other) == []
            assert [each.id for each in check_toolkit()] == ["private_key_jwt.E003"]


class WithDjangoStore(ClientAssertionMixin, OAuth2Validator):  # type: ignore[misc]
    client_assertion_verifier = ClientAssertionVerifier(
        policy=AssertionPolicy(audience="https://op.example.com"), clients=[], replay_store=DjangoReplayStore()
    )


def the_store_of_a_validator_is_checked() -> None:
    assert check_app() == []
    with _provider(OAUTH2_VALIDATOR_CLASS=f"{__name__}.WithDjangoStore"):
        assert [each.id for each in check_app()] == ["private_key_jwt.E005"]
        assert [each.id for each in check_tables(["default"])] == ["private_key_jwt.W003"]
    with _provider(OAUTH2_VALIDATOR_CLASS="no.such.Validator"):
        assert check_app() == []  # another check says what is wrong


def what_must_not_be_deployed_is_checked() -> None:
    with _provider(OAUTH2_VALIDATOR_CLASS=f"{__name__}.WithMemoryStore"):
        (store,) = check_deployment()
    assert store.id == "private_key_jwt.W004"
    assert "WithMemoryStore.client_assertion_verifier keeps replay marks in MemoryReplayStore" in store.msg
    assert "say workers=2" in store.hint


def a_document_that_does_not_list_the_method_is_checked() -> None:
    (oauth2,) = _checked(OAUTH2_TOKEN_ENDPOINT_AUTH_METHODS_SUPPORTED=["client_secret_basic"])
    assert (oauth2.id, oauth2.level) == ("private_key_jwt.W002", checks.WARNING)
    assert "'OAUTH2_TOKEN_ENDPOINT_AUTH_METHODS_SUPPORTED'" in oauth2.msg
    assert "['private_key_jwt', 'client_secret_basic']" in oauth2.hint
    other = {"OIDC_TOKEN_ENDPOINT_AUTH_METHODS_SUPPORTED": ["client_secret_basic"]}
    (oidc,) = _checked(OIDC_ENABLED=True, **other)
    assert "'OIDC_TOKEN_ENDPOINT_AUTH_METHODS_SUPPORTED'" in oidc.msg
    assert _checked(OIDC_ENABLED=False, **other) == []  # not served
    assert _checked(OIDC_ENABLED=True) == []


class WithOtherAlgorithms(ClientAssertionMixin, OAuth2Validator):  # type: ignore[misc]
    client_assertion_verifier = ClientAssertionVerifier(
        policy=AssertionPolicy(audience="https://op.example.com"),
        clients=registered_applications(signing_algs=["RS256", "EdDSA"]),
        replay_store=MemoryReplayStore(),
    )


class WithTheSameAlgorithms(WithOtherAlgorithms):
    client_assertion_signing_algs = ("Ed25519", "RS256")


def the_algorithms_of_the_metadata_and_of_the_clients_are_compared() -> None:
    with pytest.raises(ConfigurationError, match="signing_algs must be of RS256, .*, not 'RS265'"):
        registered_applications(signing_algs=["RS265"])
    (other,) = _checked(OAUTH2_VALIDATOR_CLASS=f"{__name__}.WithOtherAlgorithms")
    assert (other.id, other.level) == ("private_key_jwt.W006", checks.WARNING)
    assert other.msg == "The metadata names RS256, and clients may use RS256, Ed25519."
    assert other.hint == "Set WithOtherAlgorithms.client_assertion_signing_algs to ['RS256', 'Ed25519']."
    assert _checked(OAUTH2_VALIDATOR_CLASS=f"{__name__}.WithTheSameAlgorithms") == []
    with patch.object(WithOtherAlgorithms, "client_assertion_signing_algs", ["PS256"]):
        validator, provider = WithOtherAlgorithms, {"OAUTH2_VALIDATOR_CLASS": f"{__name__}.WithRegisteredApplications"}
        assert "names PS256" in _checked(OAUTH2_VALIDATOR_CLASS=f"{__name__}.{validator.__name__}")[0].msg
        (unset,) = _checked(**provider)
        assert unset.msg == "The metadata names PS256, and clients may use RS256."
        with patch.object(get_application_model(), "token_endpoint_auth_signing_alg", "", create=True):
            assert _checked(**provider) == []  # each may name its own


class WithRegisteredApplications(WithOtherAlgorithms):
    client_assertion_verifier = ClientAssertionVerifier(
        policy=AssertionPolicy(audience="https://op.example.com"),
        clients=registered_applications(),
        replay_store=MemoryReplayStore(),
    )


def a_model_without_a_place_for_keys_is_checked() -> None:
    """Such as the default one of the toolkit, in whose place another may stand for a whole process only."""
    with patch("oauth2_provider.models.get_application_model", get_user_model):
        (found,) = check_toolkit()
        assert _checked(OAUTH2_VALIDATOR_CLASS=f"{__name__}.WithMemoryStore") == []  # clients of its own
    assert (found.id, found.level) == ("private_key_jwt.E006", checks.ERROR)
    assert found.msg == "auth.User has neither jwks_uri nor jwks: registered_applications() finds no client."


def the_issuer_and_the_audience_are_compared() -> None:
    assert check_toolkit in checks.registry.registry.registered_checks
    assert _checked() == []
    (other,) = _checked(OIDC_ISS_ENDPOINT="https://op.example.com/")
    assert (other.id, other.level) == ("private_key_jwt.E001", checks.ERROR)
    assert "https://op.example.com/," in other.msg
    assert "https://op.example.com" in other.hint
    (derived,) = _checked(OIDC_ISS_ENDPOINT="")
    assert (derived.id, derived.level) == ("private_key_jwt.W001", checks.WARNING)
    assert "follows the Host header (https://HOST/o)" in derived.msg
    assert "the policy's audience is https://op.example.com:" in derived.msg
    with override_settings(ROOT_URLCONF=NoUrls):
        (derived,) = _checked(OIDC_ISS_ENDPOINT="")
        assert "(https://HOST)" in derived.msg
    with override_settings(ROOT_URLCONF=None):
        assert [each.id for each in _checked(OIDC_ISS_ENDPOINT="")] == ["private_key_jwt.W001"]


class NoUrls:
    urlpatterns: tuple[Any, ...] = ()


class UrlsBelowAPath:
    urlpatterns = (url_path("o/", include("oauth2_provider.urls")),)


def documents_that_are_not_where_clients_look_are_checked() -> None:
    with override_settings(ROOT_URLCONF=UrlsBelowAPath):
        (oauth2,) = _checked()
        other, oidc = _checked(OIDC_ENABLED=True)
        assert [each.id for each in _checked(OIDC_ISS_ENDPOINT="https://op.example.com/o")] == ["private_key_jwt.E001"]
    with override_settings(ROOT_URLCONF=None):
        assert _checked() == []
    assert _checked(OIDC_ENABLED=True) == []
    assert oauth2 == other
    assert {oauth2.id, oidc.id} == {"private_key_jwt.W007"}
    assert "at https://op.example.com/.well-known/oauth-authorization-server, and" in oauth2.msg
    assert 'path("", include(oauth2_provider.urls.metadata_urlpatterns))' in oauth2.hint
    assert "at https://op.example.com/.well-known/openid-configuration, and" in oidc.msg
    assert "oauth2_provider.views.ConnectDiscoveryInfoView.as_view()" in oidc.hint


def the_check_is_one_of_manage_py() -> None:
    with override_settings(OAUTH2_PROVIDER={**settings.OAUTH2_PROVIDER, "OIDC_ISS_ENDPOINT": "https://other.example"}):
        oauth2_settings.reload()
        with pytest.raises(SystemCheckError, match=r"private_key_jwt\.E001"):
            call_command("check")
    oauth2_settings.reload()


def allow_device(*_: object) -> None:
    """Grant access to a device, as its user would have done."""
    model = get_device_grant_model()
    user = get_user_model().objects.create(username="owner")
    until = timezone.now() + timedelta(hours=1)
    codes = {"device_code": "a-device", "user_code": "A", "client_id": "portal-device"}
    model.objects.create(**codes, status=model.AUTHORIZED, user=user, expires=until)
