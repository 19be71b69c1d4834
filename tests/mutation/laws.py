"""The laws, and for each some ways to break it: what stands in src/, what would break it, and the test that sees it."""

from __future__ import annotations

from dataclasses import dataclass

_SRC = "src/private_key_jwt"
_VERIFIER = f"{_SRC}/verifier.py"
_FRESHNESS = f"{_SRC}/_core/freshness.py"
_FLOW = f"{_SRC}/fetcher/_flow.py"
_FETCHERS = f"{_SRC}/fetcher/_fetchers.py"
_STATE = f"{_SRC}/fetcher/_state.py"
_ADAPTERS = f"{_SRC}/_sources.py"

_OF_VERIFIER = "tests/test_verifier.py::test_"
_OF_FETCHING = "tests/fetcher/test_fetching.py::test_"

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


@dataclass(frozen=True)
class Breach:
    """One way to break a law: ``old`` in the file at ``path`` becomes ``new``, and ``test`` goes red."""

    law: int
    what: str
    path: str
    old: str
    new: str
    test: str


LAWS = [
    Breach(
        1,
        "the store's answer is not looked at",
        _ADAPTERS,
        "        if added is not True:\n            raise _not_added(added)\n",
        "",
        f"{_OF_VERIFIER}an_assertion_is_accepted_once",
    ),
    Breach(
        1,
        "a mark ends with exp: no leeway, no skew",
        f"{_SRC}/_core/replay.py",
        "return expires_at + 2 * leeway + 1",
        "return expires_at",
        f"{_OF_VERIFIER}a_host_whose_clock_differs_by_leeway_accepts_nothing_twice",
    ),
    Breach(
        1,
        "a client_id and a jti run into each other",
        f"{_SRC}/_core/replay.py",
        'b"%d:%b%b" % (len(client), client, jti.encode("utf-8"))',
        'b"%b%b" % (client, jti.encode("utf-8"))',
        "tests/core/test_replay.py::test_a_separator_cannot_be_forged",
    ),
    Breach(
        1,
        "consume() does not look at the clock again",
        _VERIFIER,
        "        claims_step.check_not_expired(verified.expires_at, leeway, now)\n",
        "",
        f"{_OF_VERIFIER}consume_looks_at_the_clock_again",
    ),
    Breach(
        1,
        "the memory store looks, and then writes",
        f"{_SRC}/stores/_replay_stores/memory.py",
        "            if known is not None and known > now:\n                return False\n",
        "",
        "tests/stores/test_memory.py::test_a_key_is_new_once_until_it_expires",
    ),
    Breach(
        1,
        "the SQLite store overwrites a live mark",
        f"{_SRC}/stores/_replay_stores/sqlite.py",
        " ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at WHERE expires_at <= :now",
        " ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at",
        "tests/stores/test_sqlite.py::test_one_of_8_processes_wins",
    ),
    Breach(
        1,
        "the Redis store sets without NX",
        f"{_SRC}/stores/_replay_stores/redis.py",
        'b"1", "NX", "PX"',
        'b"1", "PX"',
        "tests/stores/test_redis.py::test_one_of_64_callers_wins",
    ),
    Breach(
        1,
        "the SQLAlchemy store overwrites a live mark",
        f"{_SRC}/stores/_replay_stores/sqlalchemy.py",
        "            where=marks.c.expires_at <= now,\n",
        "",
        "tests/stores/test_sqlalchemy.py::test_one_of_64_wins",
    ),
    Breach(
        2,
        "the budget is never spent",
        _FRESHNESS,
        "        if len(claims) >= policy.fetch_limit:\n            return False\n",
        "",
        f"{_OF_FETCHING}the_budget_is_2_fetches_in_30_s_whatever_starts_them",
    ),
    Breach(
        2,
        "a failed fetch gives its claim back",
        _FLOW,
        "        return Outcome(Landing.FAILED, one_line(str(error)))",
        "        state.give_back(flight)\n        return Outcome(Landing.FAILED, one_line(str(error)))",
        f"{_OF_FETCHING}failed_fetches_count_too",
    ),
    Breach(
        2,
        "the key is looked for before the times are checked",
        _VERIFIER,
        "        issued_at, expires_at = claims_step.check_times(claims, policy, now)\n",
        "        self._fetcher.get_key(client, header.alg, header.kid)\n"
        "        issued_at, expires_at = claims_step.check_times(claims, policy, now)\n",
        f"{_OF_VERIFIER}no_fetch_and_no_rsa_before_the_claims_hold[sync]",
    ),
    Breach(
        2,
        "the mark is made before the signature is verified",
        _VERIFIER,
        "        # 5. Signature, over the bytes received.\n",
        "        self._mark(replay.replay_key(client.client_id, jti), expires_at, now)\n",
        f"{_OF_VERIFIER}nothing_unauthenticated_writes_to_the_store[sync]",
    ),
    Breach(
        3,
        "a set is used past its ttl",
        _FRESHNESS,
        "if entry is None or now - entry.fetched_at >= lifetime(entry.keys, policy):",
        "if entry is None:",
        f"{_OF_FETCHING}a_removed_key_is_refused_within_its_ttl_when_the_publisher_is_down",
    ),
    Breach(
        3,
        "age runs from the answer, not from the request",
        _FLOW,
        "state.adopt(flight.jwks_uri, Entry(keys, sent_at, flight.number, digest=hash(body)))",
        "state.adopt(flight.jwks_uri, Entry(keys, state.clock(), flight.number, digest=hash(body)))",
        f"{_OF_FETCHING}age_runs_from_when_the_set_was_asked_for",
    ),
    Breach(
        3,
        "an empty set is taken for a failure",
        _FLOW,
        "        keys = jwk_set.loads_key_set(body, state.policy.max_keys)\n"
        "    except (FetchFailed, ValueError) as error:\n",
        "        keys = jwk_set.loads_key_set(body, state.policy.max_keys)\n"
        "        if not keys.members:\n"
        '            raise ValueError("empty")\n'
        "    except (FetchFailed, ValueError) as error:\n",
        f"{_OF_FETCHING}an_empty_set_revokes_every_key",
    ),
    Breach(
        4,
        "an unknown kid is refused without a look",
        _FRESHNESS,
        "action = Action.REFUSE if found is Reason.AMBIGUOUS_KEY else Action.REFRESH",
        "action = Action.REFUSE",
        f"{_OF_FETCHING}a_published_new_key_works_at_once",
    ),
    Breach(
        4,
        "an unknown kid is remembered for ten windows",
        _STATE,
        "= fetched_at + self.policy.fetch_window",
        "= fetched_at + 10 * self.policy.fetch_window",
        f"{_OF_FETCHING}a_kid_seen_before_it_was_published_works_within_one_window",
    ),
    Breach(
        4,
        "the answer to an older request is the last word",
        _FLOW,
        "    if entry.flight > arrived:\n",
        "    if entry.flight:\n",
        f"{_OF_FETCHING}an_older_fetch_is_not_the_last_word_for_a_later_request",
    ),
    Breach(
        5,
        "the status is not looked at",
        f"{_SRC}/_core/response.py",
        "        if status != 200:\n",
        "        if status is None:\n",
        "tests/core/test_response.py::test_only_status_200_is_an_answer",
    ),
    Breach(
        5,
        "the cap is not looked at",
        f"{_SRC}/_core/response.py",
        "        if max(self._received, len(self._body)) > self._max_bytes:\n",
        "        if False:\n",
        f"{_OF_FETCHING}a_bad_answer_never_replaces_good_keys",
    ),
    Breach(
        5,
        "one broken key costs the whole set",
        f"{_SRC}/_core/jwk_set.py",
        '    return usable or [Member(kid, None, "; ".join(faults))]\n',
        "    if not usable:\n        raise ValueError(faults[0])\n    return usable\n",
        f"{_OF_FETCHING}one_broken_key_among_good_ones_costs_itself",
    ),
    Breach(
        5,
        "a late answer overwrites a newer one",
        _STATE,
        "            if known is not None and (known.fetched_at, known.flight) > (entry.fetched_at, entry.flight):\n"
        "                return\n",
        "",
        "tests/fetcher/test_state.py::test_a_late_answer_never_overwrites_a_newer_one",
    ),
    Breach(
        6,
        "a refresh ahead is waited for",
        _FETCHERS,
        "if isinstance(step, Refresh) else _BEGUN",
        "if True else _BEGUN",
        f"{_OF_FETCHING}a_set_in_use_is_refreshed_ahead_in_the_background",
    ),
    Breach(
        6,
        "each miss begins a fetch of its own",
        _STATE,
        "            if flight is not None and can_join(flight):\n                return flight, False\n",
        "",
        f"{_OF_FETCHING}concurrent_cold_requests_share_one_fetch",
    ),
    Breach(
        6,
        "a waiter that is cancelled cancels the fetch",
        _FETCHERS,
        "    await asyncio.wait({landed}, timeout=min(deadline, flight.deadline) - time.monotonic())\n",
        "    await asyncio.wait_for(landed, min(deadline, flight.deadline) - time.monotonic())\n",
        "tests/fetcher/test_fetchers.py::test_a_cancelled_waiter_takes_nobody_down",
    ),
    Breach(
        7,
        "only a store that says False refuses",
        _ADAPTERS,
        "        if added is not True:\n",
        "        if added is False:\n",
        f"{_OF_VERIFIER}a_store_that_cannot_tell_accepts_nothing",
    ),
    Breach(
        7,
        "a look-up that fails is the client's fault",
        _ADAPTERS,
        "    return TemporarilyUnavailable(Reason.CLIENT_LOOKUP_FAILED, ",
        "    return InvalidClient(Reason.UNKNOWN_CLIENT, ",
        f"{_OF_VERIFIER}a_look_up_that_fails_is_ours",
    ),
    Breach(
        7,
        "an outage of the publisher is the client's fault",
        _FLOW,
        "raise jwk_set.refusal(reason, kid) if outcome.landing is Landing.SPENT else unavailable(jwks_uri, outcome)",
        "raise jwk_set.refusal(reason, kid)",
        f"{_OF_FETCHING}a_bad_answer_never_replaces_good_keys",
    ),
    Breach(
        8,
        "the async verifier leaves a step out",
        _VERIFIER,
        "        await self._mark_used(verified, leeway)\n",
        "",
        "tests/test_architecture.py::test_the_twins_differ_only_in_await",
    ),
    Breach(
        8,
        "the async fetcher drives a flow of its own",
        _FETCHERS,
        "outcome = await self._wait_async(flight, deadline) if isinstance(step, Refresh) else _BEGUN",
        "outcome = await self._wait_async(flight, deadline) if isinstance(step, Refresh) else _OVERDUE",
        "tests/test_architecture.py::test_the_fetchers_drive_one_flow",
    ),
]
