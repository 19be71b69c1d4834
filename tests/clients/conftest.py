"""Node's clients run where they are installed: `npm ci` in a copy of this folder, and NODE_CLIENTS names the copy."""

from __future__ import annotations

import os

collect_ignore = [] if os.environ.get("NODE_CLIENTS") else ["test_node_clients.py"]


def pytest_report_header() -> str:
    where = os.environ.get("NODE_CLIENTS")
    return f"node clients: {where}" if where else "node clients: not run, NODE_CLIENTS names no installation of them"
