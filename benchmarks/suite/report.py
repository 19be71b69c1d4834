"""Hold what a section returns, and write all of them in JSON and as Markdown tables."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .measuring import Measured, Spread, cores

_PACKAGES = (
    *("private-key-jwt", "cryptography", "joserfc", "httpx", "cachetools", "pyjwt", "authlib", "python-jose"),
    *("jwcrypto", "cryptojwt", "idpyoidc", "fastapi", "flask", "uvicorn", "httptools", "uvloop"),
    *("redis", "sqlalchemy", "psycopg", "asyncpg"),
)


MARGIN = 1.12
"""The part that a target leaves for noise and another processor. A path that becomes 15 % dearer is past it."""


def at_most(usual: float) -> float:
    """The target of a cost that is usually so high, on a machine that does nothing else."""
    return round(usual * MARGIN, 2)


def at_least(usual: float) -> float:
    """The target of a rate that is usually so high."""
    return round(usual / MARGIN, 2)


@dataclass(slots=True)
class Row:
    """One line of the table. ``limit`` is the target, when there is one; ``at_most`` its direction."""

    name: str
    measured: float
    low: float | None = None
    high: float | None = None
    unit: str = "x"
    limit: float | None = None
    at_most: bool = True
    note: str = ""

    @classmethod
    def of(cls, name: str, spread: Spread, **rest: Any) -> Row:
        return cls(name, spread.median, spread.low, spread.high, **rest)

    @property
    def met(self) -> bool | None:
        if self.limit is None:
            return None
        return self.measured <= self.limit if self.at_most else self.measured >= self.limit

    def cells(self) -> tuple[str, ...]:
        """Path, target, measured, spread, met, note."""
        return (
            self.name,
            "–" if self.limit is None else ("≤ " if self.at_most else "≥ ") + _number(self.limit, self.unit),
            _number(self.measured, self.unit),
            "–" if self.low is None or self.high is None else f"{_number(self.low)}–{_number(self.high)}",
            {None: "", True: "yes", False: "**NO**"}[self.met],
            self.note,
        )


@dataclass(slots=True)
class Section:
    """Hold what was measured in one section: its lines of the table, its raw results, and how it was done."""

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    tables: list[tuple[str, Sequence[str], list[list[str]]]] = field(default_factory=list)

    def add(self, name: str, measured: Measured, limit: float | None = None) -> None:
        """Add the line of a path that was timed beside the RSA operation."""
        self.rows.append(Row.of(name, measured.ratio, limit=limit, note=f"{measured.microseconds.median:.1f} µs"))
        self.data[name] = {"ratios": measured.ratios, "seconds": measured.seconds}


def environment(*, short: bool) -> dict[str, Any]:
    """The machine and every version."""
    from cryptography.hazmat.backends.openssl import backend

    packages = {}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            packages[name] = version(name)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "mode": "short" if short else "full",
        "machine": f"{platform.machine()}, {cores()} cores, {_processor()}, {platform.system()}",
        "load_average_at_start": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "switch_interval": sys.getswitchinterval(),
        "openssl": backend.openssl_version_text(),
        "packages": packages,
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def _number(value: float, unit: str = "") -> str:
    """A figure with its unit: no more digits than it deserves."""
    digits = 0 if unit == "fetches" else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{digits}f} {unit}".strip()


_HEADS = ("path", "target", "measured", "spread (p10–p90)", "met", "note")


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]], rule: str = "") -> list[str]:
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in (heads, *rows)]
    return [lines[0], rule or "|---" + "|--:" * lines[0].count(" | ") + "|", *lines[1:]]


def markdown(facts: dict[str, Any], sections: list[Section]) -> str:
    """All tables: nobody types a figure."""
    packages = ", ".join(f"{name} {found}" for name, found in facts["packages"].items())
    lines = [f"{facts['date'][:10]}, {facts['mode']} mode: {facts['machine']}; {facts['python']}, {facts['openssl']};"]
    lines.append(f"{packages}.")
    for section in sections:
        lines += ["", f"## {section.title}", ""]
        if section.rows:
            lines += _table(_HEADS, (row.cells() for row in section.rows), "|---|--:|--:|--:|---|---|")
        for title, heads, rows in section.tables:
            lines += ["", f"**{title}**", "", *_table(heads, rows)]
        lines += ["", *(f"- {note}" for note in section.notes)]
    return "\n".join(lines) + "\n"
