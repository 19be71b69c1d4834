"""The three things that a verification waits for: the client, its key, and the replay mark.

What a user hands to a verifier (registered clients, a key source, a replay store) is checked once and made into three
functions. Whatever a user's own code raises or answers, they raise AuthenticationErrors only: nobody is let in.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, Protocol

from ._core.describe import MILLISECONDS_FROM
from ._core.jwk_set import VerificationKey
from ._coroutines import as_coroutine_function, is_in_process
from ._text import describe_error, quote
from ._validation import check_handler, check_integer, check_number, is_coroutine_function, read_items
from .clients import LookUp, RegisteredClient, Unregistered, describe_source
from .exceptions import (
    RETRY_AFTER,
    STORE_REASONS,
    UNDECIDED,
    AuthenticationError,
    ConfigurationError,
    Detail,
    InvalidClient,
    Reason,
    TemporarilyUnavailable,
)
from .fetcher import AsyncJWKSFetcher, JWKSFetcher
from .policy import AssertionPolicy
from .stores import AsyncReplayStore, MemoryReplayStore, ReplayStore

__all__ = [
    "AsyncClients",
    "AsyncKeySource",
    "Clients",
    "KeySource",
    "async_clients",
    "async_keys",
    "async_store",
    "check_settings",
    "check_workers",
    "client_lookup_failed",
    "describe_keys",
    "lives_in_one_process",
    "not_found",
    "sync_clients",
    "sync_keys",
    "sync_store",
]

FoundClient = RegisteredClient | None
Clients = Iterable[RegisteredClient] | Mapping[str, RegisteredClient] | Callable[[str], FoundClient]
AsyncClients = Clients | Callable[[str], Awaitable[FoundClient]]


class KeySource(Protocol):
    """Give the keys of clients that publish them: a JWKSFetcher, or an object of your own.

        source: KeySource = JWKSFetcher(JWKSPolicy(ttl=60))
        verifier = ClientAssertionVerifier(..., fetcher=source)
        key = source.get_key(client, "RS256", kid)  # what the verifier asks for

    Any object that has this one method is one.
    """

    def get_key(self, client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey:
        """Return the one key of ``client`` for an assertion header.

        Raises InvalidClient (there is no such key) or TemporarilyUnavailable (it cannot be known now). Anything else
        that it raises is ``jwks_unavailable``.
        """
        ...


class AsyncKeySource(Protocol):
    """KeySource, awaited.

        source: AsyncKeySource = AsyncJWKSFetcher(JWKSPolicy(ttl=60))
        verifier = AsyncClientAssertionVerifier(..., fetcher=source)
        key = await source.get_key(client, "RS256", kid)  # what the verifier asks for

    An AsyncClientAssertionVerifier takes a KeySource, too.
    """

    async def get_key(self, client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey:
        """See KeySource.get_key."""
        ...


# Settings, checked once


def check_settings(policy: object, clock: object, on_event: object) -> None:
    """Check the settings of a verifier that are none of the three. Raises ConfigurationError."""
    check_handler(on_event)
    if not isinstance(policy, AssertionPolicy):
        raise ConfigurationError(f"policy must be an AssertionPolicy, not {type(policy).__name__}")
    if not callable(clock):
        raise ConfigurationError("clock must be a function that gives seconds since the epoch")
    try:
        check_number("clock()", clock(), 0, MILLISECONDS_FROM)
    except ConfigurationError as error:
        raise ConfigurationError(f"clock must give seconds since the epoch: {error}") from None


def check_workers(workers: int, store: object) -> None:
    """Refuse a store of one process for several workers. Raises ConfigurationError."""
    check_integer("workers", workers, 1, 1_000_000)
    if workers > 1 and lives_in_one_process(store):
        raise ConfigurationError(
            f"workers is {workers}, and {type(store).__name__} lives in one process: each worker would accept an"
            " assertion once. Take a store that they share: SQLiteReplayStore (one host), DjangoReplayStore,"
            " RedisReplayStore or SQLAlchemyReplayStore (several), from private_key_jwt.stores."
        )


def lives_in_one_process(store: object, depth: int = 3) -> bool:
    """Report whether a store says so, or is a wrapper around one that does."""
    if is_in_process(store):
        return True
    kept = _attributes(store) if depth else []
    return any(callable(getattr(each, "add", None)) and lives_in_one_process(each, depth - 1) for each in kept)


def _attributes(subject: object) -> list[object]:
    """Return what an object keeps, in its ``__dict__`` and in slots, also of base classes; for a method, its object.

    A slot is read through its descriptor: its name may be mangled, and it may be empty.
    """
    kept = list(vars(subject).values()) if hasattr(subject, "__dict__") else []
    for slot in filter(inspect.ismemberdescriptor, chain(*(vars(base).values() for base in type(subject).__mro__))):
        with suppress(AttributeError):
            kept.append(slot.__get__(subject))
    return [each.__self__ if inspect.ismethod(each) else each for each in kept]


def _check_store(store: object) -> None:
    if isinstance(store, type) or not callable(getattr(store, "add", None)):
        name = f"the class {store.__name__}" if isinstance(store, type) else type(store).__name__
        raise ConfigurationError(f"replay_store must be an object with a method add, not {name}")


def _check_key_source(fetcher: object) -> None:
    if isinstance(fetcher, type) or not callable(getattr(fetcher, "get_key", None)):
        name = f"the class {fetcher.__name__}" if isinstance(fetcher, type) else type(fetcher).__name__
        raise ConfigurationError(f"fetcher must be a JWKSFetcher, or an object with a method get_key, not {name}")


def _client_finder(clients: object, fetcher: object) -> Callable[[str], Any]:
    """Return the function that ``clients`` is, or one that finds a client in it. Raises ConfigurationError."""
    if isinstance(clients, Mapping):
        _check_known(read_items("clients", clients.items), fetcher)
        # Not copied: a client that leaves the mapping is unknown at once.
        return clients.get
    if callable(clients):
        return _look_up(clients)
    if not isinstance(clients, Iterable):
        raise ConfigurationError("clients must be RegisteredClients, a mapping of them, or a function")
    known: dict[str, RegisteredClient] = {}
    for client in read_items("clients", lambda: clients):
        if not isinstance(client, RegisteredClient):
            raise ConfigurationError(f"clients must hold RegisteredClients, not {type(client).__name__}")
        if client.client_id in known:
            raise ConfigurationError(f"clients holds {quote(client.client_id)} twice")
        known[client.client_id] = client
    _check_known(known.items(), fetcher)
    return known.get


def _look_up(clients: Callable[[str], Any]) -> Callable[[str], Any]:
    return clients.find if isinstance(clients, LookUp) else clients


def _check_known(known: Collection[tuple[str, Any]], fetcher: object) -> None:
    """Check the clients that are known at the start, and have the fetcher keep a key set for each."""
    for client_id, client in known:
        if not isinstance(client, RegisteredClient):
            raise ConfigurationError(f"clients must hold RegisteredClients, not {type(client).__name__}")
        if client.client_id != client_id:
            raise ConfigurationError(
                f"clients: the key {quote(client_id)} is not the client_id of its client, {quote(client.client_id)}:"
                " each client must stand under its own client_id"
            )
        if isinstance(fetcher, JWKSFetcher | AsyncJWKSFetcher):
            fetcher.check_client(client)
    if isinstance(fetcher, JWKSFetcher | AsyncJWKSFetcher):
        fetcher.reserve(len(known))


# Results, checked for each request


def not_found(client: object, client_id: str) -> AuthenticationError:
    """Say why the client was not found: unknown_client (its fault) or client_lookup_failed (ours)."""
    if client is None:
        return _unknown(lambda: f"no client is registered as {quote(client_id)}")
    if isinstance(client, Unregistered):
        return _unknown(client.detail)
    if isinstance(client, RegisteredClient):
        # A database that compares without case finds another client than the one that was asked for.
        return _unknown(f"no client is registered as {quote(client_id)}; there is one as {quote(client.client_id)}")
    return TemporarilyUnavailable(
        Reason.CLIENT_LOOKUP_FAILED,
        f"expected a RegisteredClient or None of clients({quote(client_id)}), got {type(client).__name__}",
    )


def _unknown(detail: Detail) -> InvalidClient:
    return InvalidClient(Reason.UNKNOWN_CLIENT, detail, "client")


def client_lookup_failed(error: Exception, client_id: str) -> AuthenticationError:
    """Say that finding a client raised: client_lookup_failed (ours)."""
    # Drivers of databases raise for it, so whoever sends one would make it ours.
    if type(client_id) is str and "\0" in client_id:
        return _unknown(f"no client is registered as {quote(client_id)}, which holds a NUL character")
    return TemporarilyUnavailable(
        Reason.CLIENT_LOOKUP_FAILED, f"finding client {quote(client_id)} raised {describe_error(error)}"
    )


def _key_failed(error: Exception) -> AuthenticationError:
    """Say that a key source raised: what its InvalidClient says, or that we could not decide."""
    reason = getattr(error, "reason", None)
    if isinstance(error, InvalidClient) and isinstance(reason, Reason) and reason not in UNDECIDED:
        return InvalidClient(reason, _detail_of(error), "key")
    return _undecided(error, "the key source", (Reason.JWKS_UNAVAILABLE,))


def _no_key(key: object) -> TemporarilyUnavailable:
    return TemporarilyUnavailable(
        Reason.JWKS_UNAVAILABLE, f"expected a VerificationKey of the key source, got {type(key).__name__}"
    )


def _not_added(added: object) -> AuthenticationError:
    """Say why a store did not return True: replayed (the client's fault) or replay_store_unavailable (ours)."""
    if added is False:
        return InvalidClient(
            Reason.REPLAYED,
            "this client has used this jti before (when is not kept): a retry needs a new assertion with a new jti; if"
            " it was no retry, the assertion was captured",
            "replay",
        )
    return TemporarilyUnavailable(
        Reason.REPLAY_STORE_UNAVAILABLE, f"expected True or False of the store, got {type(added).__name__}"
    )


def _store_failed(error: Exception) -> TemporarilyUnavailable:
    """Say that a store raised."""
    return _undecided(error, "the store", STORE_REASONS)


def _undecided(error: Exception, who: str, reasons: Sequence[Reason]) -> TemporarilyUnavailable:
    """Say that we could not decide: as a TemporarilyUnavailable with one of ``reasons`` says, which knows more.

    reasons: all that ``who`` can have; the first stands for whatever else was raised.
    """
    reason = getattr(error, "reason", None)
    if isinstance(error, TemporarilyUnavailable) and isinstance(reason, Reason) and reason in reasons:
        # Made anew, since one error may stand for many adds, and each refusal is reported once. Not copied: a class of
        # the user's own may take other arguments than ours.
        return TemporarilyUnavailable(reason, _detail_of(error), getattr(error, "retry_after", RETRY_AFTER))
    return TemporarilyUnavailable(reasons[0], f"{who} raised {describe_error(error)}")


def _detail_of(error: AuthenticationError) -> Detail:
    """Return a function that reads the detail of an error of the user's own, whose class or detail may be at fault."""

    def detail() -> str:
        try:
            return str(error.detail)
        except Exception as fault:  # the user's code: a detail must not decide
            return f"{type(error).__name__}, and its detail raised {describe_error(fault)}"

    return detail


def describe_keys(fetcher: object, client: RegisteredClient) -> str:
    """Say where the keys of a client are; of published ones how old, and when they are asked for again, if known."""
    described = fetcher.describe_set(client) if isinstance(fetcher, JWKSFetcher | AsyncJWKSFetcher) else None
    return described or describe_source(client)


# Sync


def sync_clients(clients: Clients, fetcher: AsyncKeySource | KeySource) -> Callable[[str], RegisteredClient]:
    """Return a function that finds a client. Raises ConfigurationError."""
    find = _client_finder(clients, fetcher)
    if is_coroutine_function(find):
        raise ConfigurationError("clients is a coroutine function: take AsyncClientAssertionVerifier")

    def find_client(client_id: str) -> RegisteredClient:
        try:
            client = find(client_id)
        except Exception as error:  # the user's code: whatever it raises, nobody is let in
            raise client_lookup_failed(error, client_id) from error
        if isinstance(client, RegisteredClient) and client.client_id == client_id:
            return client
        raise not_found(client, client_id)

    return find_client


def sync_keys(fetcher: KeySource) -> Callable[[RegisteredClient, str, str | None], VerificationKey]:
    """Return a function that gets the published key of a client. Raises ConfigurationError."""
    _check_key_source(fetcher)
    if is_coroutine_function(fetcher.get_key):
        raise ConfigurationError("fetcher is asynchronous: take JWKSFetcher, or AsyncClientAssertionVerifier")
    if isinstance(fetcher, JWKSFetcher):
        return fetcher.get_key
    ask = fetcher.get_key

    def get_key(client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey:
        try:
            key = ask(client, alg, kid)
        except Exception as error:  # the user's code: whatever it raises, nobody is let in
            raise _key_failed(error) from error
        if isinstance(key, VerificationKey):
            return key
        raise _no_key(key)

    return get_key


def sync_store(store: ReplayStore) -> Callable[[bytes, float, float], None]:
    """Return a function that marks an assertion as used. Raises ConfigurationError."""
    _check_store(store)
    if is_coroutine_function(store.add):
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


def async_clients(
    clients: AsyncClients, fetcher: AsyncKeySource | KeySource
) -> Callable[[str], Awaitable[RegisteredClient]]:
    """Return a coroutine function that finds a client. A function that may block is called in a thread."""
    if isinstance(clients, Mapping) or not callable(clients):
        find_at_once = sync_clients(clients, fetcher)

        # One coroutine in place of two: that takes 0.2 µs off an accepted assertion. Likewise in `async_store`.
        async def find_known_client(client_id: str) -> RegisteredClient:
            return find_at_once(client_id)

        return find_known_client
    find = as_coroutine_function(_look_up(clients), in_process=False)

    async def find_client(client_id: str) -> RegisteredClient:
        try:
            client = await find(client_id)
        except Exception as error:  # the user's code: whatever it raises, nobody is let in
            raise client_lookup_failed(error, client_id) from error
        if isinstance(client, RegisteredClient) and client.client_id == client_id:
            return client
        raise not_found(client, client_id)

    return find_client


def async_keys(
    fetcher: AsyncKeySource | KeySource,
) -> Callable[[RegisteredClient, str, str | None], Awaitable[VerificationKey]]:
    """Return a coroutine function that gets the published key of a client. A sync source is called in a thread."""
    _check_key_source(fetcher)
    if isinstance(fetcher, JWKSFetcher):
        return fetcher.get_key_async
    if isinstance(fetcher, AsyncJWKSFetcher):
        return fetcher.get_key
    ask = as_coroutine_function(fetcher.get_key, in_process=is_in_process(fetcher))

    async def get_key(client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey:
        try:
            key = await ask(client, alg, kid)
        except Exception as error:  # the user's code: whatever it raises, nobody is let in
            raise _key_failed(error) from error
        if isinstance(key, VerificationKey):
            return key
        raise _no_key(key)

    return get_key


def async_store(store: AsyncReplayStore | ReplayStore) -> Callable[[bytes, float, float], Awaitable[None]]:
    """Return a coroutine function that marks an assertion as used.

    A store that may block is called in a thread, unless it has an ``add_async``, which is awaited.
    """
    _check_store(store)
    if type(store) is MemoryReplayStore:
        mark_at_once = sync_store(store)

        async def mark_in_memory(key: bytes, retain_until: float, now: float) -> None:
            mark_at_once(key, retain_until, now)

        return mark_in_memory
    add = as_coroutine_function(getattr(store, "add_async", store.add), in_process=is_in_process(store))

    async def mark(key: bytes, retain_until: float, now: float) -> None:
        try:
            added = await add(key, retain_until, now)
        except Exception as error:  # the user's code: whatever it raises, nobody is let in
            raise _store_failed(error) from error
        if added is not True:
            raise _not_added(added)

    return mark
