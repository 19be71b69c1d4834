"""Hold what a partner calls the back channel with: API keys and access tokens, and what each may do."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Literal, NamedTuple

Scope = Literal["portal-sso-mint", "portal-provision"]
SCOPES: tuple[Scope, ...] = ("portal-sso-mint", "portal-provision")


class _Grant(NamedTuple):
    scopes: frozenset[str]
    expires_at: float | None


class Credentials:
    """The API keys and access tokens of one tenant.

    clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._keys: dict[str, _Grant] = {}
        self._tokens: dict[str, _Grant] = {}

    def new_key(self, scopes: Collection[Scope]) -> str:
        """Make an API key with these scopes. Raises ValueError for a scope that is not on the page."""
        key = f"lb_{secrets.token_urlsafe(24)}"
        self._keys[key] = _Grant(_check(scopes), None)
        return key

    def new_token(self, scopes: Collection[Scope], lifetime: float) -> str:
        """Make an access token with these scopes, for ``lifetime`` seconds. Raises ValueError."""
        token = secrets.token_urlsafe(24)
        self._tokens[token] = _Grant(_check(scopes), self._clock() + lifetime)
        return token

    def scopes(self, headers: Mapping[str, str]) -> frozenset[str] | None:
        """Return what a request with these header fields may do; None without a credential of this tenant.

        *Assumed*: where both are sent, ``x-api-key`` counts.
        """
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if "x-api-key" in headers:
            grant = self._keys.get(headers["x-api-key"])
        else:
            grant = self._tokens.get(token.strip()) if scheme.lower() == "bearer" else None
        if grant is None or (grant.expires_at is not None and self._clock() >= grant.expires_at):
            return None
        return grant.scopes


def _check(scopes: Collection[str]) -> frozenset[str]:
    if isinstance(scopes, str) or not set(scopes) <= set(SCOPES):
        raise ValueError(f"scopes must be of {', '.join(SCOPES)}, not {scopes!r}")
    return frozenset(scopes)
