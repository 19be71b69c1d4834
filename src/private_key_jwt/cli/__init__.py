"""The command ``private-key-jwt``. Needs the extra ``cli``; nothing else of the library does."""

from __future__ import annotations

import sys

_EXTRA = ("rich", "typer")
_HOW_TO_INSTALL = "private-key-jwt: the command line needs more packages: pip install 'private-key-jwt[cli]'\n"


def main() -> None:
    """The entry point: run the command line, or say how to install what it needs."""
    try:
        from ._app import run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(_HOW_TO_INSTALL)
        raise SystemExit(2) from None
    run()
