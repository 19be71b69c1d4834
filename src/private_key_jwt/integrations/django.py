"""Client authentication in Django: a view decorator, or one call in a view. No middleware, and no app but the store's.

    INSTALLED_APPS += ["private_key_jwt.stores.django"]  # settings.py; then: manage.py migrate private_key_jwt
    INSTALLED_APPS += ["private_key_jwt.integrations"]  # for `manage.py check`, `--database default`, `--deploy`
    PRIVATE_KEY_JWT = {
        "AUDIENCE": "https://op.example.com",
        "CLIENTS": "project.oauth.find_client",
        "REPLAY_STORE": "private_key_jwt.stores.DjangoReplayStore",
        "WORKERS": 2,  # a store that they do not share is refused
        # "FETCHER": {"ALLOW_HTTP_LOOPBACK": True},  # to try it with `private-key-jwt simulate`, and only for that
    }

    def find_client(client_id):  # project/oauth.py: a RegisteredClient, or None
        return RegisteredClient("client-1", jwks_uri="https://rp.example/jwks") if client_id == "client-1" else None

    @require_POST
    @client_authentication()
    def token(request, client):  # a VerifiedAssertion; other requests are answered already
        return issue_tokens(client.client_id)

The decorator reads the settings when the view is imported, and raises ConfigurationError for what is wrong. So define
``find_client`` above the view, or in another module.

Keys of PRIVATE_KEY_JWT:

| key | value |
|---|---|
| `AUDIENCE` | your issuer, exactly: required |
| `CLIENTS` | a function, a mapping or a list of clients: required |
| `REPLAY_STORE` | a store that all workers share: required |
| `WORKERS` | how many processes serve, 1 unless given |
| `ON_EVENT` | a handler of events; without one, refusals are logged: `private_key_jwt.events.log_events` logs all |
| `FETCHER` | a fetcher, or a dictionary of the arguments of JWKSPolicy in capitals |
| `JWKS_CACHE` | a cache of key sets, where `FETCHER` is a dictionary or absent |
| `CLOCK` | a function that gives seconds since the epoch |
| `LEEWAY`, `MAX_LIFETIME`, `MAX_ASSERTION_BYTES` | see AssertionPolicy |
| `AUDIENCE_RULE`, `REQUIRE_IAT`, `REQUIRE_KID`, `REQUIRE_TYP` | see AssertionPolicy |
| `VERIFIER`, `ASYNC_VERIFIER` | in place of all these: whole verifiers, the second for async views |

Dotted paths may stand for ``CLIENTS``, ``REPLAY_STORE``, ``FETCHER``, ``JWKS_CACHE``, ``CLOCK``, ``ON_EVENT`` and the
verifiers. A class or a function that is named for a store, a cache, a fetcher or a verifier is called once; sync and
async views share what it makes.

In tests, a relying party on loopback signs, and Django's test client sends a form as bytes, since it would send a
dictionary as multipart. A store in memory takes the marks: no other connection sees a test's database::

    party = RelyingParty(audience="https://op.example.com")
    tenant = party.tenant("acme")
    form = {"grant_type": "client_credentials", "client_assertion": tenant.assertion()}
    form["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    with party.serve() as server:
        changes = {
            "CLIENTS": [tenant.client(server.base_url)],
            "FETCHER": {"ALLOW_HTTP_LOOPBACK": True},
            "REPLAY_STORE": "private_key_jwt.stores.MemoryReplayStore",
            "WORKERS": 1,
        }
        with override_settings(PRIVATE_KEY_JWT={**settings.PRIVATE_KEY_JWT, **changes}):
            sent = {"data": urlencode(form), "content_type": "application/x-www-form-urlencoded"}
            assert Client().post("/token", **sent).status_code == 200
            assert Client().post("/token", **sent).status_code == 401  # replayed

A view without the decorator calls ``authenticate(get_verifier(), request)``, an async one
``await aauthenticate(get_async_verifier(), request)``, with the verifiers of the settings or its own. Ask only one of
them for a request: what a sync middleware has let in, an async view would refuse as replayed.

A view of a class takes the decorator over ``dispatch``, and a view of Django REST Framework does so, too, or over the
method that needs it. REST framework is then to authenticate nobody itself, by ``authentication_classes``::

    @method_decorator(client_authentication(), name="dispatch")
    class Token(APIView):
        authentication_classes = ()
        permission_classes = ()

        def post(self, request, client):  # ``authenticate(get_verifier(), request)`` takes its requests as well
            return issue_tokens(client.client_id)

The reason for a refusal goes to ``ON_EVENT``, one event for each request, and can be had until the end of the request:
``refusal(request)`` in a middleware gives the error, with ``reason`` and ``detail``.

A server that has more to check before an assertion is used up, such as a DPoP proof whose nonce the client must repeat
with the same assertion (RFC 9449 §8), takes it pending, and consumes it when everything else is in order::

    @client_authentication(consume=False)
    def token(request, client):  # a PendingAssertion; in an async view an AsyncPendingAssertion
        if not has_good_proof(request, client.client_id):
            return JsonResponse({"error": "use_dpop_nonce"}, status=400, headers={"DPoP-Nonce": new_nonce()})
        verified = client.consume()  # a refusal is answered, too
        return issue_tokens(verified.client_id)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import isfunction
from typing import Any, Literal, overload

from .._extra import needs
from .._validation import is_coroutine_function
from ..exceptions import AuthenticationError, ConfigurationError
from ..verifier import (
    AsyncClientAssertionVerifier,
    AsyncPendingAssertion,
    ClientAssertionVerifier,
    PendingAssertion,
    VerifiedAssertion,
)
from . import _outcome
from ._outcome import Parts, outcomes_of
from ._request import MAX_BODY
from ._response import encode_error
from ._settings import check_decorator_settings

with needs(__name__, "django"):
    from asgiref.sync import iscoroutinefunction
    from django.http import HttpRequest, HttpResponse
    from django.views.decorators.csrf import csrf_exempt

    from . import _django_settings as project
    from ._django_request import of_django, read

__all__ = [
    "aauthenticate",
    "abegin_authentication",
    "authenticate",
    "begin_authentication",
    "client_authentication",
    "error_response",
    "get_async_verifier",
    "get_verifier",
    "refusal",
]

View = Callable[..., Any]

_SENSITIVE = ("client_assertion", "client_secret")  # what debug pages and error mails leave out


def get_verifier() -> ClientAssertionVerifier:
    """Return the verifier of the settings, always the same one. Raises ConfigurationError."""
    return project.verifier(ClientAssertionVerifier)


def get_async_verifier() -> AsyncClientAssertionVerifier:
    """Return the verifier of the settings for async views, always the same one. Raises ConfigurationError."""
    return project.verifier(AsyncClientAssertionVerifier)


@overload
def authenticate(
    verifier: ClientAssertionVerifier,
    request: HttpRequest,
    *,
    optional: Literal[False] = False,
    max_body: int = MAX_BODY,
) -> VerifiedAssertion: ...
@overload
def authenticate(
    verifier: ClientAssertionVerifier, request: HttpRequest, *, optional: bool, max_body: int = MAX_BODY
) -> VerifiedAssertion | None: ...
def authenticate(
    verifier: ClientAssertionVerifier, request: HttpRequest, *, optional: bool = False, max_body: int = MAX_BODY
) -> VerifiedAssertion | None:
    """Authenticate the client of a request. Asked again for the same request, give the same result.

    optional: give None for a request without any client assertion, in place of an error.
    max_body: bytes over which a body is refused; Django's own limits go first. The request can be read again
        afterwards.

    The view must be ``csrf_exempt``. Raises what ``ClientAssertionVerifier.authenticate`` raises.
    """
    request = of_django(request)
    return _outcome.authenticate(verifier, outcomes_of(request), lambda: read(request, max_body), optional=optional)


@overload
def begin_authentication(
    verifier: ClientAssertionVerifier,
    request: HttpRequest,
    *,
    optional: Literal[False] = False,
    max_body: int = MAX_BODY,
) -> PendingAssertion: ...
@overload
def begin_authentication(
    verifier: ClientAssertionVerifier, request: HttpRequest, *, optional: bool, max_body: int = MAX_BODY
) -> PendingAssertion | None: ...
def begin_authentication(
    verifier: ClientAssertionVerifier, request: HttpRequest, *, optional: bool = False, max_body: int = MAX_BODY
) -> PendingAssertion | None:
    """Check everything but replay: the client is authenticated when ``consume()`` of what is given has answered.

    Whoever consumes it while the request lives gets the same answer. Keep none for longer.
    Arguments and errors are those of ``authenticate``.
    """
    request = of_django(request)
    return _outcome.begin(verifier, outcomes_of(request), lambda: read(request, max_body), optional=optional)


@overload
async def aauthenticate(
    verifier: AsyncClientAssertionVerifier,
    request: HttpRequest,
    *,
    optional: Literal[False] = False,
    max_body: int = MAX_BODY,
) -> VerifiedAssertion: ...
@overload
async def aauthenticate(
    verifier: AsyncClientAssertionVerifier, request: HttpRequest, *, optional: bool, max_body: int = MAX_BODY
) -> VerifiedAssertion | None: ...
async def aauthenticate(
    verifier: AsyncClientAssertionVerifier, request: HttpRequest, *, optional: bool = False, max_body: int = MAX_BODY
) -> VerifiedAssertion | None:
    """See ``authenticate``: for async views."""
    request = of_django(request)

    async def read_request() -> Parts:
        return read(request, max_body)

    return await _outcome.authenticate_async(verifier, outcomes_of(request), read_request, optional=optional)


@overload
async def abegin_authentication(
    verifier: AsyncClientAssertionVerifier,
    request: HttpRequest,
    *,
    optional: Literal[False] = False,
    max_body: int = MAX_BODY,
) -> AsyncPendingAssertion: ...
@overload
async def abegin_authentication(
    verifier: AsyncClientAssertionVerifier, request: HttpRequest, *, optional: bool, max_body: int = MAX_BODY
) -> AsyncPendingAssertion | None: ...
async def abegin_authentication(
    verifier: AsyncClientAssertionVerifier, request: HttpRequest, *, optional: bool = False, max_body: int = MAX_BODY
) -> AsyncPendingAssertion | None:
    """See ``begin_authentication``: for async views."""
    request = of_django(request)

    async def read_request() -> Parts:
        return read(request, max_body)

    return await _outcome.begin_async(verifier, outcomes_of(request), read_request, optional=optional)


def refusal(request: HttpRequest) -> AuthenticationError | None:
    """Return why a request was refused, with ``reason`` and ``detail`` for a log; None when it was not."""
    return outcomes_of(of_django(request)).refusal


def error_response(error: AuthenticationError) -> HttpResponse:
    """Return the response to a request whose client was not authenticated (RFC 6749 §5.2)."""
    status, headers, body = encode_error(error)
    return HttpResponse(body, status=status, headers=headers)


def client_authentication(
    verifier: ClientAssertionVerifier | AsyncClientAssertionVerifier | None = None,
    *,
    optional: bool = False,
    consume: bool = True,
    max_body: int = MAX_BODY,
) -> Callable[[View], View]:
    """Decorate a view: it gets the VerifiedAssertion as its argument ``client``, and errors are answered before it.

    verifier: that of the settings, unless given; an async view takes an AsyncClientAssertionVerifier.
    optional: let a request without any client assertion through too, with None as ``client``, so that other
        methods of authentication can be tried.
    consume: with False, ``client`` is a pending assertion, which the view consumes when all else is in order.
    max_body: bytes (1,024 to 16,777,216) over which a body is refused.

    The view is exempt from CSRF protection: no browser's cookie authenticates here. Debug pages and error mails
    leave the assertion out. An AuthenticationError that leaves the view is answered in the same way.
    Raises ConfigurationError, also for the settings.
    """
    if isfunction(verifier):
        raise ConfigurationError("verifier is a view: write @client_authentication(), with the parentheses")

    def decorate(view: View) -> View:
        # Django marks an async class-based view in a way of asgiref's own, where `inspect` of CPython 3.11 has none.
        is_async = iscoroutinefunction(view) or is_coroutine_function(view)
        kind: type[Any] = AsyncClientAssertionVerifier if is_async else ClientAssertionVerifier

        def get() -> Any:
            return project.verifier(kind) if verifier is None else verifier

        # Asked for here too, so that a wrong setting is named when the views are imported, and not to a client.
        check_decorator_settings(get(), kind, optional=optional, consume=consume, max_body=max_body)
        wrap = _async_view if is_async else _view
        wrapper = wrap(view, get, consume=consume, optional=optional, max_body=max_body)
        decorated: View = csrf_exempt(wrapper)
        return decorated

    return decorate


def _view(view: View, get: Callable[[], Any], *, consume: bool, **settings: Any) -> View:
    authenticate_request: Callable[..., Any] = authenticate if consume else begin_authentication

    @wraps(view)
    def authenticated(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        verifier = get()
        # Not by Django's decorator: it takes no request of Django REST Framework's.
        of_django(request).sensitive_post_parameters = _SENSITIVE
        try:
            client = authenticate_request(verifier, request, **settings)
            return view(request, *args, client=client, **kwargs)
        except AuthenticationError as error:
            return error_response(outcomes_of(of_django(request)).refuse(verifier, error))

    return authenticated


def _async_view(view: View, get: Callable[[], Any], *, consume: bool, **settings: Any) -> View:
    authenticate_request: Callable[..., Any] = aauthenticate if consume else abegin_authentication

    @wraps(view)
    async def authenticated(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        verifier = get()
        # Not by Django's decorator: it takes no request of Django REST Framework's.
        of_django(request).sensitive_post_parameters = _SENSITIVE
        try:
            client = await authenticate_request(verifier, request, **settings)
            return await view(request, *args, client=client, **kwargs)
        except AuthenticationError as error:
            return error_response(outcomes_of(of_django(request)).refuse(verifier, error))

    return authenticated
