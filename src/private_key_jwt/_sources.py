"""What a user hands to a verifier, brought to one shape: registered clients, fetchers and replay stores.

The two verifiers see the same names; here stands what sync and async objects need to be called by either.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from ._core import jwk_set
from ._core.header import Header
from ._core.jwk_set import NoKey, VerificationKey
from ._coroutines import as_coroutine_function, is_in_process
from ._text import describe_error, quote
from ._validation import check_handler, check_integer, check_number
from .clients import RegisteredClient
from .exceptions import AuthenticationError, ConfigurationError, InvalidClient, Reason, TemporarilyUnavailable
from .fetcher import AsyncJWKSFetcher, JWKSFetcher
from .policy import AssertionPolicy
from .stores import AsyncReplayStore, ReplayStore

Found = RegisteredClient | None
Clients = Iterable[RegisteredClient] | Mapping[str, RegisteredClient] | Callable[[str], Found]
AsyncClients = Clients | Callable[[str], Awaitable[Found]]


# The year 5138 in seconds: a clock that says more counts milliseconds.
_LAST_SECOND = 10**11


# Settings, checked once


def check_settings(policy: object, clock: object, on_event: object) -> None:
    """Raises ConfigurationError."""
    check_handler(on_event)
    if not isinstance(policy, AssertionPolicy):
        raise ConfigurationError(f"policy must be an AssertionPolicy, not {type(policy).__name__}")
    if not callable(clock):
        raise ConfigurationError("clock must be a function that gives seconds since the epoch")
    try:
        check_number("clock()", clock(), 0, _LAST_SECOND)
    except ConfigurationError as error:
        raise ConfigurationError(f"clock must give seconds since the epoch: {error}") from None


def check_workers(workers: int, store: object) -> None:
    """Raises ConfigurationError when several workers would each have marks of their own."""
    check_integer("workers", workers, 1, 1_000_000)
    if workers > 1 and is_in_process(store):
        raise ConfigurationError(
            f"workers is {workers}, and {type(store).__name__} lives in one process: each worker would accept an"
            " assertion once. Take a store that they share: SQLiteReplayStore (one host), RedisReplayStore or"
            " SQLAlchemyReplayStore (several), from private_key_jwt.stores."
        )


def _check_store(store: object) -> None:
    if isinstance(store, type) or not callable(getattr(store, "add", None)):
        name = f"the class {store.__name__}" if isinstance(store, type) else type(store).__name__
        raise ConfigurationError(f"replay_store must be an object with a method add, not {name}")


def _look_up(clients: object) -> Callable[[str], Any]:
    """The look-up that ``clients`` is, or that is made of it."""
    if isinstance(clients, Mapping):
        # Not copied: a client that leaves the mapping is unknown at once.
        return clients.get
    if callable(clients):
        return clients
    if not isinstance(clients, Iterable):
        raise ConfigurationError("clients must be RegisteredClients, a mapping of them, or a function")
    known: dict[str, RegisteredClient] = {}
    for client in clients:
        if not isinstance(client, RegisteredClient):
            raise ConfigurationError(f"clients must hold RegisteredClients, not {type(client).__name__}")
        if client.client_id in known:
            raise ConfigurationError(f"clients holds {quote(client.client_id)} twice")
        known[client.client_id] = client
    return known.get


_STORE_REASONS = (Reason.REPLAY_STORE_UNAVAILABLE, Reason.REPLAY_STORE_FULL)


# Answers, checked for each request


def not_found(client: object, client_id: str) -> AuthenticationError:
    """Why a look-up has not answered with the client: unknown_client (its fault) or client_lookup_failed (ours)."""
    if client is None or isinstance(client, RegisteredClient):
        # A database that compares without case answers with another client than it was asked for.
        return InvalidClient(Reason.UNKNOWN_CLIENT, f"no client is registered as {quote(client_id)}", "client")
    return TemporarilyUnavailable(
        Reason.CLIENT_LOOKUP_FAILED, f"expected a RegisteredClient or None, got {type(client).__name__}"
    )


def lookup_failed(error: Exception) -> TemporarilyUnavailable:
    return TemporarilyUnavailable(Reason.CLIENT_LOOKUP_FAILED, f"the look-up raised {describe_error(error)}")


def _not_added(added: object) -> AuthenticationError:
    """Why a store did not answer True: replayed (the client's fault) or replay_store_unavailable (ours)."""
    if added is False:
        return InvalidClient(Reason.REPLAYED, "this client has used this jti before", "replay")
    return TemporarilyUnavailable(
        Reason.REPLAY_STORE_UNAVAILABLE, f"expected True or False of the store, got {type(added).__name__}"
    )


def _store_failed(error: Exception) -> TemporarilyUnavailable:
    """A store raised. Its own TemporarilyUnavailable stands: it knows more."""
    if isinstance(error, TemporarilyUnavailable) and error.reason in _STORE_REASONS:
        return error
    return TemporarilyUnavailable(Reason.REPLAY_STORE_UNAVAILABLE, f"the store raised {describe_error(error)}")


def registered_key(keys: jwk_set.KeySet, header: Header, signing_algs: Sequence[str]) -> VerificationKey:
    """The key of a client whose keys are registered by value. Raises InvalidClient."""
    key = keys.find(header.alg, header.kid, signing_algs)
    if isinstance(key, NoKey):
        raise jwk_set.refusal(key, header.kid)
    return key


# Sync


def sync_clients(clients: Clients) -> Callable[[str], RegisteredClient]:
    """Raises ConfigurationError; what it gives raises InvalidClient or TemporarilyUnavailable."""
    look_up = _look_up(clients)
    if inspect.iscoroutinefunction(look_up):
        raise ConfigurationError("clients is a coroutine function: take AsyncClientAssertionVerifier")

    def find(client_id: str) -> RegisteredClient:
        try:
            client = look_up(client_id)
        except Exception as error:  # the user's code: whatever it raises, nobody is let in
            raise lookup_failed(error) from error
        if isinstance(client, RegisteredClient) and client.client_id == client_id:
            return client
        raise not_found(client, client_id)

    return find


def sync_fetcher(fetcher: object) -> JWKSFetcher:
    """Raises ConfigurationError."""
    if not isinstance(fetcher, JWKSFetcher):
        raise ConfigurationError(f"fetcher must be a JWKSFetcher, not {type(fetcher).__name__}")
    return fetcher


def sync_store(store: ReplayStore) -> Callable[[bytes, float, float], None]:
    """Raises ConfigurationError; what it gives raises InvalidClient or TemporarilyUnavailable."""
    _check_store(store)
    if inspect.iscoroutinefunction(store.add):
        raise ConfigurationError("replay_store is asynchronous: take AsyncClientAssertionVerifier")

    add = store.add

    def mark(key: bytes, retain_until: float, now: float) -> None:
        try:
            added = add(key, retain_until, now)
        except Exception as error:  # the user's code: whatever it raises, nobody is let in
            raise _store_failed(error) from error
        if added is not True:
            raise _not_added(added)

    return mark


# Async


def async_clients(clients: AsyncClients) -> Callable[[str], Awaitable[RegisteredClient]]:
    """A function of the user's that is not a coroutine function may block: it is called in a thread."""
    known = _look_up(clients)
    look_up = as_coroutine_function(known, in_process=known is not clients)

    async def find(client_id: str) -> RegisteredClient:
        try:
            client = await look_up(client_id)
        except Exception as error:  # the user's code: whatever it raises, nobody is let in
            raise lookup_failed(error) from error
        if isinstance(client, RegisteredClient) and client.client_id == client_id:
            return client
        raise not_found(client, client_id)

    return find


class _AwaitedFetcher:
    """A sync fetcher in a coroutine."""

    def __init__(self, fetcher: JWKSFetcher) -> None:
        self.get_key = fetcher.get_key_async


def async_fetcher(fetcher: object) -> AsyncJWKSFetcher | _AwaitedFetcher:
    """Raises ConfigurationError."""
    if isinstance(fetcher, JWKSFetcher):
        return _AwaitedFetcher(fetcher)
    if not isinstance(fetcher, AsyncJWKSFetcher):
        raise ConfigurationError(f"fetcher must be an AsyncJWKSFetcher or a JWKSFetcher, not {type(fetcher).__name__}")
    return fetcher


def async_store(store: AsyncReplayStore | ReplayStore) -> Callable[[bytes, float, float], Awaitable[None]]:
    """A store of either kind; a sync one that may block is called in a thread."""
    _check_store(store)
    add = as_coroutine_function(store.add, in_process=is_in_process(store))

    async def mark(key: bytes, retain_until: float, now: float) -> None:
        try:
            added = await add(key, retain_until, now)
        except Exception as error:  # the user's code: whatever it raises, nobody is let in
            raise _store_failed(error) from error
        if added is not True:
            raise _not_added(added)

    return mark
