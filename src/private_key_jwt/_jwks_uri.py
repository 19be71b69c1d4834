"""Decide which URL a client may register for its keys."""

from __future__ import annotations

import ipaddress
import re

import httpx

from ._core.addresses import check_host
from ._text import quote
from .exceptions import ConfigurationError

__all__ = ["check_jwks_uri", "is_loopback"]

_MAX_URL_LENGTH = 2_048
_PORTS = range(1, 65_536)
_SEPARATORS = re.compile(r"[/?#\\]")  # of an authority and what stands behind it (RFC 3986 §3.2)
_NO_URL_CHARACTER = re.compile(r"[^!-~]")  # not printable ASCII, or a space
_MOST_COLONS = 2  # behind the scheme, and in front of a port
_SCHEMES = ("https://", "http://")


def is_loopback(host: str) -> bool:
    """Report whether a host is ``localhost`` or a literal loopback address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_text(value: object, name: str) -> str:
    """Return a text that begins as a URL may, of characters that one may hold. Raises ConfigurationError."""
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be a URL in a text, not {quote(value)}")
    # Before anything of it is quoted. Not `url.userinfo`: it is empty in `https://@host`, too.
    if "@" in _SEPARATORS.split(value.partition("//")[2], maxsplit=1)[0]:
        raise ConfigurationError(f"{name} must hold no user name and no password (it is not shown here)")
    if len(value) > _MAX_URL_LENGTH:
        raise ConfigurationError(f"{name} must be a URL of at most {_MAX_URL_LENGTH} characters, not of {len(value)}")
    if odd := _NO_URL_CHARACTER.search(value):
        raise ConfigurationError(
            f"{name} must be a URL in printable ASCII without spaces (a host in its xn-- form, RFC 5890), and character"
            f" {odd.start() + 1} is {odd[0]!a}: {quote(value)}"
        )
    if not value.lower().startswith(_SCHEMES):
        raise ConfigurationError(f"{name} must be https, and begin with https://: {quote(value)}")
    return value


def check_jwks_uri(value: object, name: str = "jwks_uri") -> str:
    """Return a URL that may be fetched: absolute, https (http for loopback only), no userinfo, no fragment.

    Its host must be what it looks like (``check_host``), so that a person who reads it, every library, and the
    platform agree on who is asked. Which addresses are allowed is the fetcher's to say, when it connects.

    Raises ConfigurationError, which says by ``name`` what is wrong.
    """
    value = _check_text(value, name)
    if "\\" in value or "#" in value:
        raise ConfigurationError(f"{name} must hold no fragment and no backslash: {quote(value)}")
    try:
        url = httpx.URL(value)
        host = url.host and url.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError) as error:  # ValueError: an A-label that decodes to nothing
        hint = "; an IPv6 address stands in brackets" * (value.count(":") > _MOST_COLONS)
        raise ConfigurationError(f"{name} is no URL: {quote(str(error))}{hint}") from None
    if not host or f"{host}://" in _SCHEMES:
        raise ConfigurationError(f"{name} must name a host: {quote(value)}")
    if url.port is not None and url.port not in _PORTS:
        raise ConfigurationError(f"{name} must name a port from 1 to 65535, or none: {quote(value)}")
    try:
        check_host(host)
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error} in {quote(value)}") from None
    if url.scheme != "https" and not is_loopback(host):
        raise ConfigurationError(f"{name} must be https: {quote(value)}")
    return value
