"""Describe a JSON object that is no JWK Set, for its publisher."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._text import quote

__all__ = ["describe_shape", "json_kind"]

_KINDS: tuple[tuple[Any, str], ...] = (
    (Mapping, "an object"),
    (list | tuple, "an array"),
    (str, "a text"),
    (bool, "a boolean"),
    (int, "a number"),
    (float, "a number"),
    (type(None), "null"),
)
_PEM = "-----BEGIN"


def _is_pem(document: Mapping[str, Any]) -> bool:
    return all(isinstance(value, str) and value.startswith(_PEM) for value in document.values())


def _is_by_name(document: Mapping[str, Any]) -> bool:
    return all(isinstance(value, Mapping) and "kty" in value for value in document.values())


def _saying(document: Mapping[str, Any]) -> str | None:
    """Return what a gateway writes in place of a document that it does not give."""
    said = (document.get(name) for name in ("message", "Message", "title", "detail"))
    return next((each for each in said if isinstance(each, str) and each), None)


# The first that fits counts.
_LOOKS: tuple[tuple[Callable[[Mapping[str, Any]], bool], Callable[[Mapping[str, Any]], str]], ...] = (
    (lambda it: not it, lambda _: "it has no members"),
    (lambda it: "kty" in it, lambda _: "it is a single JWK, and belongs into a list, the member keys"),
    (
        lambda it: isinstance(it.get("jwks_uri"), str),
        lambda it: f"it is a discovery document: its jwks_uri is {quote(it['jwks_uri'])}",
    ),
    (lambda it: "jwks" in it, lambda _: "it has jwks: the value of that must be published alone"),
    (lambda it: "error" in it, lambda it: f"it has an error: {quote(it['error'])}"),
    (lambda it: _saying(it) is not None, lambda it: f"it says {quote(_saying(it))}"),
    (_is_pem, lambda _: "it has PEM in place of JWKs"),
    (_is_by_name, lambda _: "it has JWKs by their names, and they belong into a list, the member keys"),
    (lambda _: True, lambda it: f"its members are {quote(list(it))}"),
)


def json_kind(value: object) -> str:
    """Name the kind of a JSON value."""
    return next((name for kind, name in _KINDS if isinstance(value, kind)), type(value).__name__)


def describe_shape(document: Mapping[str, Any]) -> str:
    """Say why ``keys`` of a document is no list, and what the document looks like."""
    if "keys" in document:
        return f"keys is {json_kind(document['keys'])}, and must be a list"
    for name in document:
        if isinstance(name, str) and name.lower() == "keys":
            return f"it has {quote(name)}: keys is written in lower case"
    return f"keys is absent; {next(describe(document) for fits, describe in _LOOKS if fits(document))}"
