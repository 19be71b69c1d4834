"""Write to the logger ``private_key_jwt``: lines for people, of which a flood cannot fill the disk."""

from __future__ import annotations

import json
import logging
import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from traceback import walk_tb
from typing import Any

from ._text import describe_in_full, one_line

__all__ = ["MAX_LINES", "admits_line", "log", "log_exception", "write_fields"]

_logger = logging.getLogger("private_key_jwt")


def log(level: int, message: str, *values: object, **options: Any) -> None:
    """Log a line to ``private_key_jwt``, as ``Logger.log`` does. Raises nothing that an Exception is."""
    with suppress(Exception):  # of a handler or a filter of the project: a log that is down must not decide
        _logger.log(level, message, *values, **options)


def write_fields(level: int, event: str, values: Mapping[str, object]) -> None:
    """Log an event in one line, whatever was logged before: its name, and its fields but those that are None."""
    # Last what quotes a stranger, so that nothing of it can pass for a field.
    ordered = sorted(values, key=lambda each: each in _TEXTS)
    shown = (f"{each}={_shown(values[each])}" for each in ordered if values[each] is not None)
    log(level, "%s: %s", event, " ".join(shown), extra={"event": event, **values})


_TEXTS = ("detail", "error", "fault")
_PLAIN = re.compile(r"[!#-<>-~]+")  # printable ASCII but a space, a quote and "="


def _shown(value: object) -> str:
    if isinstance(value, float):
        return _number(value)
    # A client_id is one that is registered, and may hold a line break all the same.
    text = one_line(str(value))
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _number(value: float) -> str:
    """Format seconds without an exponent: three digits of what is less than one, else tenths."""
    text = f"{float(f'{value:.3g}'):.6f}" if value < 1 else f"{value:.1f}"
    return text.rstrip("0").rstrip(".")


MAX_LINES = 100
"""Lines of one kind that are logged in a second at most."""


@dataclass(slots=True)
class _Second:
    """The lines of one kind in the second that ends at ``end`` (monotonic)."""

    end: float = 0
    lines: int = 0


_EXCEPTION = "UnexpectedException"
_seconds: defaultdict[str, _Second] = defaultdict(_Second)


def admits_line(kind: str, level: int) -> bool:
    """Count a line of a kind, and report whether it may be written: a flood of refusals must not fill the disk.

    kind: what is counted together. Each has a count of its own, so that a flood of what strangers can cause hides
        nothing else.
    """
    # Without a lock: threads that meet here may write a line more or less, and nothing worse.
    second, now = _seconds[kind], monotonic()
    if second.lines > MAX_LINES and now < second.end:  # first of all: a flood must cost next to nothing
        second.lines += 1
        return False
    if not _logger.isEnabledFor(level):
        return False
    if now >= second.end:
        left_out, second.end, second.lines = second.lines - MAX_LINES, now + 1, 0
        if left_out > 0:
            _write_left_out(level, "%d lines of %s were left out", left_out, kind)
    second.lines += 1
    if second.lines > MAX_LINES:
        _write_left_out(level, "%d lines of %s in a second: the rest is counted", MAX_LINES, kind)
    return second.lines <= MAX_LINES


def _write_left_out(level: int, message: str, number: int, kind: str) -> None:
    log(level, message, number, kind, extra={"event": "LinesLeftOut"})


_FRAMES = 3


def log_exception(what: str, error: BaseException) -> None:
    """Log an exception that nothing here expects, as ERROR: one line, with the innermost three places in the code.

    No traceback, which has many lines, and quotes what was being handled: a refusal, with what a stranger sent. Counted
    as the lines of events are.
    """
    if admits_line(_EXCEPTION, logging.ERROR):
        frames = [f"{frame.f_code.co_filename}:{line}" for frame, line in walk_tb(error.__traceback__)]
        places = one_line(" < ".join(frames[: -_FRAMES - 1 : -1]))
        log(logging.ERROR, "%s: %s (%s)", what, describe_in_full(error), places, extra={"event": _EXCEPTION})
