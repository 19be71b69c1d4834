"""``jwks``: the keys of a client, what is wrong with each, and what may be wrong for others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from time import time
from typing import Annotated, Any, NamedTuple

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .._core import jwk_set
from .._core.jwk_set import KeySet, Member, NoKey
from .._core.response import FetchError
from .._registration import check_signing_algs
from .._text import escape_name, format_time, one_line, quote, quote_json
from ..exceptions import Reason
from ..fetcher import fetch_document
from ..policy import JWKSPolicy
from . import _options as options
from ._lint import lint_document, lint_key, lint_reuse
from ._options import KeyOptions
from ._output import ExitCode, console, echo, printable

_ABSENT = "-"


class KeyReport(NamedTuple):
    """One key for the table. ``fault`` is None for a key that can be used; ``warnings`` are what others may mind.

    thumbprint: RFC 7638, SHA-256; None where the key cannot be read.
    """

    kid: str
    kind: str
    alg: str
    use: str
    serves: str
    fault: str | None
    warnings: tuple[str, ...]
    thumbprint: str | None


class AlgReport(NamedTuple):
    """Say which keys serve one algorithm, by their names, and why each other one does not."""

    alg: str
    kids: tuple[str, ...]
    faults: tuple[str, ...]


class Published(NamedTuple):
    """A JWK Set as it stands in a file or was published, and what is odd about the whole.

    age: seconds for which a cache in between had kept it.
    """

    document: Mapping[str, Any]
    warnings: tuple[str, ...]
    age: int = 0


def jwks(
    *,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", show_default=False, help="A file that holds a JWK Set.")
    ] = None,
    slug: options.SlugOption = None,
    base_url: options.BaseUrlOption = None,
    jwks_uri: options.JwksUriOption = None,
    allow_http_loopback: options.LoopbackOption = False,
    allow_private_host: options.PrivateHostOption = None,
    allow_port: options.PortOption = None,
    alg: Annotated[
        list[str] | None,
        typer.Option(
            "--alg", metavar="ALG", help="Say which keys serve this algorithm, or why none does. May be repeated."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the keys of a client, what each can serve, what is wrong with it, and what other servers may mind.

    The thumbprint of each (RFC 7638, SHA-256) says whether it is the key of which the client has the private part: the
    client prints the same of a FILE with its own public keys.

    With --alg, say it for a client that may sign with these: a key without alg serves one of them at most.

    Exit code 0: every key can be used; with --alg, a key serves each. 1: a fault, or no key. 2: wrong use. 3: the keys
    cannot be had now.
    """
    source = options.require_keys(
        KeyOptions(
            slug=slug,
            base_url=base_url,
            jwks_uri=jwks_uri,
            file=file,
            allow_http_loopback=allow_http_loopback,
            allow_private_hosts=allow_private_host,
            allow_ports=allow_port,
        ),
        "--slug, --jwks-uri or FILE",
    )
    with options.usage_errors():
        algs = check_signing_algs(alg) if alg else ()
    published = _load(source)
    try:
        reports = list(report(published.document, needs_kid=source.slug is not None))
        served = list(report_algs(published.document, algs))
    except ValueError as error:
        raise typer.BadParameter(f"{source.name}: {error}") from None
    if as_json:
        keys = [each._asdict() for each in reports]
        by_alg = {"algs": [each._asdict() for each in served]} if algs else {}
        whole = {"source": source.name, "age": published.age, "warnings": published.warnings}
        echo(json.dumps({**whole, "keys": keys, **by_alg}))
    else:
        is_private = any(map(jwk_set.private_members, published.document["keys"]))
        _show(source, reports, published, is_private=is_private)
        _show_algs(served)
    is_good = all(each.kids for each in served) if algs else bool(reports) and not _faulty(reports)
    raise typer.Exit(ExitCode.OK if is_good else ExitCode.REFUSED)


def _load(source: KeyOptions) -> Published:
    """Read the document, from its file or its publisher."""
    if source.document is not None:
        return Published(source.document, ())
    uri = str(source.uri)
    try:
        response = fetch_document(uri, source.policy())
        max_keys = source.policy().max_keys
        document = jwk_set.loads_document(response.body, max_keys)
        jwk_set.key_set(document, max_keys)
    except (FetchError, ValueError) as error:
        echo(f"{uri}: cannot be fetched: {printable(one_line(str(error)))}", err=True)
        raise typer.Exit(ExitCode.UNAVAILABLE) from None
    return Published(document, tuple(lint_document(response.media_type, response.body)), response.age)


def report(document: Mapping[str, Any], *, needs_kid: bool = False) -> Iterator[KeyReport]:
    """Say what there is to say of each member of a JWK Set. Raises ValueError when the document is none.

    needs_kid: whether its client must name a key in each assertion, as LedgerBee's must.
    """
    max_keys = JWKSPolicy().max_keys
    keys = jwk_set.key_set(document, max_keys)
    for jwk in jwk_set.read_document(document, max_keys):
        members = jwk if isinstance(jwk, Mapping) else {}
        member = jwk_set.read_member(jwk)
        yield KeyReport(
            kid=_value(members, "kid"),
            kind=member.kind,
            alg=_value(members, "alg"),
            use=_value(members, "use"),
            serves=", ".join(member.algs) or _ABSENT,
            fault=_fault(keys, member, needs_kid=needs_kid),
            warnings=(*lint_key(jwk, member), *lint_reuse(member, keys.members)),
            thumbprint=next((key.thumbprint for key in member.keys), None),
        )


def report_algs(document: Mapping[str, Any], algs: Sequence[str]) -> Iterator[AlgReport]:
    """Say for each algorithm which keys of a JWK Set serve it, for a client that may use all of ``algs``."""
    keys = jwk_set.key_set(document, JWKSPolicy().max_keys)
    for alg in algs:
        kids, faults = [], []
        for member in keys.members:
            name = "a key without kid" if member.kid is None else quote(member.kid)
            found = keys.find(alg, member.kid, algs)
            fault = member.fault_for(alg, algs) or (isinstance(found, NoKey) and jwk_set.join(found.faults))
            if fault:
                faults.append(f"{name}: {fault}")
            else:
                kids.append(name)
        yield AlgReport(alg, tuple(kids), tuple(faults))


def _value(members: Mapping[str, Any], name: str) -> str:
    """Return a value as published; of a string the quotes are left off."""
    if name not in members:
        return _ABSENT
    value = members[name]
    return escape_name(value) if isinstance(value, str) else quote_json(value)


def _fault(keys: KeySet, member: Member, *, needs_kid: bool) -> str | None:
    """Say what is wrong with a key by itself, or why it can never be chosen among the others."""
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


def _show(source: KeyOptions, reports: list[KeyReport], published: Published, *, is_private: bool) -> None:
    out = console()
    out.print(Text(source.name), soft_wrap=True)
    if source.uri is not None:
        out.print(Text(f"Asked at {format_time(time())}{_describe_age(published.age)}.", "dim"))
    _show_warnings(out, published.warnings)
    if not reports:
        out.print("The key set is empty: the slug is unknown, or the client has no signing key yet.", style="bold red")
        return
    table = Table(box=SIMPLE_HEAD)
    for title in ("kid", "key", "alg", "use", "serves", "verdict"):
        table.add_column(title, overflow="fold")
    for each in reports:
        verdict = Text("usable", "green") if each.fault is None else Text(printable(each.fault), "bold red")
        table.add_row(*map(Text, (each.kid, each.kind, each.alg, each.use, each.serves)), verdict)
    out.print(table)
    _show_warnings(out, [f"key {each.kid}: {warning}" for each in reports for warning in each.warnings])
    out.print(f"{len(reports) - len(_faulty(reports))} of {len(reports)} usable")
    for kid, thumbprint in [(each.kid, each.thumbprint) for each in reports if each.thumbprint]:
        out.print(Text(f"Thumbprint of {kid}: {thumbprint}"), soft_wrap=True)
    if is_private:
        out.print(
            "A PRIVATE key is published: whoever has read it can sign as this client. Replace the key now.",
            style="bold red",
        )


def _show_warnings(out: Console, warnings: Iterable[str]) -> None:
    for warning in warnings:
        out.print(Text(f"Warning: {printable(warning)}", "yellow"))


def _describe_age(age: int) -> str:
    return f", from a cache that had kept it for {age} s: a key published since is not in it" if age else ""


def _show_algs(served: list[AlgReport]) -> None:
    out = console()
    for alg, kids, faults in served:
        if kids:
            out.print(Text(f"{alg} is served by {printable(', '.join(kids))}", "green"))
            continue
        out.print(Text(f"{alg} is served by no key", "bold red"))
        for fault in faults:
            out.print(Text(f"  {printable(fault)}"))
