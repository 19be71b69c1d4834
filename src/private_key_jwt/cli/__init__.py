"""The command ``private-key-jwt``. Needs the extra ``cli``; nothing else of the library does."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TextIO

from .._extra import how_to_install

_EXTRA = ("rich", "typer")
_HOW_TO_INSTALL = f"private-key-jwt: the command line needs {how_to_install('cli')}\n"

_BROKEN_PIPE = 141  # 128 + SIGPIPE, as a shell counts
_INTERRUPTED = 130  # 128 + SIGINT
_CANNOT_WRITE = 74  # EX_IOERR of sysexits.h


def main() -> None:
    """Run the command line, or say how to install what it needs."""
    _run(_run_app)


def _run_app() -> None:
    try:
        from ._app import run
        from ._output import BrokenOutput
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(_HOW_TO_INSTALL)
        raise SystemExit(2) from None
    try:
        run()
    except BrokenOutput:  # whoever read has read enough (`| head -1`)
        raise BrokenPipeError from None


def _run(run: Callable[[], None]) -> None:
    """Run the command line to its end, the last write included, and end with a status that says how it went."""
    stdout = sys.stdout
    try:
        try:
            run()
        finally:
            stdout.flush()
    except BrokenPipeError:
        _drop_output(stdout)
        raise SystemExit(_BROKEN_PIPE) from None
    except KeyboardInterrupt:
        raise SystemExit(_INTERRUPTED) from None
    except OSError as error:
        _drop_output(stdout)
        sys.stderr.write(f"private-key-jwt: cannot write: {error.strerror}\n")
        raise SystemExit(_CANNOT_WRITE) from None


def _drop_output(stdout: TextIO) -> None:
    """Let what is still in the buffer go nowhere: the interpreter flushes it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
