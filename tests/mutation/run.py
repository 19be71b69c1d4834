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


def _mutants(workers: int, modules: list[str]) -> bool:
    with mutants.copied_tree() as directory:
        functions = mutants.run(directory, workers, modules)
        others = definitions.run(directory, workers, modules)
    survivors = functions.survivors + others.survivors
    print(f"{functions.tried} mutants of functions, {others.tried} of definitions: {len(survivors)} survived")  # noqa: T201
    for why, number in Counter(filter(None, map(explain, survivors))).most_common():
        print(f"{number:5} {why}")  # noqa: T201
    unexplained = [survivor for survivor in survivors if explain(survivor) is None]
    for survivor in unexplained:
        print(f"UNEXPLAINED {survivor.module}: {survivor.statement}\n  - {survivor.before}\n  + {survivor.after}")  # noqa: T201
    unused = [] if modules else find_unused(survivors)
    for each in unused:
        print(f"EXPLAINS NOTHING {each.module}: {each.statement}")  # noqa: T201
    return not unexplained and not unused


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
