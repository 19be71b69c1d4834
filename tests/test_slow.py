"""A run that names nothing leaves out what is slow, and says so; what is named is run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # runs of pytest

FILE = "tests/core/test_lock.py"  # one of its tests is slow
FAST, SLOW = "test_one_thread_holds_it_at_a_time", "test_exceptions_out_of_signal_handlers_never_leave_it_locked"
LEFT_OUT = "slow tests were not run: pytest -m slow runs them"


def output_of(*arguments: str) -> str:
    """Run pytest over one file of tests."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "-p",
        "no:cacheprovider",
        "-o",
        f"testpaths={FILE}",
    ]
    return subprocess.run(
        [*command, *arguments],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.parametrize("processes", [[], ["-n", "1"]], ids=["alone", "with pytest-xdist"])
def test_a_run_that_names_nothing_leaves_out_what_is_slow_and_says_so_at_the_end(processes: list[str]) -> None:
    output = output_of(*processes)
    assert (FAST in output, SLOW in output) == (True, False)
    assert output.splitlines()[-2] == LEFT_OUT


@pytest.mark.parametrize(
    ("named", "is_fast_run"),
    [(["-m", "slow"], False), (["-k", "never_leave"], False), ([FILE], True)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_named_is_run_however_slow_it_is(named: list[str], is_fast_run: bool) -> None:
    output = output_of("--collect-only", *named)
    assert (FAST in output, SLOW in output, LEFT_OUT in output) == (is_fast_run, True, False)
