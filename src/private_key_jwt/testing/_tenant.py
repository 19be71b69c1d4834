"""A tenant of LedgerBee: its keys over time, and the assertions it signs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from .. import ledgerbee
from ..clients import RegisteredClient
from ._assertions import Signer
from ._credentials import SCOPES, Credentials, Scope
from ._defects import defects_of
from ._key_defects import key_defects_of
from ._keys import SigningKey
from ._portal import Portal


class Tenant(Signer):
    """A tenant as LedgerBee has it: one current key, and for a grace window after a rotation the previous one.

        tenant = relying_party.tenant("acme")
        tenant.assertion(sub="somebody-else")  # with anything changed
        tenant.rotate()                        # a new key; the old one stays published

    slug: the public portal slug. A slug that is no plain path segment is a ConfigurationError.
    client_id: what the OpenID Provider registered it as.
    audience, clock, base_url: those of its relying party.
    alg: what its keys sign with; LedgerBee's sign with RS256.

    ``RelyingParty.tenant`` makes them; a new one has a key. ``portal`` is what LedgerBee has of its customers, users
    and sessions.
    """

    def __init__(
        self,
        slug: str,
        client_id: str,
        *,
        audience: str,
        clock: Callable[[], float],
        base_url: str,
        alg: str = "RS256",
    ) -> None:
        super().__init__(client_id, audience, clock)
        self.slug = slug
        self.alg = alg
        self.base_url = base_url
        self.jwks_uri = ledgerbee.jwks_uri(slug, base_url=base_url)
        self.portal = Portal(clock)
        self.credentials = Credentials(clock)
        self.handoff_enabled = True
        # Every key it ever had, oldest first: one that is given up must not come back as another tenant's.
        self._keys: list[SigningKey] = []
        # Newest first; replaced as a whole, because a server thread may be reading it.
        self._published: tuple[SigningKey, ...] = ()
        self._defects: dict[str, dict[str, Any]] = {}
        self.rotate()

    def __repr__(self) -> str:
        return f"Tenant({self.slug!r}, {self.client_id!r})"

    def client(self, base_url: str | None = None, **changes: Any) -> RegisteredClient:
        """Return the tenant as the OpenID Provider registers it, by ``ledgerbee.client``, and for its own algorithm.

        base_url: where its keys are fetched, when that is a server of ``RelyingParty.serve``.
        changes: fields of RegisteredClient to replace, such as ``policy``.
        """
        client = ledgerbee.client(self.client_id, slug=self.slug, base_url=base_url or self.base_url)
        return replace(client, **{"signing_algs": (self.alg,), **changes})

    def document(self) -> dict[str, Any]:
        """Return the JWK Set (RFC 7517 §5) published now."""
        return {"keys": [{**key.public_jwk(), **self._defects.get(key.kid, {})} for key in self._published]}

    # Keys

    @property
    def current_key(self) -> SigningKey:
        """The key that signs: the newest, also while ``remove_keys`` keeps it unpublished."""
        return self._keys[-1]

    @property
    def previous_key(self) -> SigningKey:
        """The key before the current one, published or not. Raises LookupError when there was none."""
        if len(self._keys) == 1:
            raise LookupError(f"tenant {self.slug!r} has had one key only: rotate() first")
        return self._keys[-2]

    @property
    def kid(self) -> str:
        """The ``kid`` of the current key."""
        return self.current_key.kid

    def rotate(self) -> str:
        """Sign with a new key from now on, and return its ``kid``. The old one stays published for a grace window."""
        key = SigningKey.generate(alg=self.alg)
        self._keys.append(key)
        self._published = (key, *self._published[:1])
        return key.kid

    def end_grace(self) -> None:
        """End the grace window: only the current key stays published."""
        self._published = self._published[:1]

    def remove_keys(self) -> None:
        """Publish an empty set, as LedgerBee does for a tenant that has no signing key."""
        self._published = ()

    def break_key(self, name: str) -> None:
        """Publish the current key with the one mistake that ``key_defects_of`` lists under this name.

        Raises LookupError for another name. ``rotate`` publishes a sound key beside it.
        """
        defects = key_defects_of(self.alg)
        if name not in defects:
            raise LookupError(f"no defect of a key for {self.alg} is named {name!r}, only {', '.join(defects)}")
        self._defects[self.kid] = dict(defects[name].changes(self.current_key))

    # The back channel

    def api_key(self, scopes: Collection[Scope] = SCOPES) -> str:
        """Make an API key with these scopes, for ``PortalSSO(api_key=…)``. Raises ValueError for an unknown scope."""
        return self.credentials.new_key(scopes)

    def access_token(self, scopes: Collection[Scope] = SCOPES, *, lifetime: float = 3_600) -> str:
        """Make an access token with these scopes, for ``PortalSSO(access_token=…)``.

        lifetime: seconds until it expires; an hour is *assumed*. Raises ValueError for an unknown scope.
        """
        return self.credentials.new_token(scopes, lifetime)

    def disable_handoff(self) -> None:
        """Mint no handoff references from now on: they are answered with 403."""
        self.handoff_enabled = False

    def enable_handoff(self) -> None:
        """Mint handoff references again."""
        self.handoff_enabled = True

    # Assertions

    def defective(self, name: str) -> str:
        """Sign an assertion with the one mistake that ``defects_of`` its algorithm lists under this name.

        Raises LookupError, which names those of the reason ``name``, or the three whose names are most alike.
        """
        defects = defects_of(self.alg)
        if name not in defects:
            of_reason = [known for known in defects if defects[known].reason == name]
            near = of_reason or get_close_matches(name, defects, cutoff=0)
            raise LookupError(f"no defect is named {name!r}; near: {', '.join(near)}")
        return defects[name].make(self)
