"""Break each law in a copy of the source, and run the test that must see it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

from mutation.laws import LAWS, SOURCE, Breach, break_law
from mutation.mutants import ROOT

_TIMEOUT = 120


def find_test(name: str) -> str:
    """Return the node of a test, given its name or ``file.py::name``. Raise LookupError unless there is one."""
    file, _, function = name.rpartition("::")
    found = (ROOT / "tests").rglob(file or "test_*.py")
    files = [path for path in found if re.search(rf"\bdef {function}\(", path.read_text())]
    if len(files) != 1:
        raise LookupError(f"{name} stands in {len(files)} files: {', '.join(str(file) for file in files)}")
    return f"{files[0].relative_to(ROOT)}::{function}"


def _copy(directory: Path) -> Path:
    """Copy what the tests need."""
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__", "corpus"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, directory)
    return directory


def _run(tree: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run tests against the copy: pytest's exit status, and what it printed."""
    settings = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", *settings, *tests]
    try:
        ended = subprocess.run(
            command,
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT * len(tests),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, "FAILED in time"
    return ended.returncode, ended.stdout


@contextmanager
def _broken(tree: Path, breach: Breach) -> Iterator[None]:
    broken = break_law(breach)
    file = tree / "src" / "private_key_jwt" / broken.path.relative_to(SOURCE)
    before = file.read_text()
    file.write_text(broken.source)
    try:
        yield
    finally:
        file.write_text(before)


def run(workers: int) -> list[tuple[Breach, str]]:
    """Return each breach with ``red``, or with what happened instead. Raise RuntimeError when a test is red anyway."""
    with tempfile.TemporaryDirectory(prefix="laws-") as directory:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(workers):
            trees.put(_copy(Path(directory) / str(number)))
        tree = trees.get()
        status, output = _run(tree, sorted({find_test(breach.test) for breach in LAWS}))
        if status:
            raise RuntimeError(f"a test is red without a breach:\n{output}")
        trees.put(tree)

        def attempt(breach: Breach) -> tuple[Breach, str]:
            tree = trees.get()
            try:
                with _broken(tree, breach):
                    status, output = _run(tree, [find_test(breach.test)])
            finally:
                trees.put(tree)
            failed = re.search(rf"^FAILED .*{breach.test}\b", output, re.MULTILINE) or output == "FAILED in time"
            return breach, "red" if status == 1 and failed else f"NOT CAUGHT: {output[-500:]}"

        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(attempt, LAWS))
