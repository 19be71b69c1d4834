"""The two policies: what an assertion must satisfy, and how published keys are fetched and kept.

Both are immutable and validated once, here, so that nothing has to be checked again for a request.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, get_args

from ._text import quote
from ._validation import check_flag, check_integer, check_number, check_timeout, read_sequence
from .exceptions import ConfigurationError

__all__ = ["AssertionPolicy", "JWKSPolicy"]

AudienceRule = Literal["string", "sole", "all", "member"]

Network = IPv4Network | IPv6Network

_DAY = 86_400
_LAST_PORT = 65_535

LONGEST_LIFETIME = _DAY
"""The most seconds that ``AssertionPolicy.max_lifetime`` may be."""

LONGEST_TTL = _DAY
"""The most seconds that ``JWKSPolicy.ttl`` may be: caches keep a document for so long."""

LONGEST_WINDOW = 3_600
"""The most seconds that ``JWKSPolicy.fetch_window`` may be."""

LONGEST_LEEWAY = 300
"""The most seconds that ``AssertionPolicy.leeway`` may be."""

# A network, and no name, is what is all digits. No URL that may be fetched names a host with a dot at its end.
_HOST_NAME = re.compile(r"(?=.*[a-z])(?!\.)[a-z0-9._-]{0,252}[a-z0-9_-]")

# What stands in quotes or brackets as a whole, of an environment file, a template or JSON; and what was not filled in.
_WRAPPED = re.compile(r"""["'\[{<].*["'\]}>]|.*(\$\{|\{\{).*""")


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionPolicy:
    """Say what a client assertion must satisfy (RFC 7523 §3, OpenID Connect Core §9).

        policy = AssertionPolicy(audience="https://op.example.com")
        older = AssertionPolicy(audience=[issuer, token_endpoint], audience_rule="all")
        verifier = ClientAssertionVerifier(..., policy=policy)

    audience: the values of ``aud`` that name this server: its issuer, and only for clients that cannot
        send that, the URL of its token endpoint. Compared code point for code point (RFC 3986 §6.2.1).
        It has no default and is never taken from a request. White space in it is refused, and quotes or brackets around
        it.
    audience_rule: ``"string"`` takes a bare string only (FAPI 2.0 Security Profile §5.3.2.1), ``"sole"``
        also a list of one (RFC 10070 §4), ``"all"`` a list of which every value is one of ``audience`` (what older
        clients send: issuer and token endpoint), ``"member"`` one accepted value anywhere in a list (RFC 7519
        §4.1.3; an assertion for several servers can be used at each of them).
    leeway: seconds (0 to 300) of clock difference forgiven in ``exp``, ``nbf`` and ``iat``.
    max_lifetime: seconds (1 to 86,400) that an assertion may live; it bounds the replay store.
    require_iat, require_kid: refuse an assertion without the ``iat`` claim, the ``kid`` header parameter.
    require_typ: take only ``typ: client-authentication+jwt`` (RFC 10070 §4).
    max_assertion_bytes: bytes (256 to 1,048,576); a larger assertion is refused unread.

    Raises ConfigurationError, which names the field.
    """

    audience: str | Sequence[str]
    audience_rule: AudienceRule = "sole"
    leeway: float = 15
    max_lifetime: float = 300
    require_iat: bool = False
    require_kid: bool = False
    require_typ: bool = False
    max_assertion_bytes: int = 16_384
    audiences: frozenset[str] = field(init=False, repr=False, compare=False)
    """The accepted values of ``aud``."""

    def __post_init__(self) -> None:
        audience = _audience(self.audience)
        if self.audience_rule not in get_args(AudienceRule):
            rules = ", ".join(map(repr, get_args(AudienceRule)))
            raise ConfigurationError(f"audience_rule must be one of {rules}, not {quote(self.audience_rule)}")
        check_number("leeway", self.leeway, 0, LONGEST_LEEWAY)
        check_number("max_lifetime", self.max_lifetime, 1, LONGEST_LIFETIME)
        check_flag("require_iat", self.require_iat)
        check_flag("require_kid", self.require_kid)
        check_flag("require_typ", self.require_typ)
        check_integer("max_assertion_bytes", self.max_assertion_bytes, 256, 1_048_576)
        # What the caller passed may be a list: it must not be able to change under a running verifier.
        object.__setattr__(self, "audience", self.audience if isinstance(self.audience, str) else audience)
        object.__setattr__(self, "audiences", frozenset(audience))


def _audience(value: object) -> tuple[str, ...]:
    expected = "a non-empty string or a sequence of them"
    values = (value,) if isinstance(value, str) else read_sequence("audience", value, expected)
    if not values or not all(isinstance(each, str) and each for each in values):
        raise ConfigurationError(f"audience must be {expected}, not {quote(value)}")
    for each in values:
        if not each.isprintable() or any(map(str.isspace, each)):
            # Out of a file or an environment variable: no client could ever send it.
            raise ConfigurationError(f"audience must hold no white space and no control character: {quote(each)}")
        if _WRAPPED.fullmatch(each):
            raise ConfigurationError(
                f"audience must be as clients send it, without quotes or brackets around it, filled in: {quote(each)}"
            )
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class JWKSPolicy:
    """Say how published JWK Sets are fetched and kept.

        fetcher = JWKSFetcher(JWKSPolicy(ttl=60, allow_private_hosts=["idp.internal"]))

    Times are in seconds.

    ttl: how long a fetched set is used (1 to 86,400), counted from the moment it was asked for. It is also
        how long a key that has left the set may still be accepted.
    fetch_limit, fetch_window: at most that many fetches (1 to 100) of one ``jwks_uri`` within
        any window (1 to 3,600), whatever starts them and whatever comes back (OpenID Connect Core §10.1.1
        asks for the refetch; nothing there stops a stranger from causing one for each request).
    empty_ttl: how long a set without keys is kept (1 to 86,400; never longer than ``ttl``).
    refresh_ahead: the part of ``ttl`` (0.01 to 1) after which a set in use is refetched in the
        background; 1 turns it off.
    stale_if_error: how long after ``ttl`` (0 to 3,600) keys may still be used when a fetch was tried and
        failed. It prolongs the life of a key that was removed: 0, off, unless you know why.
    timeout: the whole of one fetch (0.01 to 60): host name resolution, connect, headers and body.
    max_bytes: the most that a document may hold (256 to 16,777,216 bytes, after decompression).
    max_keys: the most members that a JWK Set may have (1 to 1,024).
    allow_http_loopback: take plain ``http``, and any port, for a literal loopback address or ``localhost``. For
        tests.
    allow_ports: the ports (1 to 65,535) that a ``jwks_uri`` may name.
    allow_private_hosts: where keys may be fetched inside of your own network: names of hosts in lower case,
        addresses, or networks (``"idp.internal"``, ``"10.1.0.0/16"``). By default no connection is made to an
        address that is not on the Internet (RFC 6890): loopback, private, shared, link-local and the like, decided
        on the address that is connected to. What no key set is ever at stays refused: metadata services of
        clouds, link-local and multicast addresses, and addresses that hide another one.

    Raises ConfigurationError, which names the field.
    """

    ttl: float = 300
    fetch_limit: int = 2
    fetch_window: float = 30
    empty_ttl: float = 30
    refresh_ahead: float = 0.8
    stale_if_error: float = 0
    timeout: float = 3
    max_bytes: int = 65_536
    max_keys: int = 64
    allow_http_loopback: bool = False
    allow_ports: Sequence[int] = (443,)
    allow_private_hosts: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_number("ttl", self.ttl, 1, LONGEST_TTL)
        check_integer("fetch_limit", self.fetch_limit, 1, 100)
        check_number("fetch_window", self.fetch_window, 1, LONGEST_WINDOW)
        check_number("empty_ttl", self.empty_ttl, 1, LONGEST_TTL)
        check_number("refresh_ahead", self.refresh_ahead, 0.01, 1)
        check_number("stale_if_error", self.stale_if_error, 0, 3_600)
        check_timeout(self.timeout)
        check_integer("max_bytes", self.max_bytes, 256, 16_777_216)
        check_integer("max_keys", self.max_keys, 1, 1_024)
        check_flag("allow_http_loopback", self.allow_http_loopback)
        # What the caller passed may be a list: it must not be able to change under a running fetcher.
        ports = read_sequence("allow_ports", self.allow_ports, "a list of integers")
        hosts = read_sequence("allow_private_hosts", self.allow_private_hosts, "a list of texts")
        for port in ports:
            if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= _LAST_PORT:
                raise ConfigurationError(f"allow_ports must hold integers from 1 to {_LAST_PORT}, not {quote(port)}")
        if not ports:
            raise ConfigurationError("allow_ports must not be empty")
        for host in hosts:
            read_private_host(host)
        object.__setattr__(self, "allow_ports", ports)
        object.__setattr__(self, "allow_private_hosts", hosts)


def read_private_host(value: object) -> str | Network:
    """Read a host of ``allow_private_hosts``: its name, or the network that it is in. Raises ConfigurationError."""
    if isinstance(value, str):
        if _HOST_NAME.fullmatch(value):
            return value
        with suppress(ValueError):
            return ipaddress.ip_network(value)
        with suppress(ValueError):
            network = ipaddress.ip_network(value, strict=False)
            raise ConfigurationError(
                f"allow_private_hosts must hold networks without host bits, not {quote(value)}: write {network} for the"
                f" network, or {value.partition('/')[0]} for the one address"
            )
    raise ConfigurationError(
        "allow_private_hosts must hold names in lower case, addresses or networks,"
        f" without a scheme or a port, not {quote(value)}"
    )
