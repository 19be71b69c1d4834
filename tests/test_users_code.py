"""Whatever a user's own clients, key source or store raise or return, nothing but an AuthenticationError comes out."""

from __future__ import annotations

import contextlib
import gc
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edges import Edge
from openid_provider import OpenIDProvider
from private_key_jwt import (
    AssertionPolicy,
    AsyncJWKSFetcher,
    AuthenticationError,
    ClientAssertionVerifier,
    ConfigurationError,
    InvalidClient,
    JWKSFetcher,
    JWKSPolicy,
    MemoryReplayStore,
    Reason,
    RegisteredClient,
    TemporarilyUnavailable,
    events,
)
from private_key_jwt._core.jwk_set import key_set
from private_key_jwt.exceptions import RETRY_AFTER
from private_key_jwt.stores import SQLiteReplayStore
from private_key_jwt.testing import Clock, RelyingParty
from support import OP


@pytest.fixture
def op(edge: Edge, clock: Clock) -> Iterator[OpenIDProvider]:
    with OpenIDProvider(edge, clock, AssertionPolicy(audience=OP), JWKSPolicy(allow_http_loopback=True)) as op:
        yield op


def refusal(op: OpenIDProvider, place: str, code: Callable[..., Any], **settings: Any) -> AuthenticationError:
    """Verify a good assertion with such code in one of the three places, in each form it may have there."""
    found = []
    for given in (code, in_coroutine(code))[: 1 + (op.edge.name == "async")]:
        made = {
            "clients": given,
            "fetcher": type("Keys", (), {"get_key": staticmethod(given)})(),
            "replay_store": type("Store", (), {"add": staticmethod(given)})(),
        }
        verifier = op.make(**{place: made[place]}, **settings)
        left = "nothing"
        try:
            verifier.verify(op.tenant.assertion())
        except AuthenticationError as error:
            found.append(error)
            continue
        except Exception as error:  # not raised on: pytest cannot show one whose attributes raise
            left = type(error).__name__
        pytest.fail(f"expected an AuthenticationError, {left} left the verifier")
    assert len({(each.reason, each.detail) for each in found}) == 1
    return found[0]


def in_coroutine(code: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any) -> Any:
        return code(*args)

    return call


def raiser(error: Exception) -> Callable[..., Any]:
    def code(*_args: object) -> Any:
        raise error

    return code


PLACES = {
    "clients": (Reason.CLIENT_LOOKUP_FAILED, "client"),
    "fetcher": (Reason.JWKS_UNAVAILABLE, "key"),
    "replay_store": (Reason.REPLAY_STORE_UNAVAILABLE, "replay"),
}


class ShardMissing(ConfigurationError):
    """An error of a user's whose text raises."""

    def __str__(self) -> str:
        raise OSError("no shard")


@pytest.mark.parametrize("place", PLACES)
def test_only_clients_can_say_that_a_client_must_not_be_registered(op: OpenIDProvider, place: str) -> None:
    seen: list[events.Event] = []
    error = refusal(op, place, raiser(ConfigurationError("no such\nshard")), on_event=seen.append)
    assert (error.reason, error.check) == PLACES[place]
    told = [each for each in seen if isinstance(each, events.RegistrationRefused)]
    expected = events.RegistrationRefused(client_id=op.tenant.client_id, detail=r"no such\nshard")
    assert set(told) == ({expected} if place == "clients" else set())


def test_a_registration_that_is_refused_without_a_readable_text_is_an_event(op: OpenIDProvider) -> None:
    seen: list[events.Event] = []
    refusal(op, "clients", raiser(ShardMissing()), on_event=seen.append)
    assert seen[0] == events.RegistrationRefused(client_id=op.tenant.client_id, detail="ShardMissing")


async def verify_in_a_coroutine(_signature: bytes, _signing_input: bytes) -> bool:
    return False


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"verify": verify_in_a_coroutine}, "got one of alg 'RS256', .* whose verify is asynchronous"),
        ({"verify": lambda *_: 1}, "expected True or False of verify of the key, got int"),
        ({"verify": lambda *_: None}, "expected True or False of verify of the key, got NoneType"),
        ({"verify": raiser(ZeroDivisionError("KMS"))}, "verify of the key raised ZeroDivisionError: 'KMS'"),
        (
            {"alg": "PS256"},
            "expected a VerificationKey for RS256 of the key source, got one of alg 'PS256'",
        ),
        ({"alg": "none"}, "got one of alg 'none'"),
        ({"public_key": b"PEM"}, "public_key bytes"),
    ],
)
def test_a_key_of_the_users_own_lets_nobody_in_but_by_true(
    op: OpenIDProvider, changes: dict[str, Any], said: str
) -> None:
    [key] = key_set(op.tenant.document(), 64).members[0].keys[:1]
    source = type("Keys", (), {"get_key": lambda *_: replace(key, **changes)})()
    with pytest.raises(TemporarilyUnavailable, match=said) as raised:
        op.make(fetcher=source).verify(op.tenant.assertion())
    assert raised.value.reason is Reason.JWKS_UNAVAILABLE


def test_a_key_of_the_users_own_is_asked_about_the_signature(op: OpenIDProvider) -> None:
    [key] = key_set(op.tenant.document(), 64).members[0].keys[:1]
    answers = [True, False]
    source = type("Keys", (), {"get_key": lambda *_: replace(key, verify=lambda *_: answers.pop(0))})()
    verifier = op.make(fetcher=source)
    assert verifier.verify(op.tenant.assertion()).client_id == op.tenant.client_id
    with pytest.raises(InvalidClient) as raised:
        verifier.verify(op.tenant.assertion())
    assert raised.value.reason is Reason.BAD_SIGNATURE


def in_place_of(kind: type[Any], name: str, code: Callable[..., Any]) -> Any:
    """Make a class of the user's that has a method of its own in place of one of ours."""
    return type(kind.__name__, (kind,), {name: code})


def test_a_fetcher_whose_get_key_a_user_overrode_lets_nobody_in_by_what_that_raises(op: OpenIDProvider) -> None:
    error = RuntimeError("no vault")
    kinds = [in_place_of(JWKSFetcher, "get_key", raiser(error))]
    if op.edge.name == "async":
        kinds.append(in_place_of(AsyncJWKSFetcher, "get_key", in_coroutine(raiser(error))))
    for kind in kinds:
        fetcher = kind(JWKSPolicy(allow_http_loopback=True))
        with pytest.raises(TemporarilyUnavailable, match="raised RuntimeError: 'no vault'") as raised:
            op.make(fetcher=fetcher).verify(op.tenant.assertion())
        assert raised.value.reason is Reason.JWKS_UNAVAILABLE


def test_a_fetcher_of_a_class_derived_from_ours_finds_keys(op: OpenIDProvider) -> None:
    kinds = [JWKSFetcher, AsyncJWKSFetcher][: 1 + (op.edge.name == "async")]
    for kind in kinds:
        fetcher = in_place_of(kind, "other", raiser(KeyError()))(JWKSPolicy(allow_http_loopback=True))
        assert op.make(fetcher=fetcher).verify(op.tenant.assertion()).client_id == op.tenant.client_id


@pytest.mark.parametrize("form", ["class", "wrapper", "instance"])
def test_the_add_that_a_user_put_in_place_of_ours_is_called(op: OpenIDProvider, tmp_path: Path, form: str) -> None:
    """A store of ours has another one for event loops, which knows nothing of it."""
    keys: list[bytes] = []

    def mark(key: bytes, _expires_at: float, _now: float) -> bool:
        keys.append(key)
        return True

    def mark_of(_self: object, *args: Any) -> bool:
        return mark(*args)

    with contextlib.closing(SQLiteReplayStore(tmp_path / "marks.db")) as ours:
        store: Any = ours
        if form == "class":
            store = object.__new__(in_place_of(SQLiteReplayStore, "add", mark_of))
            vars(store).update(vars(ours))
        elif form == "wrapper":
            hand_on = {"add": mark_of, "__getattr__": lambda _self, name: getattr(ours, name)}
            store = type("Wrapper", (), hand_on)()
        else:
            store.add = mark
        op.make(replay_store=store).verify(op.tenant.assertion())
    assert len(keys) == 1


def no_context(_self: object) -> Any:
    raise RuntimeError("no context")


def raising_property(error: type[AuthenticationError], name: str, *args: Any) -> AuthenticationError:
    """Make an error of which one attribute raises when it is read."""
    made: AuthenticationError = type("Odd", (error,), {"__init__": lambda _self: None, name: property(no_context)})()
    for given, value in zip(("reason", "_detail", "retry_after"), args, strict=False):
        if given != name:
            setattr(made, given, value)
    return made


@pytest.mark.parametrize("name", ["reason", "retry_after", "detail", "__class__"])
@pytest.mark.parametrize("kind", [TemporarilyUnavailable, InvalidClient, AuthenticationError])
@pytest.mark.parametrize("place", PLACES)
def test_an_error_with_an_attribute_that_raises_lets_nobody_in(
    op: OpenIDProvider, place: str, kind: type[AuthenticationError], name: str
) -> None:
    error = refusal(op, place, raiser(raising_property(kind, name, PLACES[place][0], "x", 7)))
    assert (error.reason, error.check) == PLACES[place]
    assert isinstance(error, TemporarilyUnavailable)
    assert error.to_response().headers["Retry-After"].isdecimal()


WAITS = [None, math.inf, -math.inf, math.nan, "7", True, -1, 86_401, 10**5_000, 1j]


@pytest.mark.parametrize("wait", [pytest.param(wait, id=str(place)) for place, wait in enumerate(WAITS)])
def test_a_time_to_wait_that_is_none_is_ours(op: OpenIDProvider, wait: Any) -> None:
    for place in ("fetcher", "replay_store"):
        error = TemporarilyUnavailable(PLACES[place][0], "away")
        error.retry_after = wait
        found = refusal(op, place, raiser(error))
        assert isinstance(found, TemporarilyUnavailable)
        assert (found.reason, found.detail) == (PLACES[place][0], "away")
        assert found.to_response().headers["Retry-After"] == str(RETRY_AFTER)


@pytest.mark.parametrize(("wait", "told"), [(0, "1"), (6.5, "7"), (86_400, "86400")])
def test_a_time_to_wait_is_told_as_it_is(op: OpenIDProvider, wait: float, told: str) -> None:
    for place in ("fetcher", "replay_store"):
        error = TemporarilyUnavailable(PLACES[place][0], "away")
        error.retry_after = wait  # type: ignore[assignment]
        assert refusal(op, place, raiser(error)).to_response().headers["Retry-After"] == told


def test_a_detail_of_a_user_s_error_is_one_line(op: OpenIDProvider) -> None:
    error = refusal(op, "replay_store", raiser(TemporarilyUnavailable(Reason.REPLAY_STORE_FULL, "it\nis full")))
    assert (error.reason, error.detail) == (Reason.REPLAY_STORE_FULL, r"it\nis full")


@pytest.mark.parametrize("place", PLACES)
def test_a_proxy_of_what_is_not_there_lets_nobody_in(op: OpenIDProvider, place: str) -> None:
    proxy = type("Proxy", (), {"__class__": property(no_context)})()
    error = refusal(op, place, lambda *_args: proxy)
    assert (error.reason, error.check) == PLACES[place]


def test_a_client_whose_client_id_raises_lets_nobody_in(op: OpenIDProvider) -> None:
    client: Any = type("Lazy", (RegisteredClient,), {"client_id": property(no_context)})
    error = refusal(op, "clients", lambda _client_id: object.__new__(client))
    assert (error.reason, error.check) == PLACES["clients"]
    assert "raised RuntimeError: 'no context'" in error.detail


def test_a_client_that_is_known_by_another_name_only_once_lets_nobody_in(op: OpenIDProvider) -> None:
    def found(_client_id: str) -> Any:
        names = iter(["another"])
        client: Any = type("Lazy", (RegisteredClient,), {"client_id": property(lambda _self: next(names))})
        return object.__new__(client)

    error = refusal(op, "clients", found)
    assert (error.reason, error.check) == (Reason.UNKNOWN_CLIENT, "client")
    assert error.detail.startswith(f"no client is registered as '{op.tenant.client_id}'; there is one as None")


@pytest.mark.parametrize("clients", [lambda _client_id: None, raiser(OSError("no route"))])
def test_a_refusal_goes_with_who_catches_it(clock: Clock, clients: Any) -> None:
    """A frame that keeps the error that leaves it makes a cycle: a flood of them would wait for the collector."""
    tenant = RelyingParty(audience=OP, clock=clock).tenant()
    verifier = ClientAssertionVerifier(
        policy=AssertionPolicy(audience=OP), clients=clients, replay_store=MemoryReplayStore(), clock=clock
    )
    before = set(map(id, refusals()))
    gc.disable()
    try:
        with contextlib.suppress(AuthenticationError):
            verifier.verify(tenant.assertion())
        assert [each for each in refusals() if id(each) not in before] == []
    finally:
        gc.enable()


def refusals() -> list[object]:
    return [each for each in gc.get_objects() if issubclass(type(each), AuthenticationError)]


def test_no_function_is_asked_for_a_client_id_that_no_database_takes(op: OpenIDProvider) -> None:
    asked: list[object] = []

    def find(client_id: str) -> None:
        asked.append(client_id)

    for clients in (find, in_coroutine(find))[: 1 + (op.edge.name == "async")]:
        verifier = op.make(clients=clients)
        with pytest.raises(InvalidClient, match=r"no client is registered as 'a\\x00b', which holds a NUL character"):
            verifier.verify(op.tenant.assertion(iss="a\0b", sub="a\0b"))
        assert verifier.is_registered("a\0b") is False
        assert asked == []
        assert verifier.is_registered("nobody") is False
        assert verifier.is_registered(7) is False
        assert asked == ["nobody", 7]
        asked.clear()
