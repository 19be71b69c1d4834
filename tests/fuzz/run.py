"""Coverage-guided fuzzing (atheris, ``pip install '.[fuzz]'``) of ``targets.py``, by one command.

``python tests/fuzz/run.py --seconds 60`` fuzzes each target for so long, one after the other. What it finds it writes
below ``--findings``, one file for each: once it is mended, put it into ``corpus/<target>``, and pytest replays it from
then on. ``--minimize`` makes the corpus anew out of what was reached: the fewest inputs with that coverage.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_TESTS = str(Path(__file__).parents[1])
_CORPUS = Path(__file__).parent / "corpus"
_LONGEST = 1_024  # bytes of an input that is kept
_NAMES = ("token", "claims", "strict_json", "jwks", "form")
_DICTIONARY = {
    "token": ["eyJhbGciOiJSUzI1NiJ9", ".", "-", "_", "=", "e30"],
    "claims": ["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "https://as.example", "1700000060", "c"],
    "strict_json": ["{", "}", "[", "]", ":", ",", "NaN", "Infinity", "true", "null", "\\\\ud800", "1e400", "0" * 21],
    "jwks": ["keys", "kty", "RSA", "n", "e", "AQAB", "kid", "k1", "use", "sig", "alg", "RS256", "key_ops",
             "verify", "d", "@0"],
    "form": ["client_assertion", "client_assertion_type", "client_id", "client_secret", "=", "&",
             "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"],
}  # fmt: skip


def _needs(name: str) -> None:
    """End, and say how to install what is missing."""
    if importlib.util.find_spec(name) is None:
        sys.exit(f"fuzzing needs {name}, an extra: pip install '.[fuzz]' in the clone")


def _fuzz(name: str, options: Sequence[str]) -> None:
    """In a process of its own: libFuzzer never returns."""
    atheris: Any = importlib.import_module("atheris")
    sys.path[0] = _TESTS  # as for pytest: tests import each other from tests/
    with atheris.instrument_imports(include=["private_key_jwt", "json"]):
        targets = importlib.import_module("fuzz.targets")
    atheris.Setup([sys.argv[0], *options], targets.TARGETS[name])
    atheris.Fuzz()


def _run(name: str, options: Sequence[str]) -> tuple[int, str]:
    command = [sys.executable, __file__, "--target", name, "--", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def _minimize(name: str, found: Sequence[Path]) -> None:
    """Keep, of what was found, each input that reaches a branch which no shorter one reaches."""
    sys.path[0] = _TESTS
    coverage = importlib.import_module("coverage")
    target = importlib.import_module("fuzz.targets").TARGETS[name]
    inputs = sorted({path.read_bytes() for path in found}, key=lambda data: (len(data), data))
    reached: set[tuple[str, int, int]] = set()
    kept: list[bytes] = []
    for data in inputs:
        if len(data) > _LONGEST:
            continue
        trace = coverage.Coverage(branch=True, data_file=None, config_file=False, include=["*/private_key_jwt/*"])
        with trace.collect():
            target(data)
        traced = trace.get_data()
        arcs = {(file, *arc) for file in traced.measured_files() for arc in traced.arcs(file) or ()}
        if arcs - reached:
            reached |= arcs
            kept.append(data)
    shutil.rmtree(_CORPUS / name)
    (_CORPUS / name).mkdir()
    for data in kept:
        (_CORPUS / name / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _report(name: str, seconds: int, findings: Path, minimize: bool) -> bool:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        words = Path(scratch, "words")
        words.write_text("".join(f'"{word}"\n' for word in _DICTIONARY[name]))
        new = Path(scratch, "new")
        new.mkdir()
        limits = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=5", "-rss_limit_mb=1024"]
        places = [f"-dict={words}", f"-artifact_prefix={findings}/{name}-", str(new), str(_CORPUS / name)]
        status, output = _run(name, [*limits, "-print_final_stats=1", *places])
        number = re.search(r"number_of_executed_units: (\d+)", output)
        coverage = re.findall(r"cov: (\d+)", output)
        summary = f"{number[1] if number else '?'} executions, {coverage[-1] if coverage else '?'} branches"
        _say(f"{name}: {summary}, {'nothing found' if status == 0 else 'FOUND'}")
        if status:
            _say("\n".join(output.splitlines()[-40:]))
        elif minimize:
            _minimize(name, [*(_CORPUS / name).iterdir(), *new.iterdir()])
    return status == 0


def main() -> int:
    """0 when nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", choices=[[], *_NAMES], help="all unless given")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--minimize", action="store_true")
    options = parser.parse_args()
    _needs("atheris")
    if options.minimize:
        _needs("coverage")
    findings = [
        name
        for name in options.targets or _NAMES
        if not _report(name, options.seconds, options.findings, options.minimize)
    ]
    return 1 if findings else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--target"]:
        _fuzz(sys.argv[2], sys.argv[4:])
    sys.exit(main())
