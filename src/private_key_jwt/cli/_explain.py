"""``explain``: the whole recipe on one assertion, for the one who must find out why it was refused."""

from __future__ import annotations

import re
import shlex
import sys
from textwrap import dedent

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import runbook
from .._text import format_time
from ..exceptions import Reason, TemporarilyUnavailable
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
_NOT_CHECKED = State.NOT_CHECKED
_REFUSED_ALL_THE_SAME = (
    "If your server refused it: the request may have named another client_id (client_mismatch), or the server has"
    " another policy, another registration or an older key set, or has seen the jti. Its log line says which: look up"
    f" its reason with python -m pydoc {runbook.__name__}"
)
_ENTRY = re.compile(r"^((?:``\w+``(?:, )?)+)\n((?:    .+\n)+)", re.MULTILINE)
_WRAPPED = re.compile(r"\n *(?!- )")


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
    alg: options.AlgToCheckOption = None,
    now: options.NowOption = None,
    audience_rule: options.AudienceRuleOption = options.DEFAULT_POLICY.audience_rule,
    leeway: options.LeewayOption = options.DEFAULT_POLICY.leeway,
    max_lifetime: options.MaxLifetimeOption = options.DEFAULT_POLICY.max_lifetime,
    require_iat: options.RequireIatOption = False,
    require_kid: options.RequireKidOption = False,
    require_typ: options.RequireTypOption = False,
) -> None:
    """Show every check of an assertion: passed, failed, or not reached.

    No option is needed; a check that needs one says so. The assertion's jti and signature are not printed. A check
    that fails does not end it: the later ones are made, too, as if it had passed. Where the key does not fit, the
    signature is tried against every key of the set.

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
    if report.failed is None or report.error is None:
        unchecked = [f"{each.row.title} ({each.expected})" for each in report.findings if each.state is _NOT_CHECKED]
        out.print(Text("Nothing failed of what was checked.", "bold green"))
        out.print(Text(f"Not checked: {', '.join(unchecked)}.", "yellow"))
        out.print(Text(_REFUSED_ALL_THE_SAME, "dim"))
        return
    failed, error = report.failed, report.error
    out.print(Text(f"Step {failed.row.step}, {failed.row.title}: {error.reason}.", "bold red"))
    out.print(Text(printable(error.detail)))
    for each in report.others:
        out.print(Text(f"Failed too: step {each.row.step}, {each.row.title}: {printable(each.found)}", "bold red"))
    if report.as_ifs:
        as_ifs = ", and as if ".join(report.as_ifs)
        out.print(Text(f"The later checks were made as if {printable(as_ifs)}.", "yellow"))
    if not report.others and report.sees_behind:
        only = ": these are the claims of a client assertion, and only the label typ is wrong"
        out.print(Text(f"No later check failed{only * (failed.row.check == 'typ')}.", "bold"))
    for text in report.keys:
        out.print(Text(printable(text), "bold"))
    out.print(Text(f"\nWhat to do about {error.reason}:", "bold"))
    out.print(Text(entry_of(error.reason)))
    out.print(Text(f"All reasons: {shlex.quote(sys.executable)} -m pydoc {runbook.__name__}", "dim"), soft_wrap=True)


def entry_of(reason: Reason) -> str:
    """Return what the runbook says of a reason; "" where Python was started without docstrings."""
    for names, text in _ENTRY.findall(runbook.__doc__ or ""):
        if f"``{reason}``" in names:
            return _WRAPPED.sub(" ", dedent(text).replace("``", "").strip())
    return ""


def _print_notes(out: Console, report: Report, question: Question) -> None:
    for as_if in dict.fromkeys(each.as_if for each in report.findings if each.as_if):
        out.print(Text(f"passed*: {as_if}, so that the later checks could be made.", "yellow"))
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
    out.print(Text(f"Judged at {format_time(question.now)} ({int(question.now)}).", "dim"))


def _exit_code(report: Report) -> ExitCode:
    if report.error is None:
        return ExitCode.OK
    return ExitCode.UNAVAILABLE if isinstance(report.error, TemporarilyUnavailable) else ExitCode.REFUSED
