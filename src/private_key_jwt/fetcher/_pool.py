"""Connections of a user's httpx client for one fetch, whose number only the fetcher bounds.

A pool of httpx has 100 connections by default. A hundred publishers that never answer would take them all,
and whoever is honest would wait for one until his own deadline. ``FetchSlots`` bounds the fetches, with slots apart for
publishers that answered before; so each fetch gets a pool of its own, with all the settings of the user's. Nor is a
connection ever shared by two hosts at one address, whose certificate was verified for one of them.
"""

from __future__ import annotations

import copy
import sys
from typing import Any

import httpx

from ._route import POOLS, TRANSPORTS, AnyClient, transport_of

__all__ = ["take_own_pool"]

_MEMBERS = ("_connections", "_requests", "_max_connections", "_optional_thread_lock")


def take_own_pool(client: AnyClient, url: httpx.URL) -> Any:
    """Give a copied client a pool of its own for one URL; return what is to be closed after the request, or None.

    client: a copy of the user's, which is changed. It keeps the user's pool where that is not one of httpx's own, or
        where httpx has changed inside.
    """
    transport = transport_of(client, url)
    pool = getattr(transport, "_pool", None) if type(transport) in TRANSPORTS else None
    if not isinstance(pool, POOLS) or not all(hasattr(pool, name) for name in _MEMBERS):
        return None
    lock = type(vars(pool)["_optional_thread_lock"])()
    own = _copy(transport, _pool=_copy(pool, **dict(zip(_MEMBERS, ([], [], sys.maxsize, lock), strict=True))))
    vars(client).update(_transport=own, _mounts={})
    return own


def _copy(original: Any, **members: object) -> Any:
    copied = copy.copy(original)
    vars(copied).update(members)
    return copied
