"""The three things that a verification waits for: the client, its key, and the replay mark.

What a user hands to a verifier (registered clients, a key source, a replay store) is checked once and made into three
functions. Whatever a user's own code raises or answers, they raise AuthenticationErrors only: nobody is let in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, Protocol

from ._core.jwk_set import VerificationKey
from ._coroutines import as_coroutine_function, is_in_process
from ._registered_keys import skipped_keys
from ._results import (
    client_lookup_failed,
    guarded,
    is_key_for,
    key_failed,
    no_key,
    not_added,
    not_found,
    store_failed,
    with_nul,
)
from ._settings import check_has_method
from ._text import quote
from ._validation import is_coroutine_function, read_items
from .clients import LookUp, RegisteredClient, describe_source
from .events import OnEvent, emit
from .exceptions import ConfigurationError
from .fetcher import AsyncJWKSFetcher, JWKSFetcher
from .stores import AsyncReplayStore, MemoryReplayStore, ReplayStore

__all__ = [
    "AsyncClients",
    "AsyncKeySource",
    "Clients",
    "KeySource",
    "async_clients",
    "async_keys",
    "async_store",
    "describe_keys",
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
        """Return the one key of ``client`` for an assertion header. Its ``verify`` must return True or False, at once.

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


# Clients, checked once


def _client_finder(clients: object, fetcher: object, on_event: OnEvent | None) -> Callable[[str], Any]:
    """Return the function that ``clients`` is, or one that finds a client in it. Raises ConfigurationError."""
    if isinstance(clients, Mapping):
        _check_known(read_items("clients", clients.items), fetcher, on_event)
        # Not copied: a client that leaves the mapping is unknown at once.
        return clients.get
    if callable(clients):
        return _look_up(clients)
    if not isinstance(clients, Iterable):
        kinds = "a list of RegisteredClients, a mapping of them by client_id, or a function of a client_id"
        raise ConfigurationError(f"clients must be {kinds}, not {type(clients).__name__}")
    known: dict[str, RegisteredClient] = {}
    for client in read_items("clients", lambda: clients):
        if not isinstance(client, RegisteredClient):
            raise ConfigurationError(f"clients must hold RegisteredClients, not {type(client).__name__}")
        if client.client_id in known:
            raise ConfigurationError(f"clients holds {quote(client.client_id)} twice")
        known[client.client_id] = client
    _check_known(known.items(), fetcher, on_event)
    return known.get


def _look_up(clients: Callable[[str], Any]) -> Callable[[str], Any]:
    return clients.find if isinstance(clients, LookUp) else clients


def _check_known(known: Collection[tuple[str, Any]], fetcher: object, on_event: OnEvent | None) -> None:
    """Check the clients that are known at the start, and have the fetcher keep a key set for each.

    on_event: gets an event for each of their keys by value that cannot be used; these have been logged.
    """
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
    if on_event is not None:
        for _, client in known:
            for event in () if client.keys is None else skipped_keys(client.keys):
                emit(on_event, event)


def describe_keys(fetcher: object, client: RegisteredClient) -> str:
    """Say where the keys of a client are; of published ones how old, and when they are asked for again, if known."""
    described = fetcher.describe_set(client) if isinstance(fetcher, JWKSFetcher | AsyncJWKSFetcher) else None
    return described or describe_source(client)


_OURS = (JWKSFetcher.get_key, JWKSFetcher.get_key_async, AsyncJWKSFetcher.get_key)


def _raises_ours_only(get_key: object) -> bool:
    """Report whether a method is ours, and raises AuthenticationErrors only: a derived class may have another."""
    return getattr(get_key, "__func__", None) in _OURS


def _for_event_loop(subject: object, name: str) -> Callable[..., Any]:
    """Return the method for event loops, ``add_async`` beside ``add``, where one class has both; else ``add`` itself.

    One that is inherited, or that a wrapper hands on, knows nothing of what a user put in the place of ``add``.
    """
    method: Callable[..., Any] = getattr(subject, name)
    owner: Mapping[str, Any] = next((vars(kind) for kind in type(subject).__mro__ if name in vars(kind)), {})
    has_both = f"{name}_async" in owner and getattr(method, "__func__", None) is owner[name]
    return getattr(subject, f"{name}_async") if has_both else method


# Sync


def sync_clients(
    clients: Clients, fetcher: AsyncKeySource | KeySource, on_event: OnEvent | None
) -> Callable[[str], RegisteredClient]:
    """Return a function that finds a client. Raises ConfigurationError."""
    find = _client_finder(clients, fetcher, on_event)
    asks = callable(clients) and not isinstance(clients, Mapping)
    if is_coroutine_function(find):
        raise ConfigurationError("clients is a coroutine function: take AsyncClientAssertionVerifier")

    def find_client(client_id: str) -> RegisteredClient:
        try:
            has_nul = asks and type(client_id) is str and "\0" in client_id
            client = with_nul(client_id) if has_nul else find(client_id)
            if isinstance(client, RegisteredClient) and client.client_id == client_id:
                return client
        except Exception as error:  # the user's code: whatever it raises, nobody is let in
            raise client_lookup_failed(error, client_id) from error
        raise not_found(client, client_id)

    return find_client


def sync_keys(fetcher: KeySource) -> Callable[[RegisteredClient, str, str | None], VerificationKey]:
    """Return a function that gets the published key of a client. Raises ConfigurationError."""
    check_has_method("fetcher", fetcher, "get_key", "a JWKSFetcher, or an object")
    if is_coroutine_function(fetcher.get_key):
        raise ConfigurationError("fetcher is asynchronous: take JWKSFetcher, or AsyncClientAssertionVerifier")
    ask = fetcher.get_key
    if _raises_ours_only(ask):
        return ask

    def get_key(client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey:
        try:
            key = ask(client, alg, kid)
            if is_key_for(alg, key):
                return guarded(key)
        except Exception as error:  # the user's code: whatever it raises, nobody is let in
            raise key_failed(error) from error
        raise no_key(alg, key)

    return get_key


def sync_store(store: ReplayStore) -> Callable[[bytes, float, float], None]:
    """Return a function that marks an assertion as used. Raises ConfigurationError."""
    check_has_method("replay_store", store, "add", "an object")
    if is_coroutine_function(store.add):
        raise ConfigurationError("replay_store is asynchronous: take AsyncClientAssertionVerifier")

    add = store.add

    def mark(key: bytes, retain_until: float, now: float) -> None:
        try:
            added = add(key, retain_until, now)
        except Exception as error:  # the user's code: whatever it raises, nobody is let in
            raise store_failed(error) from error
        if added is not True:
            raise not_added(added)

    return mark


# Async


def async_clients(
    clients: AsyncClients, fetcher: AsyncKeySource | KeySource, on_event: OnEvent | None
) -> Callable[[str], Awaitable[RegisteredClient]]:
    """Return a coroutine function that finds a client. A function that may block is called in a thread."""
    if isinstance(clients, Mapping) or not callable(clients):
        find_at_once = sync_clients(clients, fetcher, on_event)

        # One coroutine in place of two: that takes 0.2 µs off an accepted assertion. Likewise in `async_store`.
        async def find_known_client(client_id: str) -> RegisteredClient:
            return find_at_once(client_id)

        return find_known_client
    find, asks = as_coroutine_function(_look_up(clients), in_process=False), True

    async def find_client(client_id: str) -> RegisteredClient:
        try:
            has_nul = asks and type(client_id) is str and "\0" in client_id
            client = with_nul(client_id) if has_nul else await find(client_id)
            if isinstance(client, RegisteredClient) and client.client_id == client_id:
                return client
        except Exception as error:  # the user's code: whatever it raises, nobody is let in
            raise client_lookup_failed(error, client_id) from error
        raise not_found(client, client_id)

    return find_client


def async_keys(
    fetcher: AsyncKeySource | KeySource,
) -> Callable[[RegisteredClient, str, str | None], Awaitable[VerificationKey]]:
    """Return a coroutine function that gets the published key of a client. A sync source is called in a thread."""
    check_has_method("fetcher", fetcher, "get_key", "a JWKSFetcher, or an object")
    ask = _for_event_loop(fetcher, "get_key")
    if _raises_ours_only(ask):
        return ask
    ask = as_coroutine_function(ask, in_process=is_in_process(fetcher))

    async def get_key(client: RegisteredClient, alg: str, kid: str | None) -> VerificationKey:
        try:
            key = await ask(client, alg, kid)
            if is_key_for(alg, key):
                return guarded(key)
        except Exception as error:  # the user's code: whatever it raises, nobody is let in
            raise key_failed(error) from error
        raise no_key(alg, key)

    return get_key


def async_store(store: AsyncReplayStore | ReplayStore) -> Callable[[bytes, float, float], Awaitable[None]]:
    """Return a coroutine function that marks an assertion as used.

    A store that may block is called in a thread, unless its class has an ``add_async``, too, which is awaited.
    """
    check_has_method("replay_store", store, "add", "an object")
    if type(store) is MemoryReplayStore:
        mark_at_once = sync_store(store)

        async def mark_in_memory(key: bytes, retain_until: float, now: float) -> None:
            mark_at_once(key, retain_until, now)

        return mark_in_memory
    add = as_coroutine_function(_for_event_loop(store, "add"), in_process=is_in_process(store))

    async def mark(key: bytes, retain_until: float, now: float) -> None:
        try:
            added = await add(key, retain_until, now)
        except Exception as error:  # the user's code: whatever it raises, nobody is let in
            raise store_failed(error) from error
        if added is not True:
            raise not_added(added)

    return mark
