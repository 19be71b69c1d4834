"""What to do about a refusal, by its reason: what it means, what to run, what mostly causes it, and who must act.

Each refusal is one ``AssertionRefused`` event, or log line, with ``reason``, ``check`` and ``detail``; the detail says
what came, what was expected, and often the cause. A ``StoreFailed`` or a ``RegistrationRefused`` stands before it where
that is the cause. ``FetchFailed`` is one fetch of one client's keys that brought none, with what it met, whether or not
a request waited for it. ``FetchBudgetSpent`` says that no more is fetched from this ``jwks_uri`` for ``retry_after``
seconds: by default two fetches in 30 s, spent by unknown kids or by fetches that failed. With the assertion at hand
(from the client: no log has it), ask::

    private-key-jwt explain --audience ISSUER --client-id CLIENT --jwks-uri URL --alg ALG ASSERTION

ALG is what the client is registered for, and ``alg`` in the log line; other options say the rest of your policy. What
comes on standard input loses one line break at its end: to look for that fault, give the assertion as an argument. Its
verdict comes first. It does not stop at an expired assertion, a wrong audience, another ``typ``, what is too large, or
another ``--client-id``; it shows the later checks, too. ``--now`` takes the instant of the log line. A time that passed
only as of another instant is marked. The ``jti_hash`` that it prints is that of the log line, which has one where the
client is known. With the client at hand, ask for its keys::

    private-key-jwt jwks --jwks-uri URL --alg ALG

Where a detail ends with ``client 'x' (unverified)`` that is what the sender says, and nobody checked it.

## The client must act, mostly (401 ``invalid_client``)

``malformed``
    The assertion is no compact JWS in its one spelling, or its JSON is not strict. Mostly a program that sends more
    than the assertion (a line break, ``Bearer``, quotes, padding) or cuts it: the detail names the character and its
    place. A signature that was cut has the wrong length: look for a field or a column that is too short, on either
    side. Run ``explain`` on exactly what was sent.
``too_large``
    The assertion, a segment, or the structure of its JSON is over a bound, which the detail names. Mostly certificates
    or attributes that do not belong there: ``explain`` names the largest member. The size of the whole is
    ``AssertionPolicy(max_assertion_bytes=...)``.
``unsupported_alg``
    ``alg`` is none of the client's ``signing_algs``. The client signs with another algorithm than it registered:
    correct the registration if that is wanted.
``unsupported_crit``
    The header demands an extension (``crit``, ``b64``). The client must send none.
``unsupported_typ``
    ``typ`` names another kind of token (an access token, a DPoP proof), or ``require_typ`` is set and it names none.
    Where ``explain`` shows the claims of an assertion behind it, only the label is wrong: the client must drop it.
``missing_kid``
    The header has no ``kid``, and the policy or the client's registration requires one.
``missing_claim``, ``invalid_claim``
    A claim is absent, or of the wrong type or range. The detail names it.
``unknown_client``
    ``iss`` and ``sub`` name nobody whom your ``clients`` knows. You act first: look the name up in your registrations.
    It is there, for another method (``client_secret_basic``): register it for ``private_key_jwt``, with its
    ``jwks_uri``. It is not: a wrong environment, a typing error, other case, or a client that was never registered.
``client_mismatch``
    ``iss``, ``sub`` and the request's ``client_id`` do not all name one client.
``audience_mismatch``
    ``aud`` is not what ``AssertionPolicy(audience=...)`` accepts, by its ``audience_rule``. The detail says where the
    two differ: a slash at the end, the token endpoint in place of the issuer, another environment. Correct the client,
    or add the value if it names your server.
``expired``, ``not_yet_valid``
    The times do not fit this server's clock. The detail has both instants, and says if they look like milliseconds, a
    duration or a time zone. Compare the clocks (NTP) of both sides, yours first. Which of the three an expired one is:
    a slow clock is late by the same in each assertion of this client; one that was sent again has a ``jti_hash`` that
    an accepted one had before (DEBUG); else it was sent late, by a queue, a retry, or a cache of assertions.
``lifetime_too_long``
    ``exp`` is further ahead than ``max_lifetime``. Libraries that default to an hour must be set, or ``max_lifetime``
    raised. With an ``iat`` that is as far ahead the detail says so: then it is the sender's clock. Off by whole or half
    hours: local time was taken for UTC, and the client must correct that.
``unknown_kid``
    The key is not in the client's key set. The detail has the age of the set and its URL, when it is asked for again,
    and the kids that are there. Run ``jwks``: is the key published, at the URL that is registered? "The fetch budget is
    spent" comes mostly of a flood of made-up kids, the last of which it names: a new key then works within 30 s. Run
    ``jwks`` after the instant of the next try. The kid is there: nobody need act. It is not: go on as without a flood.
    A ``KeyRemoved`` line (INFO) with this ``kid`` before it: the key was rotated out, and the client must sign with the
    new one. None, and sets were seen here for long: the key was never published here, or the client is of another
    environment. With "the first set seen here" this process cannot tell: look for ``KeyRemoved`` in the logs of the
    others, and ask the client since when it signs with this ``kid``, and for which environment.
``no_keys``
    The client's key set is empty: the slug is wrong, or the client has no signing key yet. Run ``jwks``.
``unusable_key``
    The named key is there, and cannot be used; the detail has its fault. Run ``jwks``: its publisher must correct it.
    Private members: that key is burnt. The client needs a new one under a new ``kid``; tell its security contact.
``ambiguous_key``
    Several keys fit. "Without kid": the client must send the ``kid`` of its key. "Have this kid": its publisher must
    give each key its own.
``bad_signature``
    Not signed by the named key: the assertion was changed on its way, or the client signs with another key under this
    ``kid``. Run ``explain --jwks-uri URL`` over the assertion as the client has sent it. The signature is right there:
    something on the way changed it. It is wrong there, too: its private key is not the one it publishes. "The published
    key is current" excludes an old set; otherwise a key that was replaced under its ``kid`` is seen only when the set
    is fetched again. A new key wants a new ``kid``. A signature of the wrong length is of another key, or DER where R
    and S are wanted: the detail says so. Many of these from one place are an attack.
``replayed``
    This ``jti`` was used before. A client or a proxy that repeats a request must make a new assertion; if none did, the
    assertion was captured. When it was used first is not kept: the same assertion not before its ``iat``, which
    ``explain`` shows. Search the log for the ``jti_hash``: its first use is there where ``on_event=log_events`` logs
    accepted ones (DEBUG). Seconds between the two, and one address: a retry.
``missing_assertion``
    The request has no client assertion: another method of authentication (the detail says which), an empty parameter,
    or a body that was read or rewritten before. The detail names the parameters that came. None at all: send the
    client's request past your middleware, to see whether it is lost there.

## The client must act (400 ``invalid_request``)

``invalid_request``
    The request around the assertion: a repeated parameter, one of the two without the other, a secret beside it,
    credentials in the URL, no form, too large. The detail names it.

## You must look first (503 ``temporarily_unavailable``, logged as ERROR)

``jwks_unavailable``
    The client's keys cannot be fetched, and none are fresh. The detail says what the last fetch met, when, and when
    the next may be. Run ``jwks`` from this host, and from one outside of your network. It works outside only: your
    firewall, proxy or name server (``allow_private_hosts``, ``allow_ports``), or the publisher's firewall, which bars
    your address. It fails from both: tell the operator of the publisher. 404, a page of HTML, no such name, a port
    where nothing listens: compare the registered ``jwks_uri`` with the client's first. A redirect: register its
    target. A certificate that has expired, or 5xx: the publisher's. One that took too long says in which phase it
    was: resolving and connecting are a network's, ours or theirs; the others the publisher's.
``client_lookup_failed``
    Your ``clients`` function raised, or returned something else: mostly the database. The detail has what it raised.
``replay_store_unavailable``
    The replay store raised, timed out, or could not tell; nobody is let in meanwhile. ``StoreFailed`` has the cause.
``replay_store_full``
    The memory store holds as many live marks as it may: raise ``max_entries``, or take a shared store.
"""

__all__: list[str] = []
