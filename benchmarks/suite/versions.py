"""An old version of the library beside this one, block by block in turn: did a change cost time, and how much?

The old one is a git worktree of its commit. Each version runs in a process of its own and says how long each block
took, so that a noisy machine disturbs both alike; the ratio is the median over the rounds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .measuring import Spread, Step
from .report import Row, Section

_ROOT = Path(__file__).parents[2]

# Each path with the number of calls in a block, and what the ratio of new to old may be at most.
PATHS: dict[str, tuple[int, float | None]] = {
    "accept": (40, 1.02),
    "async": (40, 1.02),
    "form": (40, 1.02),
    "refused: expired": (100, 1.02),
    "refused: wrong aud": (100, 1.02),
    "refused: unknown client": (100, 1.02),
    "refused: malformed": (100, 1.02),
    "two threads": (100, None),
    "many clients": (40, None),
}


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """Check the commit out beside this tree, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="version-") as directory:
        place = Path(directory) / "tree"
        git = ["git", "-C", str(_ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(place), commit], check=True)
        try:
            yield place
        finally:
            subprocess.run([*git, "remove", "--force", str(place)], check=True)


class Version:
    """One version in a process of its own."""

    def __init__(self, source: Path, key: str, clients: int) -> None:
        path = os.pathsep.join((str(source), str(_ROOT / "benchmarks")))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "suite.versions_worker"],
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.shapes: list[str] = self._ask({"key": key, "clients": clients})

    def _ask(self, question: dict[str, Any]) -> Any:
        print(json.dumps(question), file=self._process.stdin, flush=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a version ended: see its traceback above")
        return json.loads(line)

    def time(self, path: str, number: int) -> float:
        """Seconds of one call, out of a block of ``number``."""
        return float(self._ask({"path": path, "number": number}))

    def close(self) -> None:
        self._process.communicate(timeout=10)


def _key() -> str:
    key = generate_private_key(public_exponent=65_537, key_size=2_048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def _alternate(old: Version, new: Version, path: str, number: int, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of the old and the new version in each round; who is first changes from round to round."""
    found: tuple[list[float], list[float]] = ([], [])
    for version in (old, new):
        version.time(path, number)
    for turn in range(rounds):
        for place, version in ((0, old), (1, new)) if turn % 2 else ((1, new), (0, old)):
            found[place].append(version.time(path, number))
    return found


def _add(section: Section, path: str, limit: float | None, old: Sequence[float], new: Sequence[float]) -> None:
    one, two = (Spread.of([seconds * 1e6 for seconds in each]) for each in (old, new))
    ratio = Spread.of([after / before for before, after in zip(old, new, strict=True)])
    note = f"{one.median:.1f} µs before, {two.median:.1f} µs now"
    section.rows.append(Row.of(path, ratio, limit=limit, note=note))
    section.data[path] = {"old": list(old), "new": list(new)}


def run(step: Step, *, short: bool, commit: str, clients: int = 100_000) -> Section:
    """Compare the working tree with ``commit``."""
    section = Section("versions", f"This tree against {commit} (time now, of the time then)")
    rounds, few, clients = (5, 3, 300) if short else (200, 15, clients)
    with ExitStack() as stack:
        key = _key()
        old_tree = stack.enter_context(worktree(commit))
        old, new = (Version(tree / "src", key, clients) for tree in (old_tree, _ROOT))
        stack.callback(old.close)
        stack.callback(new.close)
        for path, (number, limit) in PATHS.items():
            step(path)
            _add(section, path, limit, *_alternate(old, new, path, number, rounds))
        worst: list[tuple[float, float, str]] = []
        for shape in new.shapes:
            step(shape)
            before, after = _alternate(old, new, f"hostile: {shape}", 20, few)
            bare = Spread.of([version.time("bare", 40) for version in (old, new)]).median
            worst.append((Spread.of(after).median / bare, Spread.of(before).median / bare, shape))
            section.data[f"hostile: {shape}"] = {"old": before, "new": after, "bare": bare}
    now, _, shape = max(worst)
    note = f"{shape}; before at most {max(each[1] for each in worst):.1f} x; over 1.0: {sum(e[0] > 1 for e in worst)}"
    section.rows.append(Row(f"dearest of {len(worst)} hostile shapes, of one RSA operation", now, limit=1, note=note))
    return section
