"""All benchmarks in one command.

    python benchmarks/run.py                    everything: about six minutes, three of them a soak
    python benchmarks/run.py --short            the same, scaled down: under a minute
    python benchmarks/run.py --only targets,peers
    python benchmarks/run.py --node             with panva/jose in Node.js, which npm installs for the run
    python benchmarks/run.py --markdown results/results.json    the tables of an earlier run, for the README

It writes ``results.json`` (all raw results), ``results.md`` and plots (SVG and PNG) to ``--output``, and prints one
table. It needs the extra: ``pip install -e '.[bench]'``.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import traceback
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

try:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from suite import plots, report
    from suite.report import Section
except ImportError as error:
    sys.exit(f"{error}: pip install -e '.[bench]'")

SECTIONS = {"targets": 3, "peers": 2, "stages": 1, "load": 2, "soak": 3, "http": 2}
"""The sections in their order, each with its share of the time."""


_NEEDED = (
    *("private_key_jwt", "matplotlib", "psutil", "uvicorn", "joserfc"),
    *("jwt", "authlib", "jose", "jwcrypto", "cryptojwt", "idpyoidc"),
)


def _require() -> None:
    """Say at once what is not installed: ten minutes later would be late."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)}: pip install -e '.[bench]'")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="everything scaled down: under a minute")
    parser.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--node", action="store_true", help="install panva/jose with npm, for this run only")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results", metavar="DIRECTORY")
    parser.add_argument("--markdown", type=Path, metavar="JSON", help="print the tables of a results.json, and stop")
    arguments = parser.parse_args()
    arguments.only = arguments.only.split(",") if arguments.only else list(SECTIONS)
    unknown = set(arguments.only) - set(SECTIONS)
    if unknown:
        parser.error(f"--only: no section is named {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    return arguments


def _run(name: str, progress: Progress, task: Any, arguments: argparse.Namespace) -> Section:
    began = time.perf_counter()

    def step(text: str) -> None:
        progress.update(task, description=f"{name}: {text}")

    options = {"node_install": arguments.node} if name == "peers" else {}
    try:
        section: Section = import_module(f"suite.{name}").run(step, short=arguments.short, **options)
    except ImportError as error:
        section = Section(
            name, f"{name}: NOT MEASURED: {error} (pip install -e '.[bench]')", data={"failed": str(error)}
        )
    except Exception as error:  # one section that fails must not cost the others
        title = f"{name}: FAILED: {type(error).__name__}: {error}"
        section = Section(name, title, data={"failed": traceback.format_exc()})
    section.seconds = time.perf_counter() - began
    return section


def main() -> int:
    arguments = _arguments()
    if arguments.markdown:
        try:
            results = json.loads(arguments.markdown.read_text())
        except (OSError, ValueError) as error:
            sys.exit(f"{arguments.markdown}: {error}")
        Console(soft_wrap=True).print(report.markdown(results, brief=True), markup=False, highlight=False)
        return 0
    _require()
    logging.getLogger("private_key_jwt").setLevel(logging.CRITICAL)  # outages are made on purpose here
    facts = report.environment(short=arguments.short)
    names = [name for name in SECTIONS if name in arguments.only]
    sections = []
    columns = (TextColumn("{task.description:60.60}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=sum(SECTIONS[name] for name in names))
        for name in names:
            sections.append(_run(name, progress, task, arguments))
            progress.advance(task, SECTIONS[name])
        progress.update(task, description="plots")
        results = json.loads(json.dumps(report.as_json(facts, sections)))
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        (arguments.output / "results.md").write_text(report.markdown(results, brief=False))
        drawn = plots.draw(results, arguments.output)
    console = Console(width=max(140, Console().width))
    console.print(report.terminal_table(sections))
    console.print(f"{facts['machine']}; {facts['python']}, {facts['openssl']}; {facts['mode']} mode", soft_wrap=True)
    missed = sum(row.met is False for section in sections for row in section.rows)
    limits = sum(row.met is not None for section in sections for row in section.rows)
    console.print(
        f"{limits - missed} of {limits} targets met. {len(drawn)} plots, results.json, results.md: {arguments.output}"
    )
    failed = [section for section in sections if "failed" in section.data]
    for section in failed:
        console.print(section.data["failed"], style="red", markup=False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
