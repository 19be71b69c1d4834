"""A partner's integration with LedgerBee Portal SSO, from the first provision call to offboarding.

``provider`` is the partner's OpenID Provider, ``portal`` LedgerBee's side of a login (Authlib's client), and ``story``
runs both, with the look-alike as LedgerBee. Run it: python -m portal_sso.story
"""
