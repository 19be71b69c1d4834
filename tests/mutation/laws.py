"""The laws of the design, and for each some ways to break it: the statement, what becomes of it, the test that sees it.

A statement is found by its syntax and not by its place, so that a refactoring moves it freely: a module or package, and
a pattern that the first line of exactly one statement in it matches, as ``ast.unparse`` writes it (or of exactly two,
where a sync and an async function say the same).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[2] / "src" / "private_key_jwt"

TITLES = {
    1: "No assertion is accepted twice",
    2: "A stranger causes the budgeted fetches at most, no RSA before claims hold, no write",
    3: "A key that leaves the set is refused 300 s later at the latest",
    4: "A published new key works at once, and within 30 s under attack",
    5: "A bad answer never replaces or poisons good keys",
    6: "A known key within ttl never waits for the network; misses share one fetch",
    7: "Whatever fails, fails closed, and says whose fault it is",
    8: "Sync and async behave the same",
}

Change = Callable[[str], str]
"""Takes the first line of a statement, as ``ast.unparse`` writes it, and returns what is to stand there."""


@dataclass(frozen=True)
class Breach:
    """One way to break a law.

    Attributes:
        what: what is broken, in words.
        place: the module, or the package, that holds the statement; below ``src/private_key_jwt``.
        statement: the pattern that finds it (``re.search``).
        change: what becomes of its first line.
        test: the test function that goes red: its name, after that of its file where several have one of this name.
        number: how many statements there are; all are changed.
    """

    law: int
    what: str
    place: str
    statement: str
    change: Change
    test: str
    number: int = 1


@dataclass(frozen=True)
class Broken:
    """A module in which a law is broken."""

    path: Path
    source: str


def leave_out(head: str) -> str:
    """Drop the statement; of a compound one, never enter its body."""
    return re.sub(r"^(if|elif|while) .*:$", r"\1 False:", head) if head.endswith(":") else "pass"


def replace(pattern: str, new: str) -> Change:
    """Replace the first match of ``pattern`` in the statement."""
    return partial(re.sub, pattern, new, count=1)


def put_before(statement: str) -> Change:
    """Run another statement first."""
    return lambda head: f"{statement}\n{head}"


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.stmt))


def _head(node: ast.stmt) -> str:
    """The first line of a statement; a match's or a decorated definition's is of no use, and never asked for."""
    return ast.unparse(node).split("\n")[0]


def _modules(place: str) -> list[Path]:
    path = SOURCE / place
    found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [module for module in found if module.exists()]


@cache
def _heads(path: Path) -> tuple[str, ...]:
    """The first line of each of a module's statements, in their order: found once for all breaches."""
    return tuple(_head(node) for node in _statements(ast.parse(path.read_text())))


def break_law(breach: Breach) -> Broken:
    """Return the module with its statements changed. Raise LookupError unless there are as many as there should."""
    found = [
        (path, number, head)
        for path in _modules(breach.place)
        for number, head in enumerate(_heads(path))
        if re.search(breach.statement, head)
    ]
    if len(found) != breach.number or len({path for path, _, _ in found}) != 1:
        at = ", ".join(f"{path.name}: {head}" for path, _, head in found)
        raise LookupError(f"{breach.what}: {len(found)} statements match {breach.statement!r}: {at}")
    path = found[0][0]
    tree = ast.parse(path.read_text())
    statements = list(_statements(tree))
    for _, number, head in found:
        after = breach.change(head)
        if after == head:
            raise LookupError(f"{breach.what}: nothing changes in {after!r}")
        _Replaced(statements[number], after).visit(tree)
    return Broken(path, ast.unparse(tree))


class _Replaced(ast.NodeTransformer):
    """Put other statements in the place of one; a compound one keeps its body."""

    def __init__(self, node: ast.stmt, text: str) -> None:
        self._node = node
        compound = text.endswith(":")
        self._new = ast.parse(f"{text} pass" if compound else text).body
        if compound:
            last = self._new[-1]
            for field in ("body", "orelse"):
                if hasattr(node, field):
                    setattr(last, field, getattr(node, field))

    def visit(self, node: ast.AST) -> Any:
        return self._new if node is self._node else self.generic_visit(node)


LAWS = [
    Breach(
        1,
        "the store's answer is not looked at",
        "",
        r"^if added is not True:",
        leave_out,
        "test_an_assertion_is_accepted_once",
        number=2,
    ),
    Breach(
        1,
        "a mark ends with exp: no leeway, no skew",
        "_core/claims.py",
        r"^return expires_at \+ 2 \* LONGEST_LEEWAY",
        replace(r"expires_at.*", "expires_at"),
        "test_a_host_whose_clock_differs_by_leeway_accepts_nothing_twice",
    ),
    Breach(
        1,
        "a client_id and a jti run into each other",
        "_core/claims.py",
        r"\{len\(client_id\)\}:",
        replace(r"\{len\(client_id\)\}:", ""),
        "test_a_separator_cannot_be_forged",
    ),
    Breach(
        1,
        "consume() does not look at the clock again",
        "recipe.py",
        r"\bcheck_not_expired\(",
        leave_out,
        "test_consume_looks_at_the_clock_again",
        number=2,
    ),
    Breach(
        1,
        "the memory store looks, and then writes",
        "stores/_replay_stores/memory.py",
        r"^if known is not None and known > now:",
        leave_out,
        "test_memory.py::test_a_key_is_new_once_until_it_expires",
    ),
    Breach(
        1,
        "the SQLite store overwrites a live mark",
        "stores",
        r"DO UPDATE .* WHERE \{table\}\.expires_at <= :now",
        replace(r" WHERE \{table\}\.expires_at <= :now", ""),
        "test_sqlite.py::test_one_of_8_processes_wins",
    ),
    Breach(
        1,
        "the Redis store sets without NX",
        "stores/_replay_stores/redis.py",
        r"name, b'1', b'NX', ",
        replace(r"b'NX', ", ""),
        "test_one_of_64_callers_wins",
    ),
    Breach(
        1,
        "the Redis store sets without NX in a Cluster",
        "stores/_replay_stores/redis.py",
        r"^_ADD = ",
        replace(r"'NX', ", ""),
        "test_redis_cluster.py::test_a_cluster_holds_marks_and_documents",
    ),
    Breach(
        1,
        "Redis's answers are taken in their order, without a proof",
        "stores/_redis_commands.py",
        r"^if reply != proof:",
        leave_out,
        "test_an_answer_that_others_left_unread_is_nobody_elses",
    ),
    Breach(
        1,
        "the SQLAlchemy store overwrites a live mark",
        "stores",
        r"DO UPDATE .* WHERE \{table\}\.expires_at <= CAST\(:now ",
        replace(r" WHERE \{table\}\.expires_at <= CAST\(:now AS DOUBLE PRECISION\)", ""),
        "test_one_of_64_wins",
    ),
    Breach(
        2,
        "the budget is never spent",
        "_core/freshness.py",
        r"^return len\(taken\) < policy\.fetch_limit",
        replace(r"len.*", "True"),
        "test_the_budget_is_2_fetches_in_30_s_whatever_starts_them",
    ),
    Breach(
        2,
        "a spent budget is forgotten for others",
        "fetcher/_budgets.py",
        r"^if spending\.is_idle\(",
        replace(r"spending\.is_idle\(.*\):", "True:"),
        "test_a_spent_budget_outlives_thousands_of_others",
    ),
    Breach(
        2,
        "a failed fetch is given back",
        "fetcher",
        r"^failed = Outcome\(Status\.FAILED, one_line\(str\(error\)\)\)",
        put_before("state.give_back(fetch)"),
        "test_failed_fetches_count_too",
    ),
    Breach(
        3,
        "a set is used past its ttl",
        "_core/freshness.py",
        r"^if entry is None or entry\.has_expired\(now\)",
        replace(r" or .*:", ":"),
        "test_a_removed_key_is_refused_within_its_ttl_when_the_publisher_is_down",
    ),
    Breach(
        3,
        "age runs from the answer, not from the request",
        "fetcher",
        r"new_entry\(keys, asked, .* number=",
        replace(r"asked", "state.now()"),
        "test_age_runs_from_when_the_set_was_asked_for",
    ),
    Breach(
        3,
        "an empty set is taken for a failure",
        "fetcher",
        r"^keys: KeySet = \(yield ParseKeys\(response\.body\)",
        replace(r"$", "\nif not keys.members:\n    raise ValueError('empty')\npass"),
        "test_an_empty_set_revokes_every_key",
    ),
    Breach(
        2,
        "the key is looked for before the times are checked",
        "verifier.py",
        r"^work\.check_claims\(self\._find_client\(",
        put_before("self._find_key(self._find_client(work.client_id), work.header)"),
        "test_no_fetch_and_no_rsa_before_the_claims_hold",
        number=3,
    ),
    Breach(
        2,
        "the mark is made before the signature is verified",
        "verifier.py",
        r"^work\.check_signature\(self\._find_key\(",
        put_before("self._mark(*work.replay_mark(self._clock()))"),
        "test_nothing_unauthenticated_writes_to_the_store",
        number=2,
    ),
    Breach(
        4,
        "an unknown kid is refused without a look",
        "fetcher",
        r"^if not found\.is_final and .*unknown",
        leave_out,
        "test_a_published_new_key_works_at_once",
    ),
    Breach(
        4,
        "an unknown kid is remembered for ten windows",
        "fetcher",
        r"= asked_at \+ min\(UNKNOWN_KID_SECONDS, ",
        replace(r"min\(.*", "10 * self.policy.fetch_window"),
        "test_a_kid_seen_before_it_was_published_works_within_one_window",
    ),
    Breach(
        4,
        "the answer to an older request is the last word",
        "fetcher",
        r"^if entry\.\w+ > arrived:",
        replace(r" > arrived", ""),
        "test_an_older_fetch_is_not_the_last_word_for_a_later_request",
    ),
    Breach(
        5,
        "the status is not looked at",
        "_core/response.py",
        r"^if status != 200:",
        leave_out,
        "test_only_status_200_is_an_answer",
    ),
    Breach(
        5,
        "the cap is not looked at",
        "_core/response.py",
        r"^if max\(.*> self\._max_bytes:",
        leave_out,
        "test_a_bad_answer_never_replaces_good_keys",
    ),
    Breach(
        5,
        "one broken key costs the whole set",
        "_core/jwk.py",
        r"^return Member\(kid, _stated_kind\(jwk\), fault=str\(error\)\)",
        put_before("raise"),
        "test_one_broken_key_among_good_ones_costs_itself",
    ),
    Breach(
        5,
        "a late answer overwrites a newer one",
        "fetcher",
        r"^if known is not None and entry\.is_older\(known\):",
        leave_out,
        "test_a_late_answer_never_overwrites_a_newer_one",
    ),
    Breach(
        6,
        "a refresh ahead is waited for",
        "fetcher",
        r"self\._wait\(.* else STARTED",
        replace(r" if isinstance\(step, Refresh\) else STARTED", ""),
        "test_a_set_in_use_is_refreshed_ahead_in_the_background",
    ),
    Breach(
        6,
        "each miss starts a fetch of its own",
        "fetcher",
        r"^if \w+ is not None and can_join\(",
        leave_out,
        "test_concurrent_cold_requests_share_one_fetch",
    ),
    Breach(
        6,
        "a waiter that is cancelled cancels the fetch",
        "fetcher",
        r"^await asyncio\.wait\(\{\w+\}, timeout=",
        replace(r"asyncio\.wait\(\{(\w+)\}", r"asyncio.wait_for(\1"),
        "test_a_cancelled_waiter_takes_nobody_down",
    ),
    Breach(
        7,
        "only a store that says False refuses",
        "",
        r"^if added is not True:",
        replace(r"is not True", "is False"),
        "test_a_store_that_cannot_tell_accepts_nothing",
        number=2,
    ),
    Breach(
        7,
        "a look-up that fails is the client's fault",
        "",
        r"^return TemporarilyUnavailable\(Reason\.CLIENT_LOOKUP_FAILED, .*raised",
        replace(r"TemporarilyUnavailable\(Reason\.CLIENT_LOOKUP_FAILED", "InvalidClient(Reason.UNKNOWN_CLIENT"),
        "test_a_look_up_that_fails_is_ours",
    ),
    Breach(
        7,
        "an outage of the publisher is the client's fault",
        "fetcher",
        r"^if outcome\.status is Status\.SPENT:",
        replace(r"if .*", "if True:"),
        "test_a_bad_answer_never_replaces_good_keys",
    ),
    Breach(
        8,
        "the async verifier leaves a step out",
        "verifier.py",
        r"^await self\._mark\(",
        leave_out,
        "test_sync_and_async_differ_only_in_await",
    ),
    Breach(
        8,
        "the async fetcher drives a flow of its own",
        "fetcher",
        r"await self\._wait_async\(.* else STARTED",
        replace(r"STARTED", "CLOSED"),
        "test_the_fetchers_drive_one_flow",
    ),
]
