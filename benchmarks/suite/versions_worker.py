"""One version of the library, timed on demand by ``versions``: ``python -m suite.versions_worker CLIENTS`` with its
source on PYTHONPATH.

Reads a JSON array a line (a path, a number of calls) and writes the seconds of one call. It uses only what all
versions have, with the names that each has for it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random

from private_key_jwt import AuthenticationError

from . import corpus, ours, paths
from .many_clients import ManyClients
from .measuring import CodePath, Items, calls, logged, threads

_SIZES = {"verify": 40, "verify, async": 40, "authenticate(form)": 40, "authenticate(form), async": 40}
_POOL = 1_500
_LIFE = 200  # seconds: less than an assertion's


class Worker:
    """The paths that can be timed, by name; each is made when it is first asked for."""

    def __init__(self, clients: int, loop: asyncio.Runner) -> None:
        self._clients, self._loop = clients, loop
        self._party = ours.relying_party()
        self._tenant = self._party.tenant()
        self._subject = ours.Subject([self._tenant.client()], ours.fetcher(self._party))
        self._made: dict[str, tuple[float, CodePath]] = {}
        self._many: tuple[ManyClients, ours.Subject] | None = None
        self.sizes = {
            **_SIZES,
            **{f"refused: {name}": 100 for name in paths.EARLY},
            "two threads": 200,
            "many clients": 40,
            "bare RSA operation": 40,
            **{f"hostile: {name}": 20 for name in corpus.garbage(self._tenant)},
        }

    def time(self, name: str, number: int) -> float:
        """Seconds of one call. Tokens that are about to expire are signed anew."""
        at, path = self._made.get(name, (0.0, None))
        if path is None or time.monotonic() > at + _LIFE:
            path = self._make(name)
            self._made[name] = time.monotonic(), path
            path.block(number)
        if name.startswith(("refused", "hostile")):
            for _ in range(150):  # a flood: the lines that the default handler writes in a second are used up
                with suppress(AuthenticationError):
                    self._subject.verifier.verify("a.b.c")
        return path.block(number)

    def _make(self, name: str) -> CodePath:
        kind, _, rest = name.partition(": ")
        if kind in _SIZES:
            return paths.accepted(self._party, self._tenant, _POOL, self._loop)[kind]
        if kind == "refused":
            return paths.refused(name, self._subject, paths.early(self._tenant, rest) * 4)
        if kind == "hostile":
            return paths.refused(name, self._subject, [corpus.garbage(self._tenant)[rest]] * 20)
        make: dict[str, Callable[[], CodePath]] = {
            "two threads": self._two_threads,
            "many clients": self._many_clients,
            "bare RSA operation": lambda: corpus.floor(self._tenant.current_key, corpus.tokens(self._tenant, 200)),
        }
        return make[kind]()

    def _two_threads(self) -> CodePath:
        """By the clock on the wall, half of the assertions in each of two threads."""

        def run(block: Items) -> float:
            return threads(self._subject.verifier.verify, [block[::2], block[1::2]])[0]

        return CodePath("two threads", run, corpus.tokens(self._tenant, _POOL), self._subject.renew)

    def _many_clients(self) -> CodePath:
        """Assertions of clients drawn at random, whose keys are all loaded."""
        if self._many is None:
            many_clients = ManyClients()
            self._many = many_clients, many_clients.subject(self._clients)[0]
        many_clients, subject = self._many
        tokens = many_clients.tokens(Random(4).choices(range(self._clients), k=_POOL))
        return CodePath("many", lambda items: calls(subject.verifier.verify, items), tokens, subject.renew)


def main() -> None:
    with asyncio.Runner() as loop, logged():
        worker = Worker(int(sys.argv[1]), loop)
        print(json.dumps(worker.sizes), flush=True)
        for line in sys.stdin:
            print(json.dumps(worker.time(*json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
