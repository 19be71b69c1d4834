"""What a section returns, and the one table made of all of them: on a terminal, in JSON, in Markdown."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from .measuring import Measured, Spread, cores

_PACKAGES = (
    *("private-key-jwt", "cryptography", "joserfc", "httpx", "cachetools", "pyjwt", "authlib", "python-jose"),
    *("jwcrypto", "cryptojwt", "idpyoidc", "uvicorn", "httptools", "uvloop"),
)


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
        sign = "" if self.unit == "fetches" else "≤ " if self.at_most else "≥ "
        return (
            self.name,
            "–" if self.limit is None else sign + _number(self.limit, self.unit),
            _number(self.measured, self.unit),
            "–" if self.low is None or self.high is None else f"{_number(self.low)}–{_number(self.high)}",
            {None: "", True: "yes", False: "NO"}[self.met],
            self.note,
        )


@dataclass(slots=True)
class Section:
    """What was measured in one section: its lines of the table, its raw results, and how it was done."""

    name: str
    title: str
    rows: list[Row] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    tables: list[tuple[str, list[str], list[list[str]]]] = field(default_factory=list)
    seconds: float = 0

    def add(self, name: str, measured: Measured, limit: float | None = None) -> None:
        """Add the line of a path that was timed beside the RSA operation."""
        self.rows.append(Row.of(name, measured.ratio, limit=limit, note=f"{measured.microseconds.median:.1f} µs"))
        self.data[name] = {"ratios": measured.ratios, "seconds": measured.seconds}


def environment(*, short: bool) -> dict[str, Any]:
    """The machine and every version."""
    from cryptography.hazmat.backends.openssl import backend

    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "mode": "short" if short else "full",
        "machine": f"{platform.machine()}, {cores()} cores, {_processor()}, {platform.system()}",
        "load_average_at_start": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "switch_interval": sys.getswitchinterval(),
        "openssl": backend.openssl_version_text(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def machine_line(*packages: str) -> str:
    """The machine, Python and these packages, on one line."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def _number(value: float, unit: str = "") -> str:
    """A figure with its unit: no more digits than it deserves."""
    if unit == "fetches":
        return f"{value:,.0f}"
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{digits}f} {unit}".strip()


_HEADS = ("path", "target", "measured", "spread (p10–p90)", "met", "note")


def terminal_table(sections: list[Section]) -> Table:
    """One table of everything; targets that are not met stand out."""
    table = Table(box=SIMPLE_HEAD, title="private-key-jwt benchmarks", title_justify="left")
    for head in _HEADS:
        table.add_column(head, justify="right" if head in _HEADS[1:4] else "left", overflow="fold")
    for section in sections:
        table.add_section()
        table.add_row(f"[bold]{section.title}")
        for row in section.rows:
            name, *cells = row.cells()
            table.add_row(f"  {name}", *cells, style={None: None, True: "green", False: "bold red"}[row.met])
    return table


def _line(cells: Any) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def markdown(results: dict[str, Any], *, brief: bool) -> str:
    """The tables, out of the JSON: nobody types a figure. brief: what the README wants of them."""
    facts, sections = results["environment"], results["sections"]
    packages = ", ".join(f"{name} {found}" for name, found in facts["packages"].items())
    lines = [f"{facts['date'][:10]}, {facts['mode']} mode: {facts['machine']}; {facts['python']}, {facts['openssl']};"]
    lines += [f"{packages}.", "", _line(_HEADS), "|---|--:|--:|--:|---|---|"]
    for section in sections:
        lines.append(f"| **{section['title']}** | | | | | |")
        rows = ({name: value for name, value in members.items() if name != "met"} for members in section["rows"])
        lines += [_line(Row(**members).cells()) for members in rows]
    for title, heads, cells in [] if brief else [table for section in sections for table in section["tables"]]:
        lines += ["", f"**{title}**", "", _line(heads), "|---|" + "--:|" * (len(heads) - 1), *map(_line, cells)]
    lines += ["", *(f"- {section['name']}: {note}" for section in sections for note in section["notes"])]
    return "\n".join(lines) + "\n"


def as_json(facts: dict[str, Any], sections: list[Section]) -> dict[str, Any]:
    """Everything, ready for ``json.dumps``."""
    parts = [asdict(section) for section in sections]
    for part, section in zip(parts, sections, strict=True):
        part["rows"] = [members | {"met": row.met} for members, row in zip(part["rows"], section.rows, strict=True)]
    return {"environment": facts, "sections": parts}
