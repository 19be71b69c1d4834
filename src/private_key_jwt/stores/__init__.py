"""Replay stores: what remembers that an assertion was used."""

from ._memory import MemoryReplayStore
from ._protocol import AsyncReplayStore, ReplayStore

__all__ = ["AsyncReplayStore", "MemoryReplayStore", "ReplayStore"]
