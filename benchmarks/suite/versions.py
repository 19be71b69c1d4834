"""An old version of the library beside this one, block by block in turn: did a change cost time, and how much?

The old one is a git worktree of its commit. Each version runs in a process of its own and says how long each block
took, so that a noisy machine disturbs both alike. The ratio is that of their 10th percentiles: what runs beside slows
down whole rounds of either. Its spread is that of the rounds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .measuring import Spread, Step
from .report import Row, Section

ROOT = Path(__file__).parents[2]


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """Check the commit out beside this tree, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="version-") as directory:
        place = Path(directory) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(place), commit], check=True)
        try:
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", str(place)], check=True)


class Version:
    """One version in a process of its own. ``paths`` are what it can time, with the calls of a block."""

    def __init__(self, source: Path, clients: int = 1) -> None:
        path = os.pathsep.join((str(source), str(ROOT / "benchmarks")))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "suite.versions_worker", str(clients)],
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.paths: dict[str, int] = json.loads(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a version ended: see its traceback above")
        return line

    def ask(self, path: str, number: int) -> None:
        """Let it time a block of so many calls, which goes on while the caller does."""
        print(json.dumps([path, number]), file=self._process.stdin, flush=True)

    def answer(self) -> float:
        """Seconds of one call, out of the block that was asked for."""
        return float(self._line())

    def time(self, path: str, number: int) -> float:
        self.ask(path, number)
        return self.answer()

    def close(self) -> None:
        self._process.communicate(timeout=120)


def _alternate(old: Version, new: Version, path: str, number: int, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of the old and the new version in each round; who is first changes from round to round."""
    found: tuple[list[float], list[float]] = ([], [])
    for version in (old, new):
        version.time(path, number)
    for turn in range(rounds):
        for place, version in ((0, old), (1, new)) if turn % 2 else ((1, new), (0, old)):
            found[place].append(version.time(path, number))
    return found


def run(step: Step, *, short: bool, commit: str, clients: int = 100_000) -> Section:
    """Compare the working tree with ``commit``."""
    section = Section("versions", f"This tree against {commit} (time now, of the time then)")
    rounds, few, clients = (5, 3, 300) if short else (200, 15, clients)
    dearest: tuple[float, str] = (0, "")
    with ExitStack() as stack:
        trees = (stack.enter_context(worktree(commit)), ROOT)
        old, new = (Version(tree / "src", clients) for tree in trees)
        stack.callback(old.close)
        stack.callback(new.close)
        for path, number in new.paths.items():
            step(path)
            before, now = _alternate(old, new, path, number, few if path.startswith("hostile") else rounds)
            section.data[path] = {"old": before, "new": now}
            one, two = (Spread.of(each).low for each in (before, now))
            note = f"{one * 1e6:.1f} µs before, {two * 1e6:.1f} µs now"
            if path.startswith("hostile"):
                floor = Spread.of(section.data["bare RSA operation"]["new"]).low
                dearest = max(dearest, (two / floor, f"{path}; {note}"))
            else:
                spread = Spread.of([after / then for then, after in zip(before, now, strict=True)])
                section.rows.append(Row(path, two / one, spread.low, spread.high, note=note))
    section.rows.append(Row("dearest hostile shape, of one RSA operation", dearest[0], note=dearest[1]))
    return section
