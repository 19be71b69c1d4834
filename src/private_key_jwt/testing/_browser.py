"""Answer a user's browser: redeem and the session at the portal-API host, and the portal's own host.

*Assumed*, because the page is silent: the label of a tenant's hosts is its slug; redeem sets the session cookie
``portal_session`` and redirects (302) to the portal; a reference that is used, late or none is a 400, and uses
up nothing; ``GET /api/auth/session`` tells whose session it is. On loopback the hosts are
``{slug}.portal-api.localhost`` and ``{slug}.portal.localhost``, which browsers and curl resolve by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qs

from ..ledgerbee import _paths
from ._exchange import Request, Response, json_response
from ._portal import Portal, Refused
from ._tenant import Tenant

COOKIE = "portal_session"
SESSION_PATH = "/api/auth/session"

_HOST = re.compile(r"(?P<label>[a-z0-9-]+)\.(?P<kind>portal|portal-api)\.(?P<rest>(?P<domain>[^:]+)(?::\d+)?)")
_PAGE = b"<!doctype html><title>Portal</title>"


class Browser:
    """The hosts of the portals, for each tenant by its label.

    tenants: by slug; it is looked into at each request.
    """

    def __init__(self, tenants: Mapping[str, Tenant]) -> None:
        self._tenants = tenants

    def respond(self, request: Request) -> Response | None:
        """Answer at a portal host; None for any other host, and for a label that nobody has."""
        host = _HOST.fullmatch(request.host)
        by_label = {slug.lower(): tenant for slug, tenant in self._tenants.items()}
        if host is None or host["label"] not in by_label:
            return None
        tenant = by_label[host["label"]]
        if host["kind"] == "portal":
            # A single-page application: it answers every path, and asks for no reference.
            return Response(200, {"Content-Type": "text/html", "Content-Length": str(len(_PAGE))}, _PAGE)
        if request.path not in (_paths.REDEEM, SESSION_PATH):
            return None
        if request.method != "GET":
            return json_response(405, {"code": "METHOD_NOT_ALLOWED", "error": "method not allowed"}, Allow="GET")
        if request.path == SESSION_PATH:
            return _session(tenant.portal, request)
        return _redeem(tenant.portal, request, host)


def _redeem(portal: Portal, request: Request, host: re.Match[str]) -> Response:
    [ref, *_] = parse_qs(request.query).get("ref", [""])
    try:
        cookie = portal.redeem(ref)
    except Refused as refused:
        return json_response(refused.status, {"code": refused.code, "error": refused.text})
    is_loopback = host["domain"] == "localhost"
    secure = "" if is_loopback else "; Secure"
    scheme = "http" if is_loopback else "https"
    headers = {
        "Location": f"{scheme}://{host['label']}.portal.{host['rest']}/",
        "Set-Cookie": f"{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax{secure}",
        "Cache-Control": "no-store",
        "Content-Length": "0",
    }
    return Response(302, headers, b"")


def _session(portal: Portal, request: Request) -> Response:
    pairs = (pair.strip().partition("=") for pair in request.headers.get("cookie", "").split(";"))
    cookies = {name: value for name, _, value in pairs}
    user = portal.session(cookies.get(COOKIE, ""))
    if user is None:
        return json_response(401, {"code": "UNAUTHORIZED", "error": "there is no session"})
    memberships = [{"id": each.id, "customerId": each.customer_id, "role": each.role} for each in user.memberships]
    return json_response(200, {"email": user.email, "name": user.name, "sub": user.sub, "memberships": memberships})
