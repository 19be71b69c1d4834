"""Small mistakes in ``_core/``, made by mutmut, and those that no test of the core sees.

mutmut took the place of a generator of our own. Measured on replay.py and freshness.py, on a busy machine of two cores:
mutmut tried 132 mutants in 45 s, ours 129 in 183 s, cosmic-ray 326 at 4.4 s each (it starts pytest for each of them).
It changes a function after its module was imported, so it leaves out what is evaluated by the import: ``definitions``
has mutmut's operators change that, too.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CORE = Path("src", "private_key_jwt", "_core")
_CODECS = ("utf-8", "ascii", "latin-1")


@dataclass(frozen=True)
class Survivor:
    """A mutant that all tests accept.

    module: the name of its file in ``_core/``.
    statement: the first line of the innermost statement around the change, as ``ast.unparse`` writes it.
    before, after: the smallest expression that differs.
    """

    module: str
    statement: str
    before: str
    after: str

    @property
    def is_wording(self) -> bool:
        """Whether only the case of a codec's name changed, or a text of several words: neither is a rule."""
        try:
            before, after = ast.literal_eval(self.before), ast.literal_eval(self.after)
        except (ValueError, SyntaxError):  # no literal, or a statement
            return False
        if not (isinstance(before, str) and isinstance(after, str)):
            return False
        return " " in before.strip() or (before.lower() in _CODECS and before.lower() == after.lower())


@dataclass(frozen=True)
class Result:
    """How many mutants were tried, and which of them survived.

    stopped: the names of those that count as killed because their tests did not end in time.
    """

    tried: int
    survivors: list[Survivor]
    stopped: Sequence[str] = ()


def find_change(module: str, before: str, after: str) -> Survivor | None:
    """Compare two sources that differ in one place; None where both mean the same."""
    found = _find_change(ast.parse(before), ast.parse(after), "")
    return found and Survivor(module, *found)


def _find_change(before: ast.AST, after: ast.AST, statement: str) -> tuple[str, str, str] | None:
    if ast.dump(before) == ast.dump(after):
        return None
    if isinstance(before, ast.stmt):
        statement = _first_line(before)
    if type(before) is type(after):
        pairs = list(zip(_children(before), _children(after), strict=False))
        differ = [pair for pair in pairs if ast.dump(pair[0]) != ast.dump(pair[1])]
        same_size = len(list(_children(before))) == len(list(_children(after)))
        if (
            same_size
            and len(differ) == 1
            and not isinstance(differ[0][0], ast.operator | ast.unaryop | ast.cmpop | ast.boolop)
        ):
            return _find_change(*differ[0], statement)
    return statement, _first_line(before), _first_line(after)


def _first_line(node: ast.AST) -> str:
    return ast.unparse(node).split("\n")[0]


def _children(node: ast.AST) -> Iterator[ast.AST]:
    return (each for each in ast.iter_child_nodes(node) if not isinstance(each, ast.expr_context))


@contextmanager
def copied_tree() -> Iterator[Path]:
    """Copy what the tests of the core need."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        directory = Path(temporary)
        for name in ("src", "tests"):
            ignored = shutil.ignore_patterns("__pycache__", "corpus")
            shutil.copytree(ROOT / name, directory / name, ignore=ignored)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, directory)
        yield directory


def _mutmut(directory: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True).stdout


def _outcomes(directory: Path, modules: Sequence[str]) -> dict[str, str]:
    """Read what became of each mutant, of some modules only where any are given."""
    listed = re.findall(r"^\s*(\S+): (.+)$", _mutmut(directory, "results", "--all", "true"), re.MULTILINE)
    return {name: outcome for name, outcome in listed if not modules or name.split(".")[2] in modules}


def _survivors(directory: Path, names: Iterable[str]) -> Iterator[Survivor]:
    read_functions: Any = import_module("mutmut.mutation.diff_apply").read_functions_from_index
    codegen: Any = import_module("libcst").Module
    with chdir(directory):
        for name in names:
            module = f"{name.split('.')[2]}.py"
            if name_of(name) in called_by_import((CORE / module).read_text()):
                continue  # it was imported before it was changed: ``definitions`` tries it
            sources = (codegen([function]).code for function in read_functions(name, CORE / module))
            survivor = find_change(module, *sources)
            if survivor is not None:
                yield survivor


def name_of(mutant: str) -> str:
    """Read the name of its function out of a mutant's name."""
    return mutant.rpartition(".")[2].removeprefix("x_").partition("__mutmut_")[0]


def called_by_import(source: str) -> set[str]:
    """Name the functions that a module calls outside of functions."""
    statements = [each for each in ast.parse(source).body if not isinstance(each, ast.FunctionDef | ast.ClassDef)]
    calls = (node.func for each in statements for node in ast.walk(each) if isinstance(node, ast.Call))
    return {function.id for function in calls if isinstance(function, ast.Name)}


def run(directory: Path, workers: int, modules: Sequence[str] = ()) -> Result:
    """Try the mutants of functions. Raise CalledProcessError when mutmut fails, as for modules that have none."""
    names = [f"private_key_jwt._core.{module}.*" for module in modules]
    _mutmut(directory, "run", "--max-children", str(workers), *names)
    outcomes = _outcomes(directory, modules)
    if not outcomes or "not checked" in outcomes.values():
        raise ValueError("mutmut has not tried every mutant")
    survived = (name for name, outcome in outcomes.items() if outcome in ("survived", "no tests"))
    stopped = [name for name, outcome in outcomes.items() if outcome == "timeout"]
    return Result(len(outcomes), list(_survivors(directory, survived)), stopped)
