"""``explain``: the whole recipe on one assertion, for the one who must find out why it was refused."""

from __future__ import annotations

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .._text import format_time
from ..exceptions import TemporarilyUnavailable
from . import _options as options
from ._examine import Question, Report, State, examine
from ._options import KeyOptions
from ._output import ExitCode, console, printable

_STYLES = {
    State.PASSED: "green",
    State.FAILED: "bold red",
    State.UNAVAILABLE: "bold red",
    State.NOT_REACHED: "dim",
    State.NOT_CHECKED: "yellow",
}


def explain(
    *,
    assertion: options.AssertionArgument = None,
    audience: options.AudienceOption = None,
    client_id: options.ClientIdOption = None,
    slug: options.SlugOption = None,
    base_url: options.BaseUrlOption = None,
    jwks_uri: options.JwksUriOption = None,
    jwks: options.JwksFileOption = None,
    allow_http_loopback: options.LoopbackOption = False,
    allow_private_host: options.PrivateHostOption = None,
    allow_port: options.PortOption = None,
    alg: options.AlgOption = None,
    now: options.NowOption = None,
    audience_rule: options.AudienceRuleOption = options.DEFAULT_POLICY.audience_rule,
    leeway: options.LeewayOption = options.DEFAULT_POLICY.leeway,
    max_lifetime: options.MaxLifetimeOption = options.DEFAULT_POLICY.max_lifetime,
    require_iat: options.RequireIatOption = False,
    require_kid: options.RequireKidOption = False,
    require_typ: options.RequireTypOption = False,
) -> None:
    """Show every check of an assertion: passed, failed, or not reached.

    No option is needed; a check that needs one says so. The assertion's jti and signature are not printed. A time or
    an audience that fails ends nothing here: what lies behind it is shown, too.

    Exit code 0: nothing failed. 1: a check failed. 2: wrong use. 3: the keys cannot be had now.
    """
    question = Question(
        policy=options.build_policy(
            audience or ("-",),
            audience_rule=audience_rule,
            leeway=leeway,
            max_lifetime=max_lifetime,
            require_iat=require_iat,
            require_kid=require_kid,
            require_typ=require_typ,
        ),
        audience=tuple(audience) if audience else None,
        client_id=client_id,
        source=KeyOptions(
            slug=slug,
            base_url=base_url,
            jwks_uri=jwks_uri,
            file=jwks,
            allow_http_loopback=allow_http_loopback,
            allow_private_hosts=allow_private_host,
            allow_ports=allow_port,
            algs=alg,
        ),
        now=options.clock_at(now)(),
        assertion=options.read_assertion(assertion),
    )
    report = examine(question)
    out = console()
    _print_verdict(out, report)
    out.print(_table(report))
    _print_notes(out, report, question)
    raise typer.Exit(_exit_code(report))


def _table(report: Report) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("#", justify="right")
    table.add_column("check", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("found", overflow="fold", ratio=1)
    table.add_column("expected", overflow="fold", ratio=1)
    shown = 0
    for row, state, found, expected, as_if in report.findings:
        style = _STYLES[state]
        number = str(row.step) if row.step != shown else ""
        shown = row.step
        dim = "dim" if state is State.NOT_REACHED else ""
        table.add_row(
            number,
            Text(row.title, dim),
            Text(state if as_if is None else f"{state}*", style),
            Text(printable(found), style if state in (State.FAILED, State.UNAVAILABLE) else dim),
            Text(printable(expected), dim),
        )
    return table


def _print_verdict(out: Console, report: Report) -> None:
    failed, error = report.failed, report.error
    if failed is None or error is None:
        unchecked = [each.row.title for each in report.findings if each.state is State.NOT_CHECKED]
        out.print(Text(f"Nothing failed. Not checked: {', '.join(unchecked)}.", "bold green"))
        out.print(
            Text(
                "If your server refused it: the request may have named another client_id (client_mismatch), or the"
                " server has another policy, another registration or an older key set, or has seen the jti. Its log"
                " line says which: help('private_key_jwt.runbook').",
                "dim",
            )
        )
    else:
        out.print(Text(f"Step {failed.row.step}, {failed.row.title}: {error.reason}.", "bold red"))
        out.print(Text(printable(error.detail)))
        others = [each for each in report.findings if each.state is State.FAILED and each is not failed]
        for each in others:
            out.print(Text(f"Behind it, step {each.row.step}, {each.row.title}: {printable(each.found)}", "bold red"))
        if report.as_ifs and not others:
            only = ": these are the claims of an assertion, and only typ is wrong" if failed.row.check == "typ" else ""
            out.print(Text(f"Behind it nothing failed of what was checked{only}.", "bold"))
        out.print(Text("What to do: help('private_key_jwt.runbook'), by reason.", "dim"))
    for as_if in report.as_ifs:
        out.print(Text(f"What comes behind was looked at as if {as_if}.", "yellow"))


def _print_notes(out: Console, report: Report, question: Question) -> None:
    for as_if in dict.fromkeys(each.as_if for each in report.findings if each.as_if):
        out.print(Text(f"passed*: {as_if}, which was needed to look at what comes behind.", "yellow"))
    if report.sent_at is not None:
        when = "Captured earlier" if report.sent_at < question.now else "Judged before it was sent"
        out.print(Text(f"{when}? Judge it as of then: --now {format_time(report.sent_at)}", "yellow"))
    if report.accepted is not None:
        first, last = map(format_time, report.accepted)
        out.print(Text(f"By its times a server takes it from {first} to {last}, by the server's clock.", "dim"))
    if report.jti_hash is not None:
        out.print(
            Text(f"jti_hash {report.jti_hash} (as in the log, where the client was known)", "dim"), soft_wrap=True
        )
    if question.source.is_given:
        out.print(Text(f"Keys: {question.source.name}", "dim"), soft_wrap=True)
    out.print(Text(f"Judged at {format_time(question.now)} ({question.now:.0f}).", "dim"))


def _exit_code(report: Report) -> ExitCode:
    if report.error is None:
        return ExitCode.OK
    return ExitCode.UNAVAILABLE if isinstance(report.error, TemporarilyUnavailable) else ExitCode.REFUSED
