"""Client assertions as LedgerBee signs them, and with any part of them changed."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final

from ._keys import SigningKey

LIFETIME = 60
"""Seconds from ``iat`` to ``exp``."""


_PARAMETERS = {"alg", "kid", "typ", "crit"}


class _Removed(Enum):
    REMOVED = "removed"

    def __repr__(self) -> str:
        return "REMOVED"


REMOVED: Final = _Removed.REMOVED
"""In place of a value: leaves the claim or header parameter out."""


def _changed(members: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**members, **changes}.items() if value is not REMOVED}


class Signer(ABC):
    """Sign assertions: as ``client_id``, for ``audience``, at the time that ``clock`` tells."""

    def __init__(self, client_id: str, audience: str, clock: Callable[[], float]) -> None:
        self.client_id = client_id
        self.audience = audience
        self.clock = clock

    @property
    @abstractmethod
    def current_key(self) -> SigningKey:
        """The key that signs, unless another is given."""

    def header(self, key: SigningKey | None = None) -> dict[str, Any]:
        """Return the header of a valid assertion."""
        key = self.current_key if key is None else key
        return {"alg": key.alg, "kid": key.kid}

    def claims(self) -> dict[str, Any]:
        """Return the claims of a valid assertion (OpenID Connect Core §9), made now and not used yet."""
        now = int(self.clock())
        return {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.audience,
            "iat": now,
            "exp": now + LIFETIME,
            "jti": secrets.token_urlsafe(16),
        }

    def assertion(
        self, *, header: Mapping[str, Any] | None = None, key: SigningKey | None = None, **claims: Any
    ) -> str:
        """Sign an assertion, valid unless changed, and new each time.

        header, claims: what to add or replace; REMOVED leaves a member out. Any JSON value goes.
        key: the key that signs, and whose ``kid`` the header names, in place of the current one.

        Raises TypeError for a header parameter among the claims.
        """
        stray = _PARAMETERS & claims.keys()
        if stray:
            raise TypeError(f"{', '.join(sorted(stray))}: a parameter of the header, which stands in header={{...}}")
        key = self.current_key if key is None else key
        return key.sign(_changed(self.header(key), header or {}), _changed(self.claims(), claims))
