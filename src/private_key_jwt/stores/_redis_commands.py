"""Send commands to Redis, and return the replies that are known to be theirs.

redis-py pairs commands and replies by their order on a connection. Where an exception leaves a reply unread, as one
that a signal handler raises can, the next command on that connection gets it: the OK of another assertion would then
be taken for this one's. So each round trip carries a proof of its own that Redis must send back at its end, and a
connection that sends anything else back is closed.

All commands that wait for one server go in one round trip, see ``_combiner``; a server that is slow is waited for once.
Each node of a Cluster is on its own, so nobody waits for another's node: there each command has a round trip and a
proof of its own, and redis-py follows the redirections.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import redis
import redis.asyncio

from ._combiner import AsyncCombiner, Combiner
from ._redis_client import is_cluster
from ._redis_pool import is_own

__all__ = ["AsyncSender", "Command", "Sender", "open_async_sender", "open_sender"]

_CLUSTER_TURNS = 50  # redis-py refuses whoever comes when all connections to a node, 100 by default, are taken
_IN_SCRIPT = "local function run() {} end return {{ARGV[#ARGV], run()}}"


@dataclass(frozen=True, slots=True)
class Command:
    """One atomic step on one key.

    words: the command as it is sent to a single server.
    script: the same as a script, of ``KEYS[1]`` and the arguments, for a Cluster.
    """

    words: tuple[bytes, ...]
    script: str
    key: bytes
    arguments: tuple[bytes, ...]

    @classmethod
    def of_script(cls, script: str, key: bytes, *arguments: bytes) -> Self:
        """Return the command that runs ``script`` wherever it is sent."""
        return cls((b"EVAL", script.encode(), b"1", key, *arguments), script, key, arguments)

    def with_proof(self, proof: bytes) -> tuple[Any, ...]:
        """Return the script whose reply has the proof in front."""
        return "EVAL", _IN_SCRIPT.format(self.script), 1, self.key, *self.arguments, proof


class Sender(Protocol):
    """Sends commands of any number of threads."""

    def send(self, command: Command) -> Any:
        """Return the reply, bytes undecoded. Raises what redis-py raises, and TimeoutError."""
        ...


class AsyncSender(Protocol):
    """Sends commands of any number of tasks."""

    async def send(self, command: Command) -> Any:
        """See Sender.send."""
        ...


def open_sender(client: Any, timeout: float) -> Sender:
    """Return what sends over ``client``."""
    return _ClusterSender(client) if is_cluster(client) else _Sender(client, timeout)


def open_async_sender(client: Any, timeout: float) -> AsyncSender:
    """Return what sends over ``client``."""
    return _AsyncClusterSender(client, timeout) if is_cluster(client) else _AsyncSender(client, timeout)


class WrongReplyError(redis.ConnectionError):
    """A connection sent the reply to something else."""

    def __init__(self) -> None:
        super().__init__("the connection sent the reply to another command, and was closed")


_proofs = map(b"%x".__mod__, itertools.count(secrets.randbits(64)))
"""No two alike in a process; a connection belongs to one."""


def _packed(commands: Sequence[Command], proof: bytes) -> list[bytes]:
    """Return what goes over the wire. redis-py's own packing takes three times as long: 4 µs of an add's 60."""
    words = [*[command.words for command in commands], (b"PING", proof)]
    return [
        b"".join([b"*%d\r\n" % len(each) + b"".join([b"$%d\r\n%b\r\n" % (len(w), w) for w in each]) for each in words])
    ]


def _check_proof(reply: object, proof: bytes) -> None:
    if isinstance(reply, redis.ResponseError):
        raise reply
    if reply != proof:
        raise WrongReplyError


def _is_outdated(replies: Sequence[object]) -> bool:
    """Return whether the server has become a replica: its name may lead to another one by now."""
    return any(isinstance(reply, redis.ReadOnlyError) for reply in replies)


def _proven(reply: Any, proof: bytes) -> Any:
    if not isinstance(reply, list) or not reply or reply[0] != proof:
        raise WrongReplyError
    return reply[1] if len(reply) > 1 else None  # a script's nil ends the list


class _Sender:
    def __init__(self, client: redis.Redis, timeout: float) -> None:
        self._pool: Any = client.connection_pool
        self._owns_pool = is_own(client)
        self._combiner: Combiner[Command, Any] = Combiner(self._send_batch, timeout=timeout)

    def send(self, command: Command) -> Any:
        return self._combiner.submit(command)

    def _send_batch(self, commands: Sequence[Command]) -> list[Any]:
        try:
            return self._exchange(commands)
        except redis.RedisError:
            raise
        except BaseException:
            # Not redis-py's own, so it may have come from anywhere inside of it: its pool may count a connection
            # that nobody has. A pool of the user's is not ours to change.
            if self._owns_pool:
                self._pool.disconnect(inuse_connections=False)
                self._pool.reset()
            raise

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        proof = next(_proofs)
        connection = self._pool.get_connection()
        try:
            connection.send_packed_command(_packed(commands, proof))
            replies = [_read(connection) for _ in commands]
            _check_proof(_read(connection), proof)
            if _is_outdated(replies):
                connection.disconnect()
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self._pool.release(connection)
        return replies


def _read(connection: Any) -> Any:
    try:
        return connection.read_response(disable_decoding=True)
    except redis.ResponseError as error:
        return error


class _AsyncSender:
    def __init__(self, client: redis.asyncio.Redis, timeout: float) -> None:
        self._pool: Any = client.connection_pool
        self._timeout = timeout
        # Connections of the store's own end in time; asyncio.timeout is 2 µs that they need not pay.
        send_batch = self._exchange if is_own(client) else self._exchange_in_time
        self._combiner: AsyncCombiner[Command, Any] = AsyncCombiner(send_batch, timeout=timeout)

    async def send(self, command: Command) -> Any:
        return await self._combiner.submit(command)

    async def _exchange_in_time(self, commands: Sequence[Command]) -> list[Any]:
        async with asyncio.timeout(self._timeout):
            return await self._exchange(commands)

    async def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        proof = next(_proofs)
        connection = await self._pool.get_connection()
        try:
            await connection.send_packed_command(_packed(commands, proof))
            replies = [await _read_async(connection) for _ in commands]
            _check_proof(await _read_async(connection), proof)
            if _is_outdated(replies):
                await connection.disconnect(nowait=True)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self._pool.release(connection)
        return replies


async def _read_async(connection: Any) -> Any:
    try:
        return await connection.read_response(disable_decoding=True)
    except redis.ResponseError as error:
        return error


_NEVER_DECODE: dict[str, Any] = {"NEVER_DECODE": True}  # replies stay bytes, whatever the client does else


class _ClusterSender:
    def __init__(self, client: redis.RedisCluster) -> None:
        self._client: Any = client

    def send(self, command: Command) -> Any:
        proof = next(_proofs)
        reply = self._client.execute_command(*command.with_proof(proof), **_NEVER_DECODE)
        try:
            return _proven(reply, proof)
        except WrongReplyError:
            self._client.disconnect_connection_pools()  # which connection it was is not known here
            raise


class _AsyncClusterSender:
    def __init__(self, client: redis.asyncio.RedisCluster, timeout: float) -> None:
        self._client: Any = client
        self._turns = asyncio.Semaphore(_CLUSTER_TURNS)
        self._timeout = timeout

    async def send(self, command: Command) -> Any:
        proof = next(_proofs)
        async with asyncio.timeout(self._timeout), self._turns:
            reply = await self._client.execute_command(*command.with_proof(proof), **_NEVER_DECODE)
        try:
            return _proven(reply, proof)
        except WrongReplyError:
            await self._client.aclose()  # it opens new connections by itself
            raise
