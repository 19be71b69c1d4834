"""The Domain Name System as tests want it: ``socket.getaddrinfo`` is where it is replaced."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

import pytest

_getaddrinfo = socket.getaddrinfo


class Names:
    """Names and their addresses; a list of lists answers one look-up after the other, the last for good."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **addresses: Sequence[str] | Sequence[Sequence[str]]) -> None:
        self.addresses = addresses
        self.asked: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)

    def _getaddrinfo(
        self,
        host: Any,
        port: Any,
        family: int = 0,
        type: int = 0,  # noqa: A002 - socket's name
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in self.addresses:
            # Whatever the platform takes for an address, and nothing that would ask a real name server.
            return list(_getaddrinfo(host, port, family, type, proto, flags | socket.AI_NUMERICHOST))
        self.asked.append(name)
        answer: Any = self.addresses[name]
        if answer and not isinstance(answer[0], str):
            answer = answer[min(self.asked.count(name), len(answer)) - 1]
        return [self._info(address, port) for address in answer]

    def _info(self, address: str, port: int) -> Any:
        if ":" in address:
            return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
        return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
