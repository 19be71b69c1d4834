"""Do the tests see a mistake? One that breaks a law (``run.py laws``), and small ones in the core (``run.py mutants``).

``mutants`` needs the extra: ``pip install -e '.[mutation]'``.
"""

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # as for pytest: tests import each other from tests/

from mutation import breaking, mutants  # noqa: E402

# The share of mutants that may survive. Most that do cost time only, or change a text.
_SURVIVORS = 0.06


def _laws(workers: int) -> bool:
    results = breaking.run(workers)
    for breach, outcome in results:
        print(f"law {breach.law}: {breach.what}: {breach.test}: {outcome}")  # noqa: T201
    caught = sum(outcome == "red" for _, outcome in results)
    print(f"{caught} of {len(results)} breaches are caught")  # noqa: T201
    return caught == len(results)


def _mutants(workers: int) -> bool:
    result = mutants.run(workers)
    rules = [survivor for survivor in result.survivors if not survivor.is_wording]
    for survivor in rules:
        print(f"SURVIVED {survivor.name}\n  - {survivor.before}\n  + {survivor.after}")  # noqa: T201
    wording = len(result.survivors) - len(rules)
    print(f"{result.tried} mutants, {len(rules)} survived, and {wording} that change a text only")  # noqa: T201
    return len(rules) <= _SURVIVORS * result.tried


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["laws", "mutants"])
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    return 0 if (_laws if options.what == "laws" else _mutants)(options.workers) else 1


if __name__ == "__main__":
    sys.exit(main())
