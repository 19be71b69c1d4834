"""Published test vectors, read from where they are: none is copied into this project.

``JOSE_VECTORS`` names a folder with a copy of each; without it these tests are not collected.
"""

import os
from pathlib import Path

import pytest

VECTORS = Path(os.environ.get("JOSE_VECTORS", ""))

if not os.environ.get("JOSE_VECTORS"):
    collect_ignore_glob = ["test_*.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List each file with how many of its tests ran."""
    reports = terminalreporter.getreports("passed")
    ran = sorted(value for report in reports for name, value in report.user_properties if name == "vectors")
    if ran:
        terminalreporter.section("published vectors")
        for file, tests in ran:
            terminalreporter.line(f"{tests:5} {file}")
        terminalreporter.line(f"{sum(tests for _, tests in ran):5} in all, in {len(ran)} files")
