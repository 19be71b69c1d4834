"""A file of SQLite that several workers write to must be one file, under one name, as long as it is in use."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["OneFile", "UnfitFileError", "identity", "opened_file"]


class UnfitFileError(OSError):
    """Say that what is written to the file is not where other workers look for it."""


def identity(path: str, *, may_have_names: bool = False) -> tuple[int, int]:
    """Return what tells a file from others.

    Raises OSError, and UnfitFileError when it has several names, unless it may have.
    """
    status = os.stat(path)  # noqa: PTH116  (pathlib takes thrice as long, for each add)
    if status.st_nlink > 1 and not may_have_names:
        # SQLite names its log after the file: under two names there are two logs, and neither knows of the other
        # (https://www.sqlite.org/howtocorrupt.html §2.5).
        raise UnfitFileError(f"the file has {status.st_nlink} names (hard links), and may have one only")
    return status.st_dev, status.st_ino


class OneFile:
    """A file as it is when this is made. Raises UnfitFileError when it has several names, and OSError.

    path: absolute, without symbolic links, as SQLite names the file that it has opened.
    """

    __slots__ = ("_identity", "_path")

    def __init__(self, path: str) -> None:
        self._path = path
        self._identity = identity(path)

    def check(self) -> None:
        """Raise UnfitFileError when the file has another name, too, or was replaced, and OSError when it is gone.

        To be called after a mark was written, before anybody relies on it.
        """
        if identity(self._path) != self._identity:
            raise UnfitFileError("the file was replaced: restart this worker")


def opened_file(cursor: Any) -> OneFile | None:
    """Return the file that a connection to SQLite has opened, asked over its DB-API cursor; None in memory."""
    cursor.execute("PRAGMA database_list")
    [path] = [file for _, name, file in cursor.fetchall() if name == "main"]
    return OneFile(path) if path else None
