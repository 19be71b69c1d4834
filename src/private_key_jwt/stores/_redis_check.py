"""Judge from what Redis says of itself whether it can keep replay marks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .._text import escape_name
from ..exceptions import ConfigurationError

__all__ = ["CONFIG_PATTERN", "ServerLines", "describe_servers"]

CONFIG_PATTERN = "a*"
"""Of CONFIG GET: both appendfsync and KeyDB's active-replica. Redis 6.2 takes one pattern only."""

_OLDEST = (6, 2)
# All that INFO must say, or nothing is known.
_NEEDED = ("redis_version", "role", "maxmemory", "maxmemory_policy")


_FORGETS = "appendonly no (a restart forgets marks)"


class ServerLines(tuple[str, ...]):
    """One line for each server; as a text, one line for all."""

    __slots__ = ()

    def __str__(self) -> str:
        return "; ".join(self)

    @property
    def forgetful(self) -> list[str]:
        """The lines of those that forget marks when they are started anew."""
        return [each for each in self if _FORGETS in each]


def describe_servers(info: Mapping[str, Any], config: Mapping[str, Any] | None, *, is_cluster: bool) -> ServerLines:
    """Return one line for each server.

    info, config: the replies to INFO and CONFIG GET, of one server, or by name from the nodes of a Cluster;
        ``config`` is None where it is forbidden.
    is_cluster: whether the client is one of a Cluster.

    Raises ConfigurationError for a server that cannot keep replay marks, and ValueError when INFO does not say.
    """
    configs = dict(_by_name(config or {}))
    return ServerLines(
        _describe(name, each, configs.get(name, {}), is_cluster=is_cluster) for name, each in _by_name(info)
    )


def _by_name(reply: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if reply and all(isinstance(each, Mapping) for each in reply.values()):
        yield from reply.items()
    else:
        yield "", reply


def _describe(name: str, info: Mapping[str, Any], config: Mapping[str, Any], *, is_cluster: bool) -> str:
    missing = [field for field in _NEEDED if field not in info]
    if missing:
        raise ValueError(f"INFO does not say {', '.join(missing)}")
    seen = f"{_product(info)}{name and f' at {name}'}, {info['role']}, maxmemory-policy {info['maxmemory_policy']}"
    fault = _fault(info, config, is_cluster=is_cluster)
    if fault:
        raise ConfigurationError(f"cannot keep replay marks: {escape_name(seen)}: {fault}")
    return f"{seen}, {_durability(info, config)}, {info.get('connected_slaves', 'an unknown number of')} replicas"


def _product(info: Mapping[str, Any]) -> str:
    for field, product in (("valkey_version", "Valkey"), ("dragonfly_version", "Dragonfly")):
        if field in info:
            return f"{product} {info[field]}"
    return f"{'KeyDB' if 'mvcc_depth' in info else 'Redis'} {info['redis_version']}"


def _fault(info: Mapping[str, Any], config: Mapping[str, Any], *, is_cluster: bool) -> str | None:
    """Return why the server cannot keep replay marks and what to do, or None."""
    role, policy = info["role"], info["maxmemory_policy"]
    if _version(info["redis_version"]) < _OLDEST:
        return "it is too old: Redis 6.2 or later, or Valkey, is needed"
    if role == "active-replica" or config.get("active-replica") == "yes":
        return "an active replica takes writes beside others, and an assertion is accepted once in each: turn it off"
    if role != "master":
        return "marks must be written to the master"
    if policy != "noeviction":
        return (
            f"maxmemory-policy {policy} lets it forget live marks when memory is full:"
            " set maxmemory-policy noeviction, or give replay marks a Redis of their own"
        )
    if not is_cluster and "cluster" in (info.get("redis_mode"), info.get("server_mode")):
        return "it is a node of a Cluster: give the store a redis.RedisCluster"
    return None


def _version(text: object) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", str(text))[:2])


def _durability(info: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    if not int(info.get("aof_enabled", 0)):
        return _FORGETS
    return f"appendonly yes, appendfsync {config.get('appendfsync', 'unknown')}"
