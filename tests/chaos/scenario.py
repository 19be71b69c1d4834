"""One store, one JWKS server, some workers: load, and what goes wrong meanwhile."""

from __future__ import annotations

import contextlib
import random
import secrets
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chaos.fleet import STORES, JWKSServer, Worker
from chaos.record import PENDING, Limits, Outage, Record
from private_key_jwt.testing import SigningKey

AUDIENCE = "https://op.example.com"
CLIENT_ID = "portal-acme"
THREADS = 8  # of each worker
_AT_ONCE = 3  # workers that get an assertion at once; one more gets it later
_IN_FLIGHT = 120


class Scenario:
    """A fleet that runs until ``close``.

    ``scale`` shortens what is waited for; a ttl and a window are a second at the least.
    """

    def __init__(self, store: str, directory: Path, workers: int, scale: float) -> None:
        self.scale = scale
        # A fleet has two fetches a window, for new keys too: the ttl leaves time for a few windows.
        ttl, window = max(3.0, 8 * scale), max(1.0, 2 * scale)
        self.record = Record(Limits(ttl=ttl, window=window, fetch_timeout=2, store_timeout=3))
        self._keys: list[SigningKey] = []
        self._lock = threading.Lock()  # over the keys: nobody signs with one that is being removed
        self._later: deque[tuple[float, int, str, str]] = deque()
        self._assertions = 0
        self.errors = directory / "stderr.txt"
        self.workers: list[Worker] = []
        with contextlib.ExitStack() as stack:
            self._start(stack, store, directory, workers)
            self.close = stack.pop_all().close

    def _start(self, stack: contextlib.ExitStack, store: str, directory: Path, workers: int) -> None:
        """Start all of it; what is started is ended by ``stack``, whatever fails after it."""
        limits = self.record.limits
        self.store = STORES[store](directory)
        stack.callback(self.store.remove)
        self.jwks = JWKSServer(directory)
        stack.callback(self.jwks.kill)
        self.rotate()
        jwks = {"ttl": limits.ttl, "fetch_window": limits.window, "empty_ttl": 1, "refresh_ahead": 0.5, "timeout": 2}
        settings: dict[str, Any] = {
            "audience": AUDIENCE,
            "client_id": CLIENT_ID,
            "jwks_uri": self.jwks.uri,
            "fetcher": jwks,
            "store": self.store.url,
            "threads": THREADS,
            "workers": workers,
        }
        for number in range(workers):
            self.workers.append(Worker({**settings, "async": bool(number % 2)}, self.record, self.errors))
            stack.callback(self.workers[-1].stop)
        for worker in self.workers:
            worker.await_ready()

    # Load

    def assertion(self) -> tuple[int, str, str]:
        """A new one, under the current key: its number, its kid, and itself."""
        with self._lock:
            self._assertions += 1
            key = self._keys[-1]
            now = int(time.time())
            names = {"iss": CLIENT_ID, "sub": CLIENT_ID, "aud": AUDIENCE}
            claims = {**names, "iat": now, "exp": now + 120, "jti": secrets.token_urlsafe(12)}
            return self._assertions, key.kid, key.sign({"alg": "RS256", "kid": key.kid}, claims)

    def one_for_all(self, rounds: int) -> None:
        """One assertion to every thread of every worker at once."""
        for _ in range(rounds):
            number, kid, text = self.assertion()
            for _ in range(THREADS):
                for worker in self.workers:
                    worker.send(number, kid, text)
            self.record.happened["rounds of one for all"] += 1
            self.drain(30)

    def load(self, until: threading.Event) -> None:
        """Each assertion to some workers at once, and to one more a moment later, until told to end."""
        while not until.is_set():
            if self._pending() >= _IN_FLIGHT:
                time.sleep(0.005)
                continue
            number, kid, text = self.assertion()
            for worker in random.sample(self.workers, min(_AT_ONCE, len(self.workers))):
                worker.send(number, kid, text)
            self._later.append((time.monotonic() + random.uniform(0.1, 2) * self.scale, number, kid, text))
            while self._later and self._later[0][0] <= time.monotonic():
                random.choice(self.workers).send(*self._later.popleft()[1:])

    def _pending(self) -> int:
        return sum(each.outcome == PENDING for each in self.record.presentations[-4 * _IN_FLIGHT :])

    def drain(self, seconds: float) -> None:
        """Wait until all is answered."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(each.outcome == PENDING for each in self.record.presentations):
            time.sleep(0.005)

    # What goes wrong

    def rotate(self) -> None:
        """Publish a new key beside the old one, and sign with it at once."""
        with self._lock:
            key = SigningKey.generate()
            self._keys = [*self._keys[-1:], key]
            self.record.published[key.kid] = time.monotonic()
            self.jwks.publish([each.public_jwk() for each in self._keys])
        self.record.happened["rotations"] += 1

    def end_grace(self) -> None:
        """Let the old key leave the set."""
        with self._lock:
            *old, current = self._keys
            self.jwks.publish([current.public_jwk()])
            for key in old:
                self.record.removed[key.kid] = time.monotonic()
            self._keys = [current]
        self.record.happened["keys removed"] += 1

    def kill_workers(self, number: int) -> None:
        """And restart them at once."""
        for worker in random.sample(self.workers, number):
            worker.kill_and_restart()
            self.record.happened["workers killed"] += 1

    def kill_store(self, seconds: float) -> None:
        """For so long, under load."""
        outage = Outage(time.monotonic())
        self.record.store_outages.append(outage)
        self.store.kill()
        time.sleep(seconds)
        self.store.start()
        outage.ended = time.monotonic()
        self.record.happened["store killed"] += 1

    def kill_jwks(self, seconds: float, *, cold: bool) -> None:
        """For so long, under load; ``cold``: with workers that have no keys yet."""
        outage = Outage(time.monotonic())
        self.record.jwks_outages.append(outage)
        self.jwks.kill()
        if cold:
            self.kill_workers(1)
        time.sleep(seconds)
        self.jwks.start()
        outage.ended = time.monotonic()
        self.record.happened["JWKS server killed"] += 1

    def go_wrong(self, seconds: float) -> None:
        """All of it, again and again."""
        deadline = time.monotonic() + seconds
        ttl, window = self.record.limits.ttl, self.record.limits.window
        steps: Sequence[Any] = (
            (self.kill_workers, (len(self.workers) // 2,), 1.0),
            (self.rotate, (), window),
            (lambda: self.kill_store(1.5 * self.scale), (), 3.0),
            (lambda: self.kill_jwks(0.3 * ttl, cold=False), (), 1.0),
            (self.end_grace, (), ttl),
            (lambda: self.kill_store(1.5 * self.record.limits.store_timeout), (), 3.0),  # longer than any add waits
            (lambda: self.kill_jwks(1.5 * ttl, cold=True), (), window + 2),
        )
        while True:
            for call, arguments, rest in steps:
                call(*arguments)
                time.sleep(rest * self.scale if rest < 3 else rest)
                if time.monotonic() >= deadline:
                    return


def run(store: str, directory: Path, *, seconds: float, workers: int) -> Record:
    """What came of so many seconds with one kind of store."""
    scenario = Scenario(store, directory, workers, scale=min(1.0, seconds / 30))
    try:
        scenario.one_for_all(max(3, int(seconds / 2)))
        until = threading.Event()
        load = threading.Thread(target=scenario.load, args=(until,))
        load.start()
        try:
            scenario.go_wrong(seconds)
        finally:
            until.set()
            load.join()
        scenario.drain(15)
        scenario.one_for_all(3)
    finally:
        scenario.close()
    scenario.record.happened["lines on stderr"] = len(scenario.errors.read_text().splitlines())
    return scenario.record
