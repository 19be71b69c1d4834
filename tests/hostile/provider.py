"""What each row of the catalogue is played against: one OpenID Provider, one client, one publisher of its keys."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from edges import LOOPBACK, Edge
from loopback import Publisher
from private_key_jwt import (
    AssertionPolicy,
    AuthenticationError,
    ConfigurationError,
    JWKSPolicy,
    MemoryReplayStore,
    Reason,
    RegisteredClient,
)
from private_key_jwt._core.token_request import ASSERTION_TYPE
from private_key_jwt.clients import unchecked_client
from private_key_jwt.testing import Clock
from support import OP, jwk, sign

CLIENT = "client-1"
LEEWAY = 15

# What can come of an attempt, beside a Reason.
ACCEPTED = "accepted"
CONFIGURATION = "ConfigurationError"
REFUSED = "refused, for whatever reason of ours"

Attempt = Callable[[], Any]
Cases = Iterator[tuple[str, Attempt]]


class Provider:
    """An OpenID Provider at ``OP`` that knows ``client-1``, whose only key is registered by value unless published."""

    def __init__(
        self, edge: Edge, publisher: Publisher, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        self.edge, self.publisher, self.clock = edge, publisher, clock
        self.monkeypatch, self.tmp_path = monkeypatch, tmp_path
        self.store = MemoryReplayStore()
        self.clients: dict[str, RegisteredClient] = {}
        self.register(jwk())
        self.verifier = self.make()
        self._numbers = itertools.count()

    # The provider

    def make(self, *, fetching: JWKSPolicy = LOOPBACK, **settings: Any) -> Any:
        """A verifier, with a fetcher of its own."""
        defaults: dict[str, Any] = {
            "policy": AssertionPolicy(audience=OP, leeway=15, max_lifetime=300),  # which its rows are about
            "clients": self.clients,
            "replay_store": self.store,
            "fetcher": self.edge.fetcher(fetching, clock=self.clock),
            "clock": self.clock,
        }
        return self.edge.verifier(**(defaults | settings))

    def remake(self, **settings: Any) -> None:
        """Go on with another verifier."""
        self.verifier = self.make(**settings)

    def register(self, *keys: Any, client_id: str = CLIENT, **settings: Any) -> None:
        """Register a client by value, also one whose keys are all unusable: as a model of a framework would."""
        self.clients[client_id] = unchecked_client(client_id, jwks={"keys": list(keys)}, **settings)

    def publish(self, *keys: Any, client_id: str = CLIENT, path: str = "/jwks.json") -> str:
        """Register a client that publishes these keys; with none, what is published stays."""
        self.publisher.keys = list(keys) or self.publisher.keys
        uri = self.publisher.uri(path)
        self.clients[client_id] = RegisteredClient(client_id, jwks_uri=uri)
        return uri

    # What is sent to it

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of a valid assertion, with changes; ``...`` leaves one out."""
        now = int(self.clock())
        claims = {
            "iss": CLIENT,
            "sub": CLIENT,
            "aud": OP,
            "exp": now + 60,
            "iat": now,
            "jti": f"j{next(self._numbers)}",
        }
        return {name: value for name, value in (claims | changes).items() if value is not ...}

    def header(self, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The header of a valid assertion, with changes; ``...`` leaves a parameter out."""
        header = {"alg": "RS256", "kid": "k1"} | dict(changes or {})
        return {name: value for name, value in header.items() if value is not ...}

    def token(self, header: Mapping[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
        """An assertion, changed and signed again."""
        return self.raw(json.dumps(self.header(header)), json.dumps(self.claims(**claims)), key)

    def raw(self, header: str | bytes | None = None, payload: str | bytes | None = None, key: Any = None) -> str:
        """An assertion over exactly this header and this payload."""
        texts = (
            (json.dumps(self.header()) if header is None else header),
            (json.dumps(self.claims()) if payload is None else payload),
        )
        head, body = (text.encode() if isinstance(text, str) else text for text in texts)
        return sign(head, body, key)

    # Attempts

    def sent(self, assertion: Any, client_id: str | None = None) -> Attempt:
        """The assertion by itself."""
        return lambda: self.verifier.verify(assertion, client_id)

    def form(
        self, authorization: str | None = None, pairs: list[tuple[str, Any]] | None = None, /, **extra: Any
    ) -> Attempt:
        """A token request; parameters by name, or pairs with repeats."""
        form: Any = pairs if pairs is not None else {"client_assertion_type": ASSERTION_TYPE} | extra
        if isinstance(form, dict):
            form = {name: value for name, value in form.items() if value is not ...}
        return lambda: self.verifier.authenticate(form, authorization)

    def registered(self, **settings: Any) -> Attempt:
        """A registration."""
        return lambda: RegisteredClient(CLIENT, **settings)


class Row(NamedTuple):
    """A row of the catalogue: its cases, as (what must come of it, attempt)."""

    id: str
    cases: Callable[[Provider], Cases]

    @property
    def text(self) -> str:
        """What is tried: the name of the function, or its docstring where there is more to say."""
        return self.cases.__doc__ or self.cases.__name__.replace("_", " ")

    @property
    def attack_class(self) -> str:
        return CLASSES[self.id[0]]


CLASSES = {
    "P": "token request",
    "S": "serialization",
    "H": "header",
    "X": "signature and keys",
    "C": "claims",
    "T": "times",
    "R": "replay",
    "U": "where keys are fetched",
    "B": "answers of a publisher",
    "K": "odd keys among good ones",
    "F": "cache and rotation",
    "E": "what is answered",
}

ROWS: dict[str, Row] = {}


def row(number: str) -> Callable[[Callable[[Provider], Cases]], Callable[[Provider], Cases]]:
    """Add a row: what is tried is the name of the function."""

    def add(cases: Callable[[Provider], Cases]) -> Callable[[Provider], Cases]:
        assert number not in ROWS
        ROWS[number] = Row(number, cases)
        return cases

    return add


def outcome(attempt: Attempt) -> str:
    """What came of an attempt."""
    try:
        attempt()
    except AuthenticationError as error:
        assert len(error.detail) <= 300
        assert error.detail.isascii()
        assert error.detail.isprintable()
        return error.reason
    except ConfigurationError:
        return CONFIGURATION
    except Exception as error:  # what must never come
        return f"foreign {error!r}"
    return ACCEPTED


def each(*values: Any) -> tuple[Any, ...]:
    """Values of any type, one after the other."""
    return values


def one(name: str, value: Any) -> dict[str, Any]:
    """One member."""
    return {name: value}


def is_as_expected(got: str, expected: str) -> bool:
    return got == expected or (expected == REFUSED and isinstance(got, Reason))
