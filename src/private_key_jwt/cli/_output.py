"""Write what commands say: exit codes, the console, and text from strangers made harmless."""

from __future__ import annotations

import logging
import os
import sys
from enum import IntEnum

import typer
from rich.console import Console

# Where there is no terminal there is no width either, unless somebody says one: tables must not change with the
# machine that pipes them.
_PIPED_WIDTH = 100

# A command says itself what failed: the library's log would say it a second time.
_NO_LOG = logging.NullHandler()


class ExitCode(IntEnum):
    """Name the exit codes of a command."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    UNAVAILABLE = 3


class BrokenOutput(Exception):
    """Report that nobody reads any more what is written.

    Not an OSError: for that typer would end with 1, which means a refusal here.
    """


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to ``main``."""
        raise BrokenOutput


def echo(text: str, *, err: bool = False) -> None:
    """Write a line to standard output, or to standard error. Raises BrokenOutput."""
    try:
        typer.echo(text, err=err)
    except BrokenPipeError:
        raise BrokenOutput from None


def console() -> Console:
    """Return standard output. Nothing printed is read as markup: what stands in a key or a token is not ours."""
    known = "COLUMNS" in os.environ or (sys.stdout is not None and sys.stdout.isatty())
    width = None if known else _PIPED_WIDTH
    return _Console(width=width, markup=False, highlight=False, emoji=False)


def printable(text: str) -> str:
    """Escape the control characters of a text that may hold anything: a terminal obeys them."""
    return text if text.isprintable() else ascii(text)[1:-1]


def silence_log() -> None:
    """Keep the library's log off standard error."""
    logging.getLogger("private_key_jwt").addHandler(_NO_LOG)
