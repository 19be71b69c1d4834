"""Whether the tests see a mistake: ``run.py`` for each small mistake in ``_core/``, ``run.py --laws`` for each law."""

from __future__ import annotations

import argparse
import multiprocessing
import multiprocessing.pool
import multiprocessing.queues
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from mutation.equivalent import EQUIVALENT
from mutation.laws import LAWS, Breach
from mutation.mutants import Mutant, mutants
from mutation.trees import ROOT, Outcome, Tree, warm_up

CORE = "src/private_key_jwt/_core"
# What is asked next, with --wider, when the tests of the core itself see nothing.
_WIDER = ["tests/test_fuzz.py", "tests/test_verifier.py", "tests/fetcher/test_fetching.py", "tests/test_events.py"]
_CORE_TESTS = ["tests/core"]
_TIMEOUT = 60.0

Job = TypeVar("Job")
_tree: Tree


def _begin(places: multiprocessing.queues.Queue[str]) -> None:
    global _tree
    _tree = Tree(Path(places.get()))


def _try_mutant(mutant: Mutant, wider: Sequence[str] = ()) -> tuple[Mutant, Outcome]:
    own = f"tests/core/test_{Path(mutant.path).stem}.py"
    tests = [own] if (ROOT / own).exists() else []
    outcome = Outcome("green")
    with _tree.changed(mutant.path, mutant.source):
        for stage in (tests, _CORE_TESTS, wider):
            if stage and not outcome.killed:
                outcome = _tree.run(stage, _TIMEOUT)
    return mutant, outcome


def _try_breach(breach: Breach) -> tuple[Breach, Outcome]:
    text = (ROOT / breach.path).read_text()
    with _tree.changed(breach.path, text.replace(breach.old, breach.new)):
        return breach, _tree.run([breach.test], _TIMEOUT)


def _each(
    call: Callable[[Job], tuple[Job, Outcome]], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[Job, Outcome]]:
    warm_up()
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(prefix="mutation-") as directory:
        places = context.Queue()
        for number in range(workers):
            places.put(f"{directory}/{number}")
        with context.Pool(workers, _begin, (places,)) as pool:
            yield from pool.imap_unordered(call, jobs)


def _core(wanted: Sequence[str]) -> list[Mutant]:
    modules = sorted((ROOT / CORE).glob("*.py"))
    return [
        mutant
        for module in modules
        if not wanted or module.stem in wanted
        for mutant in mutants(str(module.relative_to(ROOT)), module.read_text())
    ]


def _report_core(console: Console, results: Sequence[tuple[Mutant, Outcome]], missing: int) -> bool:
    table = Table("module", "mutants", "killed by tests/core", "killed by others", "equivalent", "survivors")
    survivors = [mutant for mutant, outcome in results if not outcome.killed and mutant.name not in EQUIVALENT]
    for path in [*dict.fromkeys(mutant.path for mutant, _ in results), ""]:
        own = [(mutant, outcome) for mutant, outcome in results if path in ("", mutant.path)]
        killed = [outcome for _, outcome in own if outcome.killed]
        by_core = [outcome for outcome in killed if outcome.test in ("", "importing") or "tests/core/" in outcome.test]
        known = [mutant for mutant, outcome in own if not outcome.killed and mutant.name in EQUIVALENT]
        left = len(own) - len(killed) - len(known)
        name = Path(path).stem or "all"
        table.add_row(name, *map(str, (len(own), len(by_core), len(killed) - len(by_core), len(known), left)))
    console.print(table)
    for mutant, outcome in results:
        if outcome.killed and mutant.name in EQUIVALENT:
            console.print(f"NOT EQUIVALENT {mutant.name}: {outcome.test}", markup=False, soft_wrap=True)
    tried = {Path(mutant.path).stem for mutant, _ in results}
    for name in EQUIVALENT.keys() - {mutant.name for mutant, _ in results}:
        if name.partition(".")[0] in tried and not missing:
            console.print(f"NO LONGER MADE {name}", markup=False, soft_wrap=True)
    if missing:
        console.print(f"{missing} were not tried: the time was up")
    return not survivors and not missing


def _report_laws(console: Console, results: Sequence[tuple[Breach, Outcome]]) -> bool:
    table = Table("law", "broken by", "caught by", "")
    for breach, outcome in sorted(results, key=lambda result: LAWS.index(result[0])):
        caught = outcome.colour == "red" and outcome.test.startswith(breach.test)
        table.add_row(str(breach.law), breach.what, breach.test, "red" if caught else f"NOT CAUGHT {outcome}")
    console.print(table)
    return all(outcome.colour == "red" and outcome.test.startswith(breach.test) for breach, outcome in results)


def _laws(console: Console, workers: int) -> bool:
    nothing = [Breach(0, "nothing", breach.path, breach.old, breach.old, breach.test) for breach in LAWS]
    unbroken = [(breach.test, outcome) for breach, outcome in _each(_try_breach, nothing, workers) if outcome.killed]
    for test, outcome in unbroken:
        console.print(f"RED WITHOUT A MUTATION {test}: {outcome}", markup=False)
    return _report_laws(console, list(_each(_try_breach, LAWS, workers))) and not unbroken


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every mistake is seen or explained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="modules of _core/; all unless given")
    parser.add_argument("--laws", action="store_true", help="break each law of the design, and see its test go red")
    parser.add_argument("--wider", action="store_true", help="ask the tests of the verifiers, too: slow")
    parser.add_argument("--seconds", type=float, default=3_600, help="begin no mutant after so long")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    console = Console()
    if options.laws:
        return 0 if _laws(console, options.workers) else 1
    jobs, results = _core(options.modules), []
    if not jobs:
        parser.error(f"nothing to change in {', '.join(options.modules)}")
    nothing = replace(jobs[0], source=(ROOT / jobs[0].path).read_text())
    attempt = partial(_try_mutant, wider=_WIDER if options.wider else ())
    ((_, unbroken),) = _each(attempt, [nothing], 1)
    assert not unbroken.killed, f"red without a mutation: {unbroken.test}"
    deadline = time.monotonic() + options.seconds
    for result in _each(attempt, jobs, options.workers):
        results.append(result)
        mutant, outcome = result
        if not outcome.killed and mutant.name not in EQUIVALENT:
            console.print(f"SURVIVED {mutant.path}:{mutant.line}  {mutant.name}", markup=False, soft_wrap=True)
        if time.monotonic() >= deadline:
            break
    return 0 if _report_core(console, results, len(jobs) - len(results)) else 1
