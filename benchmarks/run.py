"""All benchmarks in one command.

    python benchmarks/run.py --only targets,peers
    python benchmarks/run.py --only versions,stores --against COMMIT
    python benchmarks/run.py --only peers --figure docs     and draw the README's figure

It prints its tables, and writes them to ``--output`` as ``results.md``, with all raw results in ``results.json``. It
needs the extra: ``pip install -e '.[bench]'``.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from suite import figure, report
from suite.measuring import logged
from suite.report import Section

SECTIONS = ("targets", "scaling", "frameworks", "peers", "stages", "algorithms", "load", "http")
ASKED_FOR = ("versions", "stores", "weights", "search")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="everything scaled down: a minute")
    parser.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(SECTIONS + ASKED_FOR)}")
    parser.add_argument("--against", metavar="COMMIT", help="the commit that `versions` and `stores` compare with")
    parser.add_argument("--clients", type=int, default=100_000, help="of `scaling`, `versions` and `weights`")
    parser.add_argument("--minutes", type=float, default=10, help="how long `search` takes")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results", metavar="DIRECTORY")
    parser.add_argument("--figure", type=Path, metavar="DIRECTORY", help="draw the README's figure of `peers` there")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",") if options.only else list(SECTIONS)
    if unknown := set(options.only) - {*SECTIONS, *ASKED_FOR}:
        parser.error(f"--only: no section is named {', '.join(sorted(unknown))}")
    return options


def measure(name: str, options: argparse.Namespace, progress: Progress) -> Section:
    """Run one section. One that fails must not cost the others: it says why."""
    task = progress.add_task(name)
    settings: dict[str, dict[str, Any]] = {
        "versions": {"commit": options.against or "HEAD", "clients": options.clients},
        "stores": {"commit": options.against},
        "scaling": {"clients": options.clients},
        "weights": {"clients": options.clients},
        "search": {"minutes": options.minutes},
    }

    def step(text: str) -> None:
        progress.update(task, description=f"{name}: {text}")

    try:
        found: Section = import_module(f"suite.{name}").run(step, short=options.short, **settings.get(name, {}))
    except Exception as error:
        title = f"{name}: FAILED: {type(error).__name__}: {error}"
        return Section(name, title, data={"failed": traceback.format_exc()})
    return found


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    facts = report.environment(short=options.short)
    columns = TextColumn("{task.description:70.70}"), TimeElapsedColumn()
    with logged(), Progress(*columns, console=Console(stderr=True)) as progress:
        sections = [measure(name, options, progress) for name in (*SECTIONS, *ASKED_FOR) if name in options.only]
    options.output.mkdir(parents=True, exist_ok=True)
    results = {"environment": facts, "sections": [asdict(section) for section in sections]}
    (options.output / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    tables = report.markdown(facts, sections)
    (options.output / "results.md").write_text(tables)
    for section in sections:
        if section.name == "peers" and options.figure:
            figure.draw(section.data, options.figure)
    console = Console(width=max(140, Console().width))
    console.print(Markdown(tables))
    limits = [row.met for section in sections for row in section.rows if row.met is not None]
    console.print(f"{sum(limits)} of {len(limits)} targets met. The results: {options.output}")
    failed = [section.data["failed"] for section in sections if "failed" in section.data]
    for text in failed:
        console.print(text, style="red", markup=False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # they start the servers of the stores
    sys.exit(main())
