"""The options that commands share: what they are called, and what is made of them."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer

from .. import ledgerbee
from .._core import jwk_set
from .._core.describe import LAST_TIME
from .._jwks_uri import check_jwks_uri
from .._text import quote
from .._validation import check_number
from ..clients import RegisteredClient, unchecked_client
from ..exceptions import ConfigurationError
from ..fetcher import JWKSFetcher
from ..policy import AssertionPolicy, AudienceRule, JWKSPolicy
from ._output import echo, printable

# More than any policy takes as an assertion: reading on would change nothing.
_MAX_INPUT = 2**21
DEFAULT_POLICY = AssertionPolicy(audience="-")
"""The defaults of a policy, for options."""

API_KEY, ACCESS_TOKEN = "LEDGERBEE_API_KEY", "LEDGERBEE_ACCESS_TOKEN"
"""The environment variables that hold what a call to LedgerBee authenticates with."""

_SAME_NAMES = (
    *("audience", "audience_rule", "base_url", "client_id", "client_reference_id", "customer", "customer_id", "email"),
    *("host", "jwks", "jwks_uri", "leeway", "max_lifetime", "membership", "mint_checkout_bind_token", "mint_handoff"),
    *("name", "now", "role", "slug", "sub", "timeout", "user_name"),
)
NAMES: Mapping[str, str] = {
    **{name: f"--{name.replace('_', '-')}" for name in _SAME_NAMES},
    "access_token": ACCESS_TOKEN,
    "allow_ports": "--allow-port",
    "allow_private_hosts": "--allow-private-host",
    "api_key": API_KEY,
    "organization_display_name": "--organization-name",
    "signing_algs": "--alg",
}
"""The arguments of the library that its errors name, and what a user of the command line typed in their place."""

_NAME = "|".join(sorted(NAMES, key=len, reverse=True))
# A quoted value stays as it is. A name that is a word, too, is one at the beginning, or beside another name.
_QUOTED_OR_NAMED = re.compile(
    r"(?<!\w)(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
    rf"|^(?:{_NAME})(?= must |: | is )|\b(?=[a-z]+_)(?:{_NAME})\b(?: and (?:{_NAME})\b)?"
)

_KEYS, _POLICY = "Where the keys are", "The server's policy"

AssertionArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="ASSERTION|-", show_default=False, help="The assertion; from standard input when absent or -."
    ),
]
_AUDIENCE = typer.Option("--audience", metavar="A", help="A value of aud that names your server. May be repeated.")
_CLIENT_ID = typer.Option("--client-id", metavar="C", help="The client, as registered at your server.")
AudienceOption = Annotated[list[str] | None, _AUDIENCE]
RequiredAudienceOption = Annotated[list[str], _AUDIENCE]
ClientIdOption = Annotated[str | None, _CLIENT_ID]
RequiredClientIdOption = Annotated[str, _CLIENT_ID]
SlugOption = Annotated[
    str | None, typer.Option("--slug", metavar="S", rich_help_panel=_KEYS, help="A LedgerBee tenant's portal slug.")
]
BaseUrlOption = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="U",
        rich_help_panel=_KEYS,
        help=f"With --slug: the root of LedgerBee's API, {ledgerbee.BASE_URL} unless given.",
    ),
]
JwksUriOption = Annotated[
    str | None,
    typer.Option("--jwks-uri", metavar="U", rich_help_panel=_KEYS, help="The URL of any client's JWK Set."),
]
JwksFileOption = Annotated[
    Path | None, typer.Option("--jwks", metavar="FILE", rich_help_panel=_KEYS, help="A file that holds a JWK Set.")
]
LoopbackOption = Annotated[
    bool,
    typer.Option(
        "--allow-http-loopback", rich_help_panel=_KEYS, help="Take plain http, for a server on this machine only."
    ),
]
AlgOption = Annotated[
    list[str] | None,
    typer.Option("--alg", metavar="ALG", help="What the client may sign with: RS256 unless given. May be repeated."),
]
AlgToCheckOption = Annotated[
    list[str] | None,
    typer.Option(
        "--alg",
        metavar="ALG",
        help="What the client is registered for: not checked unless given, with --slug RS256. May be repeated.",
    ),
]
PrivateHostOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-private-host",
        metavar="H",
        rich_help_panel=_KEYS,
        help="A name, address or network of your own where keys may be fetched. May be repeated.",
    ),
]
PortOption = Annotated[
    list[int] | None,
    typer.Option(
        "--allow-port", metavar="P", rich_help_panel=_KEYS, help="A port beside 443 for a JWK Set. May be repeated."
    ),
]
NowOption = Annotated[
    str | None,
    typer.Option(
        "--now", metavar="T", help="Judge as if it were this time: 2026-11-29T18:13:00Z, or seconds since the epoch."
    ),
]
LeewayOption = Annotated[
    float,
    typer.Option("--leeway", metavar="S", rich_help_panel=_POLICY, help="Seconds of clock difference forgiven."),
]
MaxLifetimeOption = Annotated[
    float,
    typer.Option("--max-lifetime", metavar="S", rich_help_panel=_POLICY, help="Seconds that an assertion may live."),
]
AudienceRuleOption = Annotated[
    str,
    typer.Option(
        "--audience-rule",
        metavar="|".join(get_args(AudienceRule)),
        rich_help_panel=_POLICY,
        help="What aud may be. string: one string. sole: also a list of one. all: also a list, all of it yours."
        " member: also a list, one of it yours.",
    ),
]
RequireIatOption = Annotated[
    bool, typer.Option("--require-iat", rich_help_panel=_POLICY, help="Refuse an assertion without iat.")
]
RequireKidOption = Annotated[
    bool, typer.Option("--require-kid", rich_help_panel=_POLICY, help="Refuse one without kid; with --slug always so.")
]
RequireTypOption = Annotated[
    bool,
    typer.Option("--require-typ", rich_help_panel=_POLICY, help="Take only typ client-authentication+jwt."),
]


@contextmanager
def usage_errors() -> Iterator[None]:
    """Report what the library refuses as a wrong use of the command: exit 2, and the text names what was typed.

    Raises typer.BadParameter.
    """
    try:
        yield
    except (ConfigurationError, ValueError) as error:
        raise typer.BadParameter(printable(_QUOTED_OR_NAMED.sub(_option, str(error)))) from None


def _option(found: re.Match[str]) -> str:
    """Name an argument of the library, or two, as the command line does; leave a quoted value."""
    return " and ".join(NAMES.get(name, name) for name in found[0].split(" and "))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOptions:
    """Say where the keys are: at most one of a slug, a URL and a file. Raises typer.BadParameter."""

    slug: str | None = None
    base_url: str | None = None
    jwks_uri: str | None = None
    file: Path | None = None
    allow_http_loopback: bool = False
    allow_private_hosts: Sequence[str] | None = None
    allow_ports: Sequence[int] | None = None
    algs: Sequence[str] | None = None
    document: Mapping[str, Any] | None = field(init=False, repr=False, compare=False)
    """The content of the file; it is read once, for a pipe can be read no second time."""

    def __post_init__(self) -> None:
        if sum(source is not None for source in (self.slug, self.jwks_uri, self.file)) > 1:
            raise typer.BadParameter("the keys are in one place: give only one of a slug, a URL and a file.")
        if self.base_url is not None and self.slug is None:
            raise typer.BadParameter("--base-url goes with --slug, and that is absent.")
        if self.uri is not None and self.uri.startswith("http:") and not self.allow_http_loopback:
            raise typer.BadParameter("the keys come over plain http: add --allow-http-loopback if that is a test.")
        with usage_errors():
            object.__setattr__(self, "document", None if self.file is None else _read_document(self.file))

    @property
    def is_given(self) -> bool:
        """Report whether there are keys at all."""
        return self.uri is not None or self.file is not None

    @property
    def uri(self) -> str | None:
        """The URL to fetch, when the keys are not in a file."""
        with usage_errors():
            if self.slug is not None:
                return ledgerbee.jwks_uri(self.slug, base_url=self.base_url or ledgerbee.BASE_URL)
            return None if self.jwks_uri is None else check_jwks_uri(self.jwks_uri)

    @property
    def name(self) -> str:
        """The URL or the file, for people."""
        return self.uri or printable(str(self.file))

    def client(self, client_id: str, algs: Sequence[str] | None = None, *, needs_kid: bool = True) -> RegisteredClient:
        """Make the client that has these keys; without any, one whose key must not be asked for.

        algs: what it may sign with, in place of --alg.
        needs_kid: whether a LedgerBee tenant must name a kid, as it must.
        """
        with usage_errors():
            algs = tuple(algs or self.algs or ("RS256",))
            if self.slug is not None:
                client = ledgerbee.client(client_id, slug=self.slug, base_url=self.base_url or ledgerbee.BASE_URL)
                return replace(client, signing_algs=algs, require_kid=needs_kid)
            if self.uri is not None:
                return RegisteredClient(client_id, jwks_uri=self.uri, signing_algs=algs)
            document = {"keys": []} if self.document is None else self.document
            return unchecked_client(client_id, jwks=document, signing_algs=algs)

    def fetcher(self) -> JWKSFetcher:
        """Make a fetcher that may fetch them. Raises typer.BadParameter."""
        return JWKSFetcher(self.policy())

    def policy(self) -> JWKSPolicy:
        """Say where and how they may be fetched. Raises typer.BadParameter."""
        with usage_errors():
            return JWKSPolicy(
                allow_http_loopback=self.allow_http_loopback,
                allow_private_hosts=tuple(self.allow_private_hosts or ()),
                allow_ports=tuple(dict.fromkeys((*JWKSPolicy().allow_ports, *(self.allow_ports or ())))),
            )


def require_keys(source: KeyOptions, names: str) -> KeyOptions:
    """Refuse a command line without keys. Raises typer.BadParameter."""
    if not source.is_given:
        raise typer.BadParameter(f"where are the keys? Give {names}.")
    return source


def _read_document(path: Path) -> dict[str, Any]:
    """Read a JSON object out of a file, as strictly as one that is fetched. Raises ConfigurationError."""
    at_most = JWKSPolicy().max_bytes
    try:
        with path.open("rb") as file:
            body = file.read(at_most + 1)
    except OSError as error:
        text = str(path)
        # A path has one slash where a URL has two.
        hint = "; give a URL with --jwks-uri" if text.startswith(("https:/", "http:/")) else ""
        raise ConfigurationError(f"cannot read {quote(text)}: {error.strerror}{hint}") from None
    if len(body) > at_most:
        raise ConfigurationError(f"{quote(str(path))} holds more than {at_most} bytes")
    try:
        return jwk_set.loads_document(body, JWKSPolicy().max_keys)
    except ValueError as error:
        raise ConfigurationError(f"{quote(str(path))}: {error}") from None


def build_policy(
    audience: Sequence[str],
    *,
    audience_rule: str,
    leeway: float,
    max_lifetime: float,
    require_iat: bool,
    require_kid: bool,
    require_typ: bool,
) -> AssertionPolicy:
    """Make the policy that the options describe. Raises typer.BadParameter."""
    with usage_errors():
        return AssertionPolicy(
            audience=audience,
            audience_rule=cast(AudienceRule, audience_rule),
            leeway=leeway,
            max_lifetime=max_lifetime,
            require_iat=require_iat,
            require_kid=require_kid,
            require_typ=require_typ,
        )


def clock_at(now: str | None) -> Callable[[], float]:
    """Make a clock that stands at ``--now``, or the real one. Raises typer.BadParameter."""
    if now is None:
        return time.time
    with usage_errors():
        seconds = _read_time(now)
        check_number("now", seconds, 0, LAST_TIME)
    return lambda: seconds


def _read_time(text: str) -> float:
    """Read seconds since the epoch, or an instant of ISO 8601; without an offset it is UTC, as in a log."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"--now must be an instant such as 2026-11-29T18:13:00Z, or seconds since the epoch, not {quote(text)}"
        ) from None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def read_assertion(argument: str | None) -> str | bytes:
    """Read the assertion from the command line, as it is, or from standard input.

    Of standard input one line break at the end is left out: the shell and editors add it. Any other white space may be
    the fault that is looked for. Raises typer.BadParameter when there is none.
    """
    if argument is not None and argument != "-":
        if not argument.strip():
            raise typer.BadParameter("the assertion is empty: is the variable set that it stands in?")
        return argument
    if sys.stdin is not None and sys.stdin.isatty():
        echo("Paste the assertion, then press Enter and Ctrl-D.", err=True)
    assertion = b"" if sys.stdin is None else sys.stdin.buffer.read(_MAX_INPUT)
    assertion = assertion.removesuffix(b"\n").removesuffix(b"\r")
    if not assertion.strip():
        # A pipe that broke must not look like an assertion that was refused.
        raise typer.BadParameter("no assertion: give it as an argument or on standard input")
    return assertion
