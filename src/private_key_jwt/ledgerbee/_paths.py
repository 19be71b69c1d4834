"""The paths of LedgerBee's page: below the API's root, and at a tenant's portal-API host."""

from __future__ import annotations

MINT = "/v1/portal-sso/handoff/mint"
PROVISION = "/v1/portal-sso/provision"
REVOKE = "/v1/portal-sso/sessions/revoke"

REDEEM = "/api/auth/sso/handoff/redeem"
"""At the portal-API host, with the reference as ``ref`` in the query."""
