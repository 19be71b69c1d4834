"""``simulate``: LedgerBee's look-alike as a server, to try a server of one's own against."""

from __future__ import annotations

import math
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from .._core.algorithms import ALGORITHMS
from ..policy import AssertionPolicy
from ..testing import DEFECTS, LoopbackServer, RelyingParty, Tenant
from ..testing._control import PATH as CONTROL_PATH
from ..testing._control import lines as control_lines
from ..testing._relying_party import AUDIENCE
from . import _options as options
from ._curl import back_channel, token_request
from ._output import console, echo, printable

# One mistake of each kind that a server meets in real life; `DEFECTS` has many more.
_SHOWN_DEFECTS = ("expired", "aud_slash", "kid_unknown", "foreign_key")

_POLL_SECONDS = 0.25


def simulate(
    *,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Where to listen; 0 takes a free port.")] = 0,
    slug: Annotated[
        list[str] | None, typer.Option("--slug", metavar="S", help="A tenant; acme unless given. May be repeated.")
    ] = None,
    alg: Annotated[
        str, typer.Option("--alg", metavar="ALG", help="What the tenants sign with; LedgerBee's sign with RS256.")
    ] = "RS256",
    audience: Annotated[
        str, typer.Option("--audience", metavar="A", help="The aud of the assertions: your server's issuer.")
    ] = AUDIENCE,
    seconds: Annotated[
        float | None,
        typer.Option("--for", metavar="SECONDS", min=0, help="End by itself."),
    ] = None,
) -> None:
    """Serve key sets and the back channel as LedgerBee does, and print what to try: assertions, and curl lines.

    It listens on this machine only, until Ctrl-C. Keys are made anew each time. While it runs it can be driven over
    HTTP: new assertions and named defects, rotation, an outage, late answers.
    """
    out = console()
    if alg not in ALGORITHMS:
        raise typer.BadParameter(f"--alg must be one of {', '.join(ALGORITHMS)}, not {printable(alg)}.")
    party = RelyingParty(audience=audience, alg=alg)
    with options.usage_errors():
        lifetime = AssertionPolicy(audience=audience).max_lifetime
        tenants = [party.tenant(each) for each in dict.fromkeys(slug or ["acme"])]
    with _ended_by_signals(), _serve(party, port) as server:
        _print_line(out, f"LedgerBee look-alike at {server.base_url}, assertions for {audience}", "bold")
        _print_line(out, "The key set of any slug that is not listed here is empty.")
        for tenant in tenants:
            _print_tenant(out, tenant, server.base_url, lifetime)
            drives = control_lines(_origin(server.base_url), tenant.slug)
            mint = next(iter(drives.values()))
            title = "A token request with a new assertion each time: put your server's endpoint in the first place"
            _print_entry(out, title, token_request(mint))
            for title, line in back_channel(tenant, server):
                _print_entry(out, title, line)
            _print_line(out, f"\nTo drive tenant {tenant.slug} while this runs:", "green")
            for title, line in drives.items():
                _print_line(out, f"{line}    # {title}")
        _print_line(out, f"\nEvery defect by name: curl -sS '{_origin(server.base_url)}{CONTROL_PATH}'", "green")
        _print_line(out, "\nServing. Ctrl-C ends it." if seconds is None else f"\nServing for {seconds:g} s.", "bold")
        _wait(math.inf if seconds is None else seconds)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """End the context, without an error, when the process gets a signal to end."""
    # SIGINT by name, too: a shell starts what runs in the background with SIGINT ignored.
    before = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except KeyboardInterrupt:
        echo("Ended.", err=True)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _wait(seconds: float) -> None:
    # In short sleeps: a signal that comes between the interpreter's last look and the sleep does not end the
    # sleep, and is seen after it.
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _POLL_SECONDS))


@contextmanager
def _serve(party: RelyingParty, port: int) -> Iterator[LoopbackServer]:
    """Serve while the context lasts. Raises typer.BadParameter for a port that cannot be had."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(party.serve(port, control=True))
        except OSError as error:
            raise typer.BadParameter(f"cannot listen on port {port}: {error.strerror}") from None
        yield server


def _origin(base_url: str) -> str:
    return "/".join(base_url.split("/")[:3])


def _print_tenant(out: Console, tenant: Tenant, base_url: str, lifetime: float) -> None:
    valid = tenant.assertion(exp=int(tenant.clock() + lifetime))
    place: tuple[str, ...] = ("--slug", tenant.slug, "--base-url", base_url, "--allow-http-loopback")
    place += () if tenant.alg == "RS256" else ("--alg", tenant.alg)
    who = ("--audience", tenant.audience, "--client-id", tenant.client_id)
    _print_line(out, f"\nTenant {tenant.slug}", "bold")
    _print_line(out, f"client_id  {tenant.client_id}")
    _print_line(out, f"jwks_uri   {tenant.client(base_url).jwks_uri}")
    _print_entry(out, f"Valid for {lifetime:g} s", valid)
    _print_entry(out, "Accepted by", shlex.join(("private-key-jwt", "verify", *who, *place, valid)))
    for name in _SHOWN_DEFECTS:
        defect = DEFECTS[name]
        _print_entry(out, f"Refused as {defect.reason}: {defect.description}", defect.make(tenant))


def _print_entry(out: Console, title: str, text: str) -> None:
    _print_line(out, f"\n{title}:", "green")
    _print_line(out, text)


def _print_line(out: Console, text: str, style: str = "") -> None:
    """Print a line as it stands: wrapped, it could not be copied."""
    out.print(Text(text, style), soft_wrap=True)
