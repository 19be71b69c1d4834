"""Check the settings of django-oauth-toolkit, for ``manage.py check``: find what is wrong before a client does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from .._core.algorithms import published_names
from .._extra import needs
from .._registration import METHOD
from ..policy import AssertionPolicy
from . import _models
from ._applications import Applications
from ._django_settings import NAME
from .oauth_toolkit import ClientAssertionMixin, check_middleware, configured_validator

with needs(__name__, "django-oauth-toolkit"):
    from django.conf import settings
    from django.core import checks
    from django.urls import NoReverseMatch, Resolver404, resolve, reverse

__all__ = ["check_toolkit"]

_OIDC = "/.well-known/openid-configuration"
_AT_THE_ROOT = {
    "/.well-known/oauth-authorization-server": 'path("", include(oauth2_provider.urls.metadata_urlpatterns))',
    _OIDC: f'path("{_OIDC[1:]}", oauth2_provider.views.ConnectDiscoveryInfoView.as_view())',
}

Found = Iterator[checks.CheckMessage]


def check_toolkit(**_: Any) -> list[checks.CheckMessage]:
    """Compare validator, middleware, model, issuer, audience, algorithms, metadata and URLs: a system check of Django.

    Find nothing in a project that has neither our validator nor our middleware, and authenticates in views of its own.
    """
    found = [*_refused(configured_validator, "E002"), *_refused(check_middleware, "E003")]
    if len(found) > 1 and hasattr(settings, NAME):
        return []
    if not any(each.id.endswith("E002") for each in found):
        validator = configured_validator()
        verifier = validator.client_assertion_verifier
        found += [*_of_issuer(verifier.policy), *_of_metadata(), *_of_locations()]
        if isinstance(clients := verifier._clients, Applications):  # noqa: SLF001
            found += [*_of_model(clients), *_of_algorithms(validator, clients)]
    return found


def _refused(check: Callable[[], object], number: str) -> Found:
    try:
        check()
    except Exception as error:  # also what a module of the project raises while it is imported
        yield checks.Error(str(error), id=f"private_key_jwt.{number}")


def _of_issuer(policy: AssertionPolicy) -> Found:
    from oauth2_provider.settings import oauth2_settings

    accepted, issuer = policy.audiences, oauth2_settings.OIDC_ISS_ENDPOINT
    if issuer in accepted:
        return
    shown = ", ".join(sorted(accepted))
    hint = (
        "Which is right? What your clients send as aud, mostly the published issuer. Set the policy's audience"
        f" ({shown}), or OAUTH2_PROVIDER['OIDC_ISS_ENDPOINT'], to it."
    )
    if issuer:
        text = f"The toolkit publishes the issuer {issuer}, and the policy's audience is {shown}: clients are refused."
        yield checks.Error(text, hint=hint, id="private_key_jwt.E001")
    else:
        text = (
            f"The issuer that the toolkit publishes follows the Host header ({_derived_issuer()}), and the policy's"
            f" audience is {shown}: clients that send what is published may be refused."
        )
        yield checks.Warning(text, hint=hint, id="private_key_jwt.W001")


def _derived_issuer() -> str:
    path = ""
    with suppress(NoReverseMatch):
        path = reverse("oauth2_provider:oidc-connect-discovery-info") if _has_urls() else ""
    return f"https://HOST{path.removesuffix(_OIDC)}"


def _has_urls() -> bool:
    return bool(getattr(settings, "ROOT_URLCONF", None))


def _of_locations() -> Found:
    """Find each document that is not where clients of an issuer without a path look for it (RFC 8414 §3)."""
    from oauth2_provider.settings import oauth2_settings

    issuer = oauth2_settings.OIDC_ISS_ENDPOINT.rstrip("/")
    if not issuer or urlsplit(issuer).path or not _has_urls():
        return
    for location, pattern in _AT_THE_ROOT.items():
        is_served = location != _OIDC or oauth2_settings.OIDC_ENABLED
        if is_served and not _resolves(location):
            text = f"Clients of the issuer {issuer} look for its metadata at {issuer}{location}, and nothing is there."
            hint = f"urlpatterns += [{pattern}]"
            yield checks.Warning(text, hint=hint, id="private_key_jwt.W007")


def _resolves(location: str) -> bool:
    try:
        resolve(location)
    except Resolver404:
        return False
    return True


def _of_model(applications: Applications) -> Found:
    model = applications.model
    if not any(_models.has_attribute(model, name) for name in ("jwks_uri", "jwks")):
        label = model._meta.label  # noqa: SLF001  (Django documents it)
        text = f"{label} has neither jwks_uri nor jwks: registered_applications() finds no client."
        hint = (
            "Derive a model with one of them from AbstractApplication, and name it in"
            " OAUTH2_PROVIDER_APPLICATION_MODEL; or give the verifier the clients as a list, a mapping or a function."
        )
        yield checks.Error(text, hint=hint, id="private_key_jwt.E006")


def _of_algorithms(validator: type[ClientAssertionMixin], applications: Applications) -> Found:
    """Compare what the metadata names with what clients may use, where their models do not name it."""
    enabled = applications.signing_algs
    if enabled is None and _models.has_attribute(applications.model, "token_endpoint_auth_signing_alg"):
        return
    may_use = published_names(enabled or ("RS256",))
    named = published_names(validator.client_assertion_signing_algs)
    if {*named} != {*may_use}:
        text = f"The metadata names {', '.join(named)}, and clients may use {', '.join(may_use)}."
        hint = f"Set {validator.__qualname__}.client_assertion_signing_algs to {may_use}."
        yield checks.Warning(text, hint=hint, id="private_key_jwt.W006")


def _of_metadata() -> Found:
    """Find each document that is served, and does not list the method (RFC 8414 §2, OIDC Discovery 1.0 §3)."""
    from oauth2_provider.settings import oauth2_settings

    served = {"OAUTH2": True, "OIDC": oauth2_settings.OIDC_ENABLED}
    for document, is_served in served.items():
        name = f"{document}_TOKEN_ENDPOINT_AUTH_METHODS_SUPPORTED"
        methods = getattr(oauth2_settings, name)
        if is_served and METHOD not in methods:
            text = f"OAUTH2_PROVIDER[{name!r}] does not list {METHOD}: clients that read the metadata do not use it."
            hint = f"Set it to {[METHOD, *methods]}, or to those that your clients use."
            yield checks.Warning(text, hint=hint, id="private_key_jwt.W002")
