"""Small mistakes in what an import of ``_core/`` evaluates: tables, bounds, defaults, and the functions that make them.

Each is tried in a process of its own that imports the changed module: first with the tests of the module and of those
that import it, then with all of the core's. Properties are among them, since mutmut leaves decorated functions alone.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from mutation.mutants import CORE, Result, Survivor, called_by_import, find_change

_CPU_SECONDS = 60
_PROPERTY = re.compile(r"^( +)@property$", re.MULTILINE)
_HIDDEN = re.compile(r"^( +)# @property$", re.MULTILINE)
_SETTINGS = ["-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist"]
# Plugins of pytest's are among what is imported early.
_WARNINGS = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
# Every test of the core imports them: once for all.
_PRELOADED = ("pytest", "cryptography.x509", "httpx", "hypothesis", "joserfc.jwk", "cachetools", "asyncio")


def mutate(module: str, source: str) -> Iterator[tuple[Survivor, str]]:
    """Make each mutant of a module outside of functions, in properties, and in the functions that the import calls."""
    create: Any = import_module("mutmut.mutation.file_mutation").create_mutations
    visible = _PROPERTY.sub(r"\1# @property", source)
    names = called_by_import(source) | set(re.findall(r"# @property\n +def (\w+)", visible))
    tree, mutations, *_ = create(module, visible)
    for mutation in mutations:
        function = mutation.contained_by_top_level_function
        if hasattr(function, "name") and function.name.value not in names:
            continue
        code = _HIDDEN.sub(r"\1@property", tree.deep_replace(mutation.original_node, mutation.mutated_node).code)
        change = find_change(module, source, code)
        if change is not None and not _is_of_no_use(change):
            yield change, code


def _is_of_no_use(change: Survivor) -> bool:
    """Whether nothing evaluates it (``__all__``, a type), it is wording, or another mutant of its value says more."""
    if change.statement.startswith(("__all__", "Check = Literal")) or change.is_wording:
        return True
    return change.after == "None" or change.before.lower() == change.after.lower()


def _try(directory: Path, tests: Sequence[str]) -> bool:
    """Whether the tests pass, in a new process."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))  # a loop that never ends is ended
        os.chdir(directory)
        sys.path.insert(0, str(directory / "src"))
        sys.dont_write_bytecode = False  # whatever the environment says: nothing else is compiled anew each time
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        status = 1
        try:
            import_module("private_key_jwt")  # most cannot be imported: that takes less time than to collect tests
            status = int(import_module("pytest").main([*_SETTINGS, *_WARNINGS, *tests]))
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def _nearest_tests(directory: Path, module: str) -> list[str]:
    """List a module's own tests, and those of the modules that import it: one of them sees most of its mutants."""
    name = module.removesuffix(".py")
    imports = re.compile(rf"^from (\.{name} import|\. import .*\b{name}\b)", re.MULTILINE)
    importing = [path.name for path in sorted((directory / CORE).glob("*.py")) if imports.search(path.read_text())]
    named = (f"tests/core/test_{each}" for each in (module, *importing))
    return [tests for tests in named if (directory / tests).exists()]


def _survives(directory: Path, module: str) -> bool:
    return all(_try(directory, tests) for tests in (_nearest_tests(directory, module), ["tests/core"]) if tests)


def _import_early() -> None:
    for name in _PRELOADED:
        import_module(name)


def _start_worker(directory: Path) -> None:
    """Give a process a tree of its own, to change as it likes, and what all tests import."""
    tree = directory / f"definitions-{os.getpid()}"
    for name in ("src", "tests"):
        shutil.copytree(directory / name, tree / name)
    shutil.copy(directory / "pyproject.toml", tree)
    os.chdir(tree)
    _import_early()


def _survives_here(change: Survivor, code: str, number: int) -> bool:
    """Whether all tests accept a mutant that is put into the tree of this process."""
    tree = Path.cwd()
    path = tree / CORE / change.module
    source = path.read_text()
    path.write_text(code)
    os.utime(path, (number, number))  # else a change within one second would find the bytecode of another
    try:
        return _survives(tree, change.module)
    finally:
        path.write_text(source)


def run(directory: Path, workers: int, modules: Sequence[str] = ()) -> Result:
    """Try them. Raise RuntimeError when a test is red without a change."""
    os.chdir(directory)  # where mutmut's settings are
    _import_early()
    if not _try(directory, ["tests/core"]):
        raise RuntimeError("a test is red without a change")
    paths = (path for path in sorted((directory / CORE).glob("*.py")) if not modules or path.stem in modules)
    mutants = [mutant for path in paths for mutant in mutate(path.name, path.read_text())]
    with ProcessPoolExecutor(workers, get_context("fork"), _start_worker, (directory,)) as pool:
        outcomes = pool.map(_survives_here, *zip(*mutants, strict=True), range(1, len(mutants) + 1))
        survivors = []
        for (change, _), survives in zip(mutants, outcomes, strict=True):
            if survives:
                survivors.append(change)
                # The rest takes long.
                print(f"survived: {change.module}: - {change.before} + {change.after}", file=sys.stderr, flush=True)  # noqa: T201
    return Result(len(mutants), survivors)
