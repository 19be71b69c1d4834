"""private_key_jwt client authentication for OpenID Providers: which client sent this token request?

OpenID Connect Core §9, RFC 7521, RFC 7523. Start with ``ClientAssertionVerifier``, or AsyncClientAssertionVerifier.
"""

from . import events, fapi2, ledgerbee
from ._core.checks import Check
from ._core.jwk_set import KeySet, VerificationKey
from ._sources import AsyncClients, AsyncKeySource, Clients, KeySource
from ._version import __version__
from .clients import RegisteredClient
from .discovery import client_authentication_metadata
from .exceptions import (
    AuthenticationError,
    ConfigurationError,
    ErrorResponse,
    InvalidClient,
    InvalidRequest,
    PrivateKeyJWTError,
    Reason,
    TemporarilyUnavailable,
)
from .fetcher import AsyncJWKSFetcher, JWKSFetcher
from .policy import AssertionPolicy, JWKSPolicy
from .stores import (
    AsyncJWKSCache,
    AsyncReplayStore,
    JWKSCache,
    JWKSDocument,
    MemoryJWKSCache,
    MemoryReplayStore,
    ReplayStore,
)
from .verifier import (
    AsyncClientAssertionVerifier,
    AsyncPendingAssertion,
    ClientAssertionVerifier,
    PendingAssertion,
    VerifiedAssertion,
)

__all__ = [
    "AssertionPolicy",
    "AsyncClientAssertionVerifier",
    "AsyncClients",
    "AsyncJWKSCache",
    "AsyncJWKSFetcher",
    "AsyncKeySource",
    "AsyncPendingAssertion",
    "AsyncReplayStore",
    "AuthenticationError",
    "Check",
    "ClientAssertionVerifier",
    "Clients",
    "ConfigurationError",
    "ErrorResponse",
    "InvalidClient",
    "InvalidRequest",
    "JWKSCache",
    "JWKSDocument",
    "JWKSFetcher",
    "JWKSPolicy",
    "KeySet",
    "KeySource",
    "MemoryJWKSCache",
    "MemoryReplayStore",
    "PendingAssertion",
    "PrivateKeyJWTError",
    "Reason",
    "RegisteredClient",
    "ReplayStore",
    "TemporarilyUnavailable",
    "VerificationKey",
    "VerifiedAssertion",
    "__version__",
    "client_authentication_metadata",
    "events",
    "fapi2",
    "ledgerbee",
]
