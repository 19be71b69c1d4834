"""``ledgerbee``: the calls over LedgerBee's back channel. One JSON object and one exit code each, for scripts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import ledgerbee
from .._core import strict_json
from ..exceptions import ConfigurationError
from ..ledgerbee import Handoff, Membership, PortalSSO, PortalSSOError, Role
from ..ledgerbee._attempts import CLIENT_ERRORS
from ..ledgerbee._values import check_host, check_role
from ._options import ACCESS_TOKEN, API_KEY, usage_errors
from ._output import ExitCode, echo

app = typer.Typer(
    name="ledgerbee",
    help="Call LedgerBee's back channel: mint a handoff, provision a customer, revoke sessions.\n\n"
    f"The API key is read from the environment variable {API_KEY} (or an access token from {ACCESS_TOKEN}), or asked "
    "for at a terminal. It is never an argument, which other users of the machine could read. References are printed "
    "only with --show-references: each lets in whoever presents it first.\n\n"
    "Exit code 0: done. 1: LedgerBee refused. 2: wrong use, nothing was sent. 3: no response to rely on.",
    no_args_is_help=True,
)

SubOption = Annotated[str, typer.Option("--sub", metavar="S", help="Your stable identifier of the user.")]
EmailOption = Annotated[str, typer.Option("--email", metavar="E", help="The user's email address.")]
ShowOption = Annotated[bool, typer.Option("--show-references", help="Print references, and the URL to redeem at.")]
HostOption = Annotated[
    str | None,
    typer.Option(
        "--host", metavar="H", help="Your tenant's portal-API host, acme.portal-api.ledgerbee.com: print a URL."
    ),
]
BaseUrlOption = Annotated[str, typer.Option("--base-url", metavar="U", help="The root of LedgerBee's API.")]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", help="For the whole call, retries included.")
]


@app.command()
def mint(
    *,
    sub: SubOption,
    email: EmailOption,
    membership: Annotated[
        list[str],
        typer.Option("--membership", metavar="ID:ROLE", help="A customer's id and a role. May be repeated."),
    ],
    name: Annotated[str | None, typer.Option("--name", help="The display name at a first login.")] = None,
    host: HostOption = None,
    show_references: ShowOption = False,
    base_url: BaseUrlOption = ledgerbee.BASE_URL,
    timeout: TimeoutOption = 10,
) -> None:
    """Mint the reference with which a user's browser gets a portal session, within 60 seconds and once."""

    def call(portal: PortalSSO) -> dict[str, Any]:
        memberships = [
            Membership(customer_id, check_role("membership", role)) for customer_id, role in map(_split, membership)
        ]
        handoff = portal.mint_handoff(sub=sub, email=email, memberships=memberships, name=name)
        return {"handoff": _shown(handoff, host, show=show_references)}

    _check_host(host, show=show_references)
    _run(call, base_url, timeout)


@app.command()
def provision(
    *,
    email: EmailOption,
    customer_id: Annotated[
        str | None, typer.Option("--customer-id", metavar="ID", help="A customer that exists; or else --customer.")
    ] = None,
    customer: Annotated[
        str | None,
        typer.Option(
            "--customer", metavar="JSON|@FILE", help="A customer to upsert: customerNumber, vatZone, countryCode, …"
        ),
    ] = None,
    role: Annotated[str, typer.Option("--role", metavar="|".join(Role), help="The user's.")] = Role.USER.value,
    user_name: Annotated[str | None, typer.Option("--user-name", help="The display name of a new user.")] = None,
    organization_name: Annotated[
        str | None, typer.Option("--organization-name", help="The display name of a new portal organization.")
    ] = None,
    mint_handoff: Annotated[bool, typer.Option("--mint-handoff", help="Mint a handoff, too; needs --sub.")] = False,
    sub: Annotated[
        str | None, typer.Option("--sub", metavar="S", help="With --mint-handoff: your identifier of the user.")
    ] = None,
    mint_checkout: Annotated[
        bool, typer.Option("--mint-checkout-bind-token", help="Mint a reference for an embedded checkout, too.")
    ] = False,
    client_reference_id: Annotated[
        str | None, typer.Option("--client-reference-id", metavar="ID", help="Your own order.")
    ] = None,
    host: HostOption = None,
    show_references: ShowOption = False,
    base_url: BaseUrlOption = ledgerbee.BASE_URL,
    timeout: TimeoutOption = 10,
) -> None:
    """Make sure that a customer exists, with a portal organization and, in it, a user's active membership."""

    def call(portal: PortalSSO) -> dict[str, Any]:
        done = portal.provision(
            email=email,
            customer_id=customer_id,
            customer=None if customer is None else _read_customer(customer),
            role=check_role("role", role),
            user_name=user_name,
            organization_display_name=organization_name,
            mint_handoff=mint_handoff,
            sub=sub,
            mint_checkout_bind_token=mint_checkout,
            client_reference_id=client_reference_id,
        )
        return {
            "customer_id": done.customer_id,
            "customer_created": done.customer_created,
            "portal_user_id": done.portal_user_id,
            "membership_id": done.membership_id,
            "role": done.role,
            "handoff": _shown(done.handoff, host, show=show_references),
            "checkout_bind": _shown(done.checkout_bind, None, show=show_references),
        }

    _check_host(host, show=show_references)
    _run(call, base_url, timeout)


@app.command()
def revoke(*, sub: SubOption, base_url: BaseUrlOption = ledgerbee.BASE_URL, timeout: TimeoutOption = 10) -> None:
    """End every portal session of a user. Deprovision the user at your OpenID Provider first."""
    _run(lambda portal: {"revoked": portal.revoke_sessions(sub=sub)}, base_url, timeout)


def _check_host(host: str | None, *, show: bool) -> None:
    """Refuse a host that could not be used, before anything is sent. Raises typer.BadParameter."""
    if host is None:
        return
    if not show:
        raise typer.BadParameter("--host goes with --show-references, and that is absent.")
    with usage_errors():
        check_host(host)


def _run(call: Callable[[PortalSSO], dict[str, Any]], base_url: str, timeout: float) -> None:
    with usage_errors():
        portal = PortalSSO(**_credential(), base_url=base_url, timeout=timeout)
    code = ExitCode.OK
    with portal:
        try:
            with usage_errors():
                result: dict[str, Any] = {"ok": True, **call(portal)}
        except PortalSSOError as error:
            result = {
                "ok": False,
                "status": error.status,
                "code": error.code,
                "detail": error.detail,
                "retry_after": error.retry_after,
                "may_have_happened": error.may_have_happened,
            }
            code = ExitCode.REFUSED if error.status in CLIENT_ERRORS else ExitCode.UNAVAILABLE
    echo(json.dumps(result))
    raise typer.Exit(code)


def _credential() -> dict[str, Any]:
    given = {"api_key": os.environ.get(API_KEY), "access_token": os.environ.get(ACCESS_TOKEN)}
    if all(given.values()):
        raise ConfigurationError(f"{API_KEY} and {ACCESS_TOKEN} are both set: unset one")
    if any(given.values()):
        return {name: value or None for name, value in given.items()}
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigurationError(f"set the environment variable {API_KEY}: there is no terminal to ask at")
    return {"api_key": typer.prompt("API key", hide_input=True, err=True)}


def _split(text: str) -> tuple[str, str]:
    customer_id, colon, role = text.rpartition(":")
    if not colon:
        raise ValueError("--membership must be a customer's id, a colon, and a role")
    return customer_id, role


def _read_customer(text: str) -> dict[str, Any]:
    """Read a JSON object from the argument, or from the file that it names. Raises ValueError."""
    try:
        body = Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()
    except OSError as error:
        raise ValueError(f"customer: {text[1:]!r}: {error.strerror}") from None
    try:
        return strict_json.loads_object(body)
    except ValueError as error:
        raise ValueError(f"customer must be a JSON object: {error}") from None


def _shown(handoff: Handoff | None, host: str | None, *, show: bool) -> dict[str, str] | None:
    if handoff is None:
        return None
    shown = {"expires_at": handoff.expires_at.isoformat()}
    if show:
        shown["ref"] = handoff.ref
    if host is not None:
        shown["redeem_url"] = handoff.redeem_url(host)
    return shown
