"""The commands, put together."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from ._demo import demo
from ._explain import explain
from ._jwks import jwks
from ._ledgerbee import app as ledgerbee
from ._output import echo, silence_log
from ._simulate import simulate
from ._verify import verify

app = typer.Typer(
    name="private-key-jwt",
    help="private_key_jwt client authentication, seen from the OpenID Provider.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # which wraps a paragraph anew
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - called so by typer
    if wanted:
        echo(f"private-key-jwt {version('private-key-jwt')}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    silence_log()


for _command in (demo, verify, explain, jwks, simulate):
    app.command()(_command)
app.add_typer(ledgerbee)


def run() -> None:
    """Run the command line on ``sys.argv``."""
    app()
