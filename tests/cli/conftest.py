"""A tenant behind a real server, and the command line run on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from private_key_jwt.cli._app import app
from private_key_jwt.testing import Clock, RelyingParty, Tenant

AUDIENCE = "https://op.example.com"


class Answer:
    """How a run ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err


def run(*arguments: object, stdin: str | bytes | None = None) -> Answer:
    """Run the command line in this process."""
    result = CliRunner().invoke(app, [str(each) for each in arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


@dataclass
class Served:
    """A served tenant; ``place`` and ``who`` are options that name it."""

    relying_party: RelyingParty
    tenant: Tenant
    clock: Clock
    base_url: str

    @property
    def place(self) -> tuple[str, ...]:
        return ("--slug", self.tenant.slug, "--base-url", self.base_url, "--allow-http-loopback")

    @property
    def who(self) -> tuple[str, ...]:
        return ("--audience", AUDIENCE, "--client-id", self.tenant.client_id, "--now", str(self.clock()))

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.who, *self.place)


@pytest.fixture
def served() -> Iterator[Served]:
    clock = Clock(1_900_000_000.0)
    relying_party = RelyingParty(audience=AUDIENCE, clock=clock)
    with relying_party.serve() as server:
        yield Served(relying_party, relying_party.tenant("acme"), clock, server.base_url)
