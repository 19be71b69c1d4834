"""Look up what to do about a refusal by its reason: its meaning, what to run, what mostly causes it, and who must act.

Each refusal is one ``AssertionRefused`` event, or log line, with ``reason``, ``check`` and ``detail``; the detail says
what came, what was expected, and often the cause. A ``StoreFailed`` or a ``RegistrationRefused`` stands before it where
that is the cause. With the assertion at hand (from the client: no log has it), ask::

    private-key-jwt explain --audience ISSUER --client-id CLIENT --jwks-uri URL --alg ALG ASSERTION

ALG is what the client is registered for; without it that is not checked. Other options say the rest of your policy.
The verdict comes first, and what to do about it. Where a check fails, the later ones are made, too, as if it had
passed. Where no key fits it tries all keys of the set. ``--now`` takes the instant of the log line. A time that passed
only as of another instant is marked. The ``jti_hash`` that it prints is that of the log line, which has one where the
client is known. What comes on standard input loses one line break at its end: to look for that fault, give the
assertion as an argument. Ask for the keys of a client, and their thumbprints (RFC 7638, SHA-256)::

    private-key-jwt jwks --jwks-uri URL --alg ALG

What both say of ages and of the next try is as of now, and not of the line.

Where a detail ends with ``client 'x' (unverified)`` that is what the sender says, and nobody checked it. Where no
client can be named, the access log of your server or proxy has the request, at the time of the line: its address, and
often its ``User-Agent``, lead to the client. Compare addresses in any case: other requests of a client that pass from
another one mean that a single instance is wrong; an address that is not the client's means somebody else.

``FetchFailed`` is one fetch of one client's keys that brought none, with what it met, whether or not a request waited
for it. Where a fetch takes as long as it may, whoever waits for it is refused at that deadline, and its ``FetchFailed``
can come after the refusal.

``FetchBudgetSpent`` says that no more is fetched from this ``jwks_uri`` for ``retry_after`` seconds: by default two
fetches in 30 s, spent by anything: the start, a refresh, unknown kids, fetches that failed. Workers that share a cache
share that budget: "at the latest" says that it may have room sooner, and a worker that finds it spent by others waits
for some 3 s, twice in 30 s at most, for the set that they may be fetching.

## The client must act, mostly (401 ``invalid_client``)

``malformed``
    The assertion is no compact JWS in its one spelling, or its JSON is not strict. Mostly a program that sends more
    than the assertion (a line break, ``Bearer``, quotes, padding) or cuts it: the detail names the character and its
    place. A signature that was cut has the wrong length: look for a field or a column that is too short, on either
    side. A placeholder, or what a language writes for a missing value: the client's program had no assertion. A PEM
    private key: that key is compromised, and the client needs a new one under a new ``kid``. Run ``explain`` on exactly
    what was sent. Where its claims cannot be read, the ``kid`` of the line says whose it may be.
``too_large``
    The assertion, a segment, or the structure of its JSON is over a bound, which the detail names. Mostly certificates
    or attributes that do not belong there: ``explain`` names the largest member. The size of the whole is
    ``AssertionPolicy(max_assertion_bytes=...)``.
``unsupported_alg``
    ``alg`` is none of the client's ``signing_algs``. The client signs with another algorithm than it registered:
    correct the registration if that is wanted. ``HS256`` and ``none`` are never taken: the client must use its private
    key.
``unsupported_crit``
    The header demands an extension (``crit``, ``b64``). The client must send none.
``unsupported_typ``
    The label ``typ`` names another kind of token (an access token, a DPoP proof), or ``require_typ`` is set and it
    names none. Run ``explain``. "No later check failed": it is a client assertion under a wrong label, which the
    client must correct or drop. Claims that failed, too: it is that other token, sent in the wrong place.
``missing_kid``
    The header has no ``kid``, and the policy or the client's registration requires one (``require_kid``; that of each
    LedgerBee tenant does). The client must name its key as its set does: ``jwks`` shows the kids.
``missing_claim``, ``invalid_claim``
    A claim is absent, or of the wrong type or range. The detail names it. The client must send ``iss`` and ``sub`` (its
    ``client_id``, both), ``aud`` (your issuer), ``exp`` (a number of seconds since the epoch, no text) and ``jti`` (a
    new text for each request); ``iat`` only where ``require_iat`` says so. ``explain`` names all that are wrong.
``unknown_client``
    ``iss`` and ``sub`` name nobody whom your ``clients`` knows. You act first: look the name up in your registrations.
    It is there, for another method (``client_secret_basic``): register it for ``private_key_jwt``, with its
    ``jwks_uri``. It is not: a wrong environment, a typing error, other case, or a client that was never registered.
``client_mismatch``
    ``iss``, ``sub`` and the request's ``client_id`` do not all name one client. The client must send its ``client_id``
    in all of them: not its URL as ``iss``, no user as ``sub``, and none of another environment in the form.
``audience_mismatch``
    ``aud`` is not what ``AssertionPolicy(audience=...)`` accepts, by its ``audience_rule``. The detail says where the
    two differ: a slash at the end, the token endpoint in place of the issuer, another environment. The client must send
    your issuer. Add a value to ``audience`` only where it is this same server's own (its token endpoint, its issuer
    before it moved) and nobody else's: with another server's, that server could log in here as its clients.
``expired``
    ``exp`` has passed. The detail has both instants, and says if they look like milliseconds, a duration or a time
    zone. Several clients that are late by the same: it is your clock, and the times of your log are off, too. Else it
    is one of three. A slow clock of the client's is late by the same in each of its assertions: compare the clocks
    (NTP) of both sides, yours first. An assertion that was sent again has a ``jti_hash`` that an accepted one had
    before (DEBUG). Any other was sent late, by a queue, a retry, or a cache of assertions.
``not_yet_valid``
    ``iat`` or ``nbf`` is ahead by more than ``leeway``. Several clients that are ahead by the same: your clock is slow.
    One client: its clock is fast (compare NTP on both sides), or it sets ``nbf`` to a later time on purpose; the detail
    says if the time looks like milliseconds or a time zone. It needs no ``nbf``, and ``iat`` only where ``require_iat``
    says so.
``lifetime_too_long``
    ``exp`` is too far ahead of now, or too far after ``iat``; the detail says which.
    - "At most 300 s ahead": libraries that default to an hour must be set, or ``max_lifetime`` raised. With an ``iat``
      that is as far ahead the detail says so: then it is the sender's clock. Off by whole or half hours: local time was
      taken for UTC, and the client must correct that.
    - "At most 300 s after iat": ``exp`` alone may be right. "iat is old": the client computes ``iat`` once, at its
      start, or takes local time for UTC, or keeps an assertion of an hour: it must make both times anew for each
      request. "iat is 0": it was never set. Without either, the lifetime is somewhat too long: as above.
``unknown_kid``
    The key is not in the client's key set. The detail has the age of the set and its URL, when it is asked for again,
    and the kids that are there. Run ``jwks`` now. The kid is there: it was published since, and works from the next try
    on; nobody need act. It is not there: with an assertion, ``explain`` tries the keys that are. One made the
    signature: only the ``kid`` is wrong. None did: ask the client for the thumbprint of its key, since when it signs
    with it, and for which environment. "The fetch budget is spent" comes mostly of a flood of made-up kids, the last of
    which it names: a new key then works within 30 s. What else a detail or ``jwks`` says of such a kid:
    - "REMOVED, there before" an instant, or a ``KeyRemoved`` line (INFO) with it: the key was rotated out, and the
      client must sign with the new one. ``KeyAdded`` and ``KeyRemoved`` of it in turn, or ``jwks`` that differs when it
      is asked five times: the publisher's nodes disagree, and its operator must act.
    - "that is the thumbprint of" a key, or its ``x5t`` or ``x5t#S256``, "differs in case", "that is the published kid"
      in hex or another spelling, or "which is in" one: the client must send the ``kid`` as it is published.
    - "in none seen here since" an instant that is long ago: it was never published at this URL. If it looks unlike the
      kids there, too: the client is of another environment, or registered with another ``jwks_uri``.
    - "the first set seen here": this process cannot tell. Look for ``KeyRemoved`` in the logs of the others.
    - "from a cache": not published yet, as far as that cache knows. Wait until it has expired.
``no_keys``
    The client's key set is empty: the slug is wrong, or the client has no signing key yet. Run ``jwks``.
``unusable_key``
    The named key is there, and cannot be used; the detail has its fault. Run ``jwks``: its publisher must correct it.
    Private members: that key is compromised. The client needs a new one under a new ``kid``; tell its security contact.
``ambiguous_key``
    Several keys fit. "Without kid": the client must send the ``kid`` of its key. "Have this kid": its publisher must
    give each key its own.
``bad_signature``
    Not signed by the named key. With RS256, RS384 and RS512 the detail says which of two it is (below); with PS256 and
    the like ``explain --jwks-uri URL ASSERTION`` does. With ES256 and Ed25519 nothing does: the same thumbprint at the
    client says that the assertion was changed, another one that its key is not published. The client prints that of its
    key with a JOSE library (RFC 7638, SHA-256), or with ``private-key-jwt jwks FILE`` over its public keys. "The
    published key is current" excludes an old set; otherwise a key that was replaced under its ``kid`` is seen only when
    the set is fetched again. Many of these from one address are an attack.
    - "made with this key over other content": the assertion was changed after signing. Compare what the client has
      signed with what came; look at proxies, and at code that parses the assertion and writes it anew.
    - "made with another private key": the client signs with another key than it publishes under this ``kid``, or
      somebody else does. ``jwks`` prints the thumbprint of the published one in full. It is not the one in the line:
      the key was replaced under its ``kid``, and the new one works as soon as the set is fetched again. It is: ask the
      client for that of its own key. Another one: it must publish that key, under a new ``kid``. The same: this
      signature is not the client's.
    - fewer octets than its key has: it was cut. The client's own copy is short, too: the client cuts it, mostly in a
      field of 256 characters. It is whole: it was cut on the way.
    - "a right PS256 signature", DER, a salt, no digest: the client's library is set up wrongly.
    - ``explain`` finds nothing wrong now: what the client has is not what came (it was changed on the way), or the set
      has changed since.
``replayed``
    This ``jti`` was used before. A client or a proxy that repeats a request must make a new assertion; if none did, the
    assertion was captured. When it was used first is not kept: the same assertion not before its ``iat``, which
    ``explain`` shows. Search the log for the ``jti_hash``: its first use is there where ``on_event=log_events`` logs
    accepted ones (DEBUG). Seconds between the two, and one address: a retry. Another ``iat`` under one ``jti_hash``:
    the client makes its ``jti`` of a date or a constant. Another address or program: it was captured. This use was
    refused, and the private key is not lost by it: tell the security contacts, and look for the leak in logs and
    proxies. One that was accepted twice: a store of one process in several workers. Take a shared one, and say
    ``workers=``.
``missing_assertion``
    The request has no client assertion: another method of authentication (the detail says which), an empty parameter,
    a misspelt one, JSON in place of a form, or a body that was read or rewritten before. The detail names the
    parameters that came. None at all, and so no client: find the request in the access log by its time, and send one
    like it past your middleware, to see whether the body is lost there.

## The client must act (400 ``invalid_request``)

``invalid_request``
    The request around the assertion: a repeated parameter, one of the two without the other, a secret beside it,
    credentials in the URL, no form, compressed, no UTF-8, too large. The detail names it, and the client where the
    request does. What stood in a URL is in logs by now: a ``client_secret`` must be replaced, an assertion is worth
    nothing once it has expired.

## You must look first (503 ``temporarily_unavailable``, logged as ERROR)

``jwks_unavailable``
    The client's keys cannot be fetched, and none are fresh. The detail says what the last fetch met, when, and when the
    next may be. Run ``jwks`` from this host, and from one outside of your network. It works outside only: your
    firewall, proxy or name server (``allow_private_hosts``, ``allow_ports``), or the publisher's firewall, which bars
    your address. It fails from both: tell the operator of the publisher. 404, a page of HTML (a log-in, a bot
    protection), no such name, a port where nothing listens: compare the registered ``jwks_uri`` with the client's
    first. A permanent redirect (301, 308): register its target. Another one: ask the publisher for the URL of the set
    itself. A certificate that has expired, is self-signed or for another name, or 5xx: the publisher's; only a private
    CA that you know is trusted by ``http_client=``. "Unable to get local issuer certificate": browsers find an
    intermediate certificate that a server omits, and this server does not. Where
    ``openssl s_client -connect HOST:443 -servername HOST -showcerts`` shows one certificate only, the publisher must
    send its whole chain; trust nothing more for it. One that took too long says in which phase it was: resolving and
    connecting are a network's, ours or theirs; the others the publisher's.
``client_lookup_failed``
    Your ``clients`` function raised, or returned something else: mostly the database. The detail has what it raised.
``replay_store_unavailable``
    The replay store raised, timed out, or could not tell; nobody is let in meanwhile. ``StoreFailed`` has the cause.
``replay_store_full``
    The memory store holds as many live marks as it may: raise ``max_entries``, or take a shared store.
"""

__all__: list[str] = []
