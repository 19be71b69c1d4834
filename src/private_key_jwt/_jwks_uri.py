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
_SEPARATORS = re.compile(r"[/?]")  # of an authority and what stands around it (RFC 3986 §3.2)
_URL_CHARACTERS = re.compile(r"[!-~]+")  # printable ASCII without space: a host in its A-label form (RFC 5890)


def is_loopback(host: str) -> bool:
    """Report whether a host is ``localhost`` or a literal loopback address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_jwks_uri(value: object, name: str = "jwks_uri") -> str:
    """Return a URL that may be fetched: absolute, https (http for loopback only), no userinfo, no fragment.

    Its host must be what it looks like (``check_host``), so that a person who reads it, every library, and the
    platform agree on who is asked. Which addresses are allowed is the fetcher's to say, when it connects.

    Raises ConfigurationError, which says by ``name`` what is wrong.
    """
    if not isinstance(value, str) or len(value) > _MAX_URL_LENGTH or not _URL_CHARACTERS.fullmatch(value):
        raise ConfigurationError(
            f"{name} must be a URL in printable ASCII of at most {_MAX_URL_LENGTH} characters, not {quote(value)}"
        )
    if "\\" in value or "#" in value:
        raise ConfigurationError(f"{name} must hold no fragment and no backslash: {quote(value)}")
    try:
        url = httpx.URL(value)
        host = url.host and url.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError) as error:  # ValueError: an A-label that decodes to nothing
        raise ConfigurationError(f"{name} is no URL: {quote(str(error))}") from None
    # Not `url.userinfo`: it is empty in `https://@host`, too. A query may hold an "@".
    if not host or "@" in _SEPARATORS.split(value)[2] or (url.port is not None and url.port not in _PORTS):
        raise ConfigurationError(f"{name} must name a host and no userinfo, and a port that exists: {quote(value)}")
    try:
        check_host(host)
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error} in {quote(value)}") from None
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(host)):
        raise ConfigurationError(f"{name} must be https: {quote(value)}")
    return value
