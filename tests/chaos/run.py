"""Chaos, by one command; see command.py."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # as for pytest: tests import each other from tests/

from chaos.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
