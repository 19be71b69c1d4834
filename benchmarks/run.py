"""All benchmarks in one command.

    python benchmarks/run.py                    everything but the two below: about six minutes
    python benchmarks/run.py --short            the same, scaled down: under a minute
    python benchmarks/run.py --only targets,peers
    python benchmarks/run.py --only versions --against COMMIT   an old commit and this tree, interleaved
    python benchmarks/run.py --only search      look for the dearest refusal: about ten minutes
    python benchmarks/run.py --only peers --figure docs    and draw the README's figure
    python benchmarks/run.py --markdown results/results.json    the tables of an earlier run, for the README

It writes ``results.json`` (all raw results) and ``results.md`` to ``--output``, and prints one table. It needs
the extra: ``pip install -e '.[bench]'``.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from suite import figure, report
from suite.report import Section

SECTIONS = ("targets", "peers", "stages", "algorithms", "frameworks", "load", "http")
ASKED_FOR = ("versions", "search")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="everything scaled down: under a minute")
    parser.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(SECTIONS + ASKED_FOR)}")
    parser.add_argument("--against", metavar="COMMIT", default="HEAD", help="the commit that `versions` compares with")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results", metavar="DIRECTORY")
    parser.add_argument("--markdown", type=Path, metavar="JSON", help="print the tables of a results.json, and stop")
    parser.add_argument("--figure", type=Path, metavar="DIRECTORY", help="draw the README's figure of `peers` there")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",") if options.only else list(SECTIONS)
    if unknown := set(options.only) - {*SECTIONS, *ASKED_FOR}:
        parser.error(f"--only: no section is named {', '.join(sorted(unknown))}")
    return options


def measure(name: str, options: argparse.Namespace, progress: Progress) -> Section:
    """Run one section. One that fails must not cost the others: it says why."""
    began = time.perf_counter()
    task = progress.add_task(name)
    settings: dict[str, Any] = {"commit": options.against} if name == "versions" else {}

    def step(text: str) -> None:
        progress.update(task, description=f"{name}: {text}")

    try:
        section: Section = import_module(f"suite.{name}").run(step, short=options.short, **settings)
    except Exception as error:
        title = f"{name}: FAILED: {type(error).__name__}: {error}"
        section = Section(name, title, data={"failed": traceback.format_exc()})
    section.seconds = time.perf_counter() - began
    return section


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    if options.markdown:
        results = json.loads(options.markdown.read_text())
        Console(soft_wrap=True).print(report.markdown(results, brief=True), markup=False, highlight=False)
        return 0
    logging.getLogger("private_key_jwt").setLevel(logging.CRITICAL)  # outages are made on purpose here
    facts = report.environment(short=options.short)
    with Progress(
        TextColumn("{task.description:70.70}"), TimeElapsedColumn(), console=Console(stderr=True)
    ) as progress:
        sections = [measure(name, options, progress) for name in (*SECTIONS, *ASKED_FOR) if name in options.only]
    results = json.loads(json.dumps(report.as_json(facts, sections)))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.output / "results.md").write_text(report.markdown(results, brief=False))
    for section in sections:
        if section.name == "peers" and options.figure:
            figure.draw(section.data, options.figure)
    console = Console(width=max(140, Console().width))
    console.print(report.terminal_table(sections))
    console.print(f"{facts['machine']}; {facts['python']}, {facts['openssl']}; {facts['mode']} mode", soft_wrap=True)
    limits = [row.met for section in sections for row in section.rows if row.met is not None]
    console.print(f"{sum(limits)} of {len(limits)} targets met. The results: {options.output}")
    failed = [section.data["failed"] for section in sections if "failed" in section.data]
    for text in failed:
        console.print(text, style="red", markup=False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
