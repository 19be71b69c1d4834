"""``verify``: one assertion, one JSON object, one exit code. For scripts."""

from __future__ import annotations

import json
from typing import Any

import typer

from ..exceptions import InvalidClient, TemporarilyUnavailable
from ..stores import MemoryReplayStore
from ..verifier import ClientAssertionVerifier
from . import _options as options
from ._options import KeyOptions
from ._output import ExitCode, echo


def verify(
    *,
    assertion: options.AssertionArgument = None,
    audience: options.RequiredAudienceOption,
    client_id: options.RequiredClientIdOption,
    slug: options.SlugOption = None,
    base_url: options.BaseUrlOption = None,
    jwks_uri: options.JwksUriOption = None,
    jwks: options.JwksFileOption = None,
    allow_http_loopback: options.LoopbackOption = False,
    allow_private_host: options.PrivateHostOption = None,
    allow_port: options.PortOption = None,
    alg: options.AlgOption = None,
    now: options.NowOption = None,
    audience_rule: options.AudienceRuleOption = options.DEFAULT_POLICY.audience_rule,
    leeway: options.LeewayOption = options.DEFAULT_POLICY.leeway,
    max_lifetime: options.MaxLifetimeOption = options.DEFAULT_POLICY.max_lifetime,
    require_iat: options.RequireIatOption = False,
    require_kid: options.RequireKidOption = False,
    require_typ: options.RequireTypOption = False,
) -> None:
    """Verify one assertion and print one JSON object.

    Exit code 0: accepted. 1: refused. 2: wrong use. 3: the keys cannot be had now.
    Each run starts with an empty replay store, so a replay cannot be seen here.
    """
    policy = options.build_policy(
        audience,
        audience_rule=audience_rule,
        leeway=leeway,
        max_lifetime=max_lifetime,
        require_iat=require_iat,
        require_kid=require_kid,
        require_typ=require_typ,
    )
    source = options.require_keys(
        KeyOptions(
            slug=slug,
            base_url=base_url,
            jwks_uri=jwks_uri,
            file=jwks,
            allow_http_loopback=allow_http_loopback,
            allow_private_hosts=allow_private_host,
            allow_ports=allow_port,
            algs=alg,
        ),
        "--slug, --jwks-uri or --jwks",
    )
    client = source.client(client_id)
    clock = options.clock_at(now)
    with source.fetcher() as fetcher:
        verifier = ClientAssertionVerifier(
            policy=policy, clients=[client], replay_store=MemoryReplayStore(), fetcher=fetcher, clock=clock
        )
        result, code = _judge(verifier, options.read_assertion(assertion))
    echo(json.dumps(result))
    raise typer.Exit(code)


def _judge(verifier: ClientAssertionVerifier, assertion: str | bytes) -> tuple[dict[str, Any], ExitCode]:
    try:
        verified = verifier.verify(assertion)
    except InvalidClient as error:
        return {"ok": False, "reason": error.reason, "check": error.check, "detail": error.detail}, ExitCode.REFUSED
    except TemporarilyUnavailable as error:
        result = {
            "ok": False,
            "reason": error.reason,
            "check": error.check,
            "detail": error.detail,
            "retry_after": error.retry_after,
        }
        return result, ExitCode.UNAVAILABLE
    result = {
        "ok": True,
        "client_id": verified.client_id,
        "kid": verified.kid,
        "alg": verified.alg,
        "thumbprint": verified.thumbprint,
        "jti": verified.jti,
        "audience": verified.audience,
        "issued_at": verified.issued_at,
        "expires_at": verified.expires_at,
    }
    return result, ExitCode.OK
