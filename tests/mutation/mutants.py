"""Small mistakes in ``_core/``, made by mutmut, and those that no test of the core sees.

mutmut took the place of a generator of our own. Measured on replay.py and freshness.py, on a busy machine of two cores:
mutmut tried 132 mutants in 45 s, ours 129 in 183 s, cosmic-ray 326 at 4.4 s each (it starts pytest for each of them);
all 1,520 of the core take mutmut 168 s. It found what ours did not: an argument that becomes None. What it leaves out
is the code outside of functions (tables, bounds, defaults): 13 % of the mutants that ours made.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_CODECS = re.compile(r"utf-8|ascii|latin-1", re.IGNORECASE)


@dataclass(frozen=True)
class Survivor:
    """A mutant that all tests accept: its name, what stood there, and what stands there now."""

    name: str
    before: str
    after: str

    @property
    def is_wording(self) -> bool:
        """Whether only the wording of an error changed, or the case of a codec's name: neither is a rule."""
        if _CODECS.sub("", self.before) == _CODECS.sub("", self.after):
            return True
        return bool(re.search(r"XX|\{quote\(None\)\}", self.after)) and bool(re.search(r'f?"[^"]* [^"]*"', self.before))


@dataclass(frozen=True)
class Result:
    """How many mutants were tried, and which of them survived."""

    tried: int
    survivors: list[Survivor]


def read_survivor(name: str, diff: str) -> Survivor:
    """Read what ``mutmut show`` prints."""
    lines = [line for line in diff.splitlines() if re.match(r"[-+](?![-+]{2} )", line)]
    before, after = (" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    return Survivor(name, before, after)


def _mutmut(directory: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True).stdout


def _survivors(directory: Path) -> Iterator[Survivor]:
    for name in re.findall(r"^\s*(\S+): survived$", _mutmut(directory, "results"), re.MULTILINE):
        yield read_survivor(name, _mutmut(directory, "show", name))


def run(workers: int) -> Result:
    """Try all mutants in a copy of the tree. Raise CalledProcessError when mutmut fails, and ValueError for none."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        directory = Path(temporary)
        for name in ("src", "tests"):
            ignored = shutil.ignore_patterns("__pycache__", "corpus")
            shutil.copytree(ROOT / name, directory / name, ignore=ignored)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, directory)
        counts = re.findall(r"(\d+)/(\d+) ", _mutmut(directory, "run", "--max-children", str(workers)))
        if not counts or counts[-1][0] != counts[-1][1]:
            raise ValueError("mutmut has not tried every mutant")
        return Result(int(counts[-1][1]), list(_survivors(directory)))
