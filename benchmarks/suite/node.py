"""panva/jose in Node.js, where there is one: in a process of its own, beside that process's own RSA operation."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from .measuring import Spread

_SCRIPT = Path(__file__).with_name("jose_peer.mjs")


class NotMeasured(Exception):
    """There is no Node.js, or no jose; the text says which. No failure."""


def measure(task: dict[str, Any], *, install: bool) -> dict[str, Any]:
    """What ``jose_peer.mjs`` answers. Raises NotMeasured."""
    node = shutil.which("node")
    if node is None:
        raise NotMeasured("node is not on PATH")
    with tempfile.TemporaryDirectory() as directory:
        where = _find(Path(directory), install=install)
        file = Path(directory, "task.json")
        file.write_text(json.dumps(task))
        command = [node, "--no-warnings", str(_SCRIPT), where, str(file)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or ["no output"]
        raise NotMeasured(f"node failed: {next((line for line in lines if 'Error' in line), lines[-1])[:120]}")
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def _find(directory: Path, *, install: bool) -> str:
    if install:
        npm = shutil.which("npm")
        if npm is None:
            raise NotMeasured("npm is not on PATH")
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(directory), "jose"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if ended.returncode:
            raise NotMeasured("npm could not install jose")
        return str(directory)
    for path in os.environ.get("NODE_PATH", "").split(os.pathsep):
        if path and Path(path, "jose").is_dir():
            return path
    raise NotMeasured("jose is not in NODE_PATH; --node installs it for a run")


def ratio(answer: dict[str, Any]) -> Spread:
    return Spread.of([one / floor for one, floor in zip(answer["seconds"], answer["floor"], strict=True)])


def microseconds(answer: dict[str, Any]) -> float:
    return float(median(answer["seconds"])) * 1e6
