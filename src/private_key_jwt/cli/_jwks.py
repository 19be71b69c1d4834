"""``jwks``: the keys of a client, and what is wrong with each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, cast

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from .._core import base64url, jwk_set
from .._core.jwk_set import KeySet, Member, NoKey
from .._text import quote
from ..exceptions import Reason, TemporarilyUnavailable
from ..policy import JWKSPolicy
from ..stores import JWKSDocument, MemoryJWKSCache
from . import _options as options
from ._options import KeySource
from ._output import ExitCode, console, printable

_ABSENT = "-"


class KeyReport(NamedTuple):
    """One key for the table. ``fault`` is None for a key that can be used."""

    kid: str
    kty: str
    alg: str
    use: str
    bits: str
    fault: str | None


def jwks(
    *,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", show_default=False, help="A file that holds a JWK Set.")
    ] = None,
    slug: options.SlugOption = None,
    base_url: options.BaseUrlOption = None,
    jwks_uri: options.JwksUriOption = None,
    allow_http_loopback: options.LoopbackOption = False,
) -> None:
    """Show the keys of a client, and what is wrong with each.

    Exit code 0: every key can be used. 1: a fault, or no key at all. 2: wrong use. 3: the keys cannot be had now.
    """
    source = options.require_keys(
        KeySource(slug=slug, base_url=base_url, jwks_uri=jwks_uri, file=file, allow_http_loopback=allow_http_loopback),
        "--slug, --jwks-uri or FILE",
    )
    document = _load(source)
    try:
        reports = list(report(document, needs_kid=source.slug is not None))
    except ValueError as error:
        raise typer.BadParameter(f"{source.name}: {error}") from None
    _show(source.name, reports, is_private=any(map(jwk_set.private_members, document["keys"])))
    raise typer.Exit(ExitCode.OK if reports and not _faulty(reports) else ExitCode.REFUSED)


def _load(source: KeySource) -> Mapping[str, Any]:
    """The document, from its file or its publisher."""
    if source.document is not None:
        return source.document
    uri = str(source.uri)
    cache = MemoryJWKSCache()
    try:
        with source.fetcher(cache) as fetcher:
            fetcher.refresh(uri)
    except TemporarilyUnavailable as error:
        typer.echo(f"{uri}: cannot be fetched: {printable(error.detail)}", err=True)
        raise typer.Exit(ExitCode.UNAVAILABLE) from None
    # The key set holds what can be used; what was published, the rest included, stands in the cache.
    published = cast(JWKSDocument, cache.get(uri, 0))
    return jwk_set.loads_document(published.body)


def report(document: Mapping[str, Any], *, needs_kid: bool = False) -> Iterator[KeyReport]:
    """What is to be said of each member of a JWK Set. Raises ValueError when the document is none.

    needs_kid: whether its client must name a key in each assertion, as LedgerBee's must.
    """
    max_keys = JWKSPolicy().max_keys
    keys = jwk_set.key_set(document, max_keys)
    for jwk in jwk_set.read_document(document, max_keys):
        members = jwk if isinstance(jwk, Mapping) else {}
        yield KeyReport(
            kid=_value(members, "kid"),
            kty=_value(members, "kty"),
            alg=_value(members, "alg"),
            use=_value(members, "use"),
            bits=_bits(members),
            fault=_fault(keys, jwk_set.read_member(jwk), needs_kid=needs_kid),
        )


def _value(members: Mapping[str, Any], name: str) -> str:
    """A value as published; of a string the quotes are left off."""
    if name not in members:
        return _ABSENT
    value = members[name]
    return quote(value)[1:-1] if isinstance(value, str) else quote(value)


def _bits(members: Mapping[str, Any]) -> str:
    try:
        return str(int.from_bytes(base64url.decode(members["n"].encode()), "big").bit_length())
    except (KeyError, AttributeError, ValueError):
        return _ABSENT


def _fault(keys: KeySet, member: Member, *, needs_kid: bool) -> str | None:
    """What is wrong with a key by itself, or why it can never be chosen among the others."""
    if not member.keys:
        return member.fault
    if needs_kid and member.kid is None:
        return "no kid, and an assertion of LedgerBee must name one"
    found = [keys.find(alg, member.kid, (alg,)) for alg in member.algs]
    if not any(isinstance(each, NoKey) and each.reason is Reason.AMBIGUOUS_KEY for each in found):
        return None
    return "no kid, and not the only key" if member.kid is None else "duplicate kid: another key has it, too"


def _faulty(reports: list[KeyReport]) -> list[KeyReport]:
    return [each for each in reports if each.fault is not None]


def _show(name: str, reports: list[KeyReport], *, is_private: bool) -> None:
    out = console()
    out.print(Text(name), soft_wrap=True)
    if not reports:
        out.print("The key set is empty: the slug is unknown, or the client has no signing key yet.", style="bold red")
        return
    table = Table(box=SIMPLE_HEAD)
    for title in ("kid", "kty", "alg", "use"):
        table.add_column(title, overflow="fold")
    table.add_column("bits", justify="right")
    table.add_column("verdict", overflow="fold")
    for each in reports:
        verdict = Text("usable", "green") if each.fault is None else Text(printable(each.fault), "bold red")
        table.add_row(*map(Text, each[:-1]), verdict)
    out.print(table)
    out.print(f"{len(reports) - len(_faulty(reports))} of {len(reports)} usable")
    if is_private:
        out.print(
            "A PRIVATE key is published: whoever has read it can sign as this client. Replace the key now.",
            style="bold red",
        )
