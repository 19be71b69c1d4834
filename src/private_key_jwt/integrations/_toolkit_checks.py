"""What ``manage.py check`` finds in the settings of django-oauth-toolkit, before a client does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .._extra import needs
from .._registration import METHOD
from ..policy import AssertionPolicy
from ._django_settings import NAME
from .oauth_toolkit import check_middleware, configured_validator

with needs(__name__, "django-oauth-toolkit"):
    from django.conf import settings
    from django.core import checks

__all__ = ["check_toolkit"]

Found = Iterator[checks.CheckMessage]


def check_toolkit(**_: Any) -> list[checks.CheckMessage]:
    """Compare validator, middleware, issuer, audience and metadata: a system check of Django.

    Find nothing in a project that has neither our validator nor our middleware, and authenticates in views of its own.
    """
    found = [*_refused(configured_validator, "E002"), *_refused(check_middleware, "E003")]
    if len(found) > 1 and hasattr(settings, NAME):
        return []
    if not any(each.id.endswith("E002") for each in found):
        found += [*_of_issuer(configured_validator().client_assertion_verifier.policy), *_of_metadata()]
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
        text = "The issuer that the toolkit publishes follows the Host header: clients that send it may be refused."
        yield checks.Warning(text, hint=hint, id="private_key_jwt.W001")


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
