"""Do the tests see a mistake? One that breaks a law (``run.py laws``), and small ones in the core (``run.py mutants``).

``mutants`` needs the extra: ``pip install -e '.[mutation]'``. It fails for a survivor that ``explained.py`` does not
explain. ``--modules claims header`` tries those only.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # as for pytest: tests import each other from tests/

from mutation import breaking, definitions, mutants  # noqa: E402
from mutation.explained import explain, find_unused  # noqa: E402


def _laws(workers: int) -> bool:
    results = breaking.run(workers)
    for breach, outcome in results:
        print(f"law {breach.law}: {breach.what}: {breach.test}: {outcome}")  # noqa: T201
    caught = sum(outcome == "red" for _, outcome in results)
    print(f"{caught} of {len(results)} breaches are caught")  # noqa: T201
    return caught == len(results)


def _report(of: str, result: mutants.Result) -> bool:
    """Print what became of the mutants of one kind; return whether each survivor is explained."""
    whys = [explain(survivor) for survivor in result.survivors]
    unexplained = [survivor for survivor, why in zip(result.survivors, whys, strict=True) if why is None]
    killed, explained = result.tried - len(whys), len(whys) - len(unexplained)
    print(f"{result.tried} mutants of {of}: {killed} killed, {explained} explained, {len(unexplained)} unexplained")  # noqa: T201
    for name in result.stopped:
        print(f"NOT ENDED IN TIME {name}")  # noqa: T201
    for why, number in Counter(filter(None, whys)).most_common():
        print(f"{number:5} {why}")  # noqa: T201
    for survivor in unexplained:
        print(f"UNEXPLAINED {survivor.module}: {survivor.statement}\n  - {survivor.before}\n  + {survivor.after}")  # noqa: T201
    sys.stdout.flush()  # the next kind takes as long again
    return not unexplained


def _mutants(workers: int, modules: list[str]) -> bool:
    with mutants.copied_tree() as directory:
        functions = mutants.run(directory, workers, modules)
        explained = _report("functions", functions)
        others = definitions.run(directory, workers, modules)
        explained &= _report("definitions", others)
    unused = [] if modules else find_unused(functions.survivors + others.survivors)
    for each in unused:
        print(f"EXPLAINS NOTHING {each.module}: {each.statement}")  # noqa: T201
    return explained and not unused


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["laws", "mutants"])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--modules", nargs="*", default=[])
    options = parser.parse_args()
    succeeded = _laws(options.workers) if options.what == "laws" else _mutants(options.workers, options.modules)
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
