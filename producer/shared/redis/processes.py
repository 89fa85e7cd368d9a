"""Who is there: each receiver and worker says so in Redis, with its version, for an operator's look alone.

A hash with a field for each process, which that writes anew as long as it lives and takes away when it ends
in good order. Nothing is ever decided by it: whoever can write to Redis can say here what they like.
Decision 50.
"""

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import structlog
from redis.exceptions import NoPermissionError, RedisError

from producer.shared.settings.agreed import SharedSettings
from producer.shared.settings.environment import is_secret
from producer.shared.settings.servers import DatabaseSettings, RedisSettings

if TYPE_CHECKING:
    from redis.asyncio import Redis

PROCESSES: Final = "cashback.processes"
TELL_SECONDS: Final = 30.0
SILENT_SECONDS: Final = 100.0
"""Who has said nothing for so long has ended, or hangs."""
TELLS: Final[tuple[tuple[str | int, ...], ...]] = (
    ("HSET", PROCESSES, "name", ""),
    ("PEXPIRE", PROCESSES, 1),
    ("HDEL", PROCESSES, "name"),
)
"""What a process needs of Redis to say so."""
_KEPT_SECONDS: Final = 3_600.0
MAX_PROCESSES: Final = 1_000
_DISTRIBUTION: Final = "cashback-worker"
_RIGHTS: Final = "let the user in CASHBACK_REDIS_URL run what deploy/redis/users.conf has for it"
# Of a host's workers each has its own.
_OWN: Final = frozenset({"metrics_port", "log_level"})

_log = structlog.get_logger(__name__)

Command = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """What a process says of itself; times are Unix seconds of its own clock.

    `agreed` is a digest of the settings that all must share, `settings` one of all that is no secret and no
    server's address.
    """

    kind: Literal["receiver", "worker"]
    host: str
    pid: int
    version: str
    started_at: float
    settings: str
    agreed: str
    keys_max_age_seconds: float

    @classmethod
    def of(cls, kind: Literal["receiver", "worker"], settings: SharedSettings) -> Self:
        """Return the record of this process, which starts now."""
        servers = {*DatabaseSettings.model_fields, *RedisSettings.model_fields}
        agreed = SharedSettings.model_fields.keys() - servers
        own = {
            name
            for name, field in type(settings).model_fields.items()
            if name not in servers and name not in _OWN and not is_secret(field)
        }
        return cls(
            kind=kind,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=version(),
            started_at=time.time(),
            settings=_digest(settings, own),
            agreed=_digest(settings, agreed),
            keys_max_age_seconds=settings.jwks_max_age_seconds,
        )

    @property
    def name(self) -> str:
        """The field of the hash."""
        return f"{self.kind} {self.host}:{self.pid}"

    def alive(self, *, keys_age_seconds: float | None) -> tuple[Command, ...]:
        """Return the commands that say that it is there."""
        said = {**asdict(self), "seen_at": time.time(), "keys_age_seconds": keys_age_seconds}
        return (
            ("HSET", PROCESSES, self.name, json.dumps(said)),
            ("PEXPIRE", PROCESSES, int(_KEPT_SECONDS * 1_000)),
        )

    def farewell(self) -> Command:
        """Return the command that says that it ends."""
        return ("HDEL", PROCESSES, self.name)


def version() -> str:
    """Return the version of this program."""
    try:
        return metadata.version(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        # Run from its files, without an installation.
        return "unknown"


def _digest(settings: SharedSettings, names: AbstractSet[str]) -> str:
    values = {name: _plain(getattr(settings, name)) for name in sorted(names)}
    return sha256(json.dumps(values, default=str).encode()).hexdigest()[:12]


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return sorted(value, key=str) if isinstance(value, AbstractSet) else value


def tell(client: Any, record: ProcessRecord, *, keys_age_seconds: float | None) -> None:  # noqa: ANN401 - kombu's, untyped
    """Say that this process is there, and forget who has not been heard of for long; raises RedisError."""
    try:
        for command in record.alive(keys_age_seconds=keys_age_seconds):
            client.execute_command(*command)
        if client.hlen(PROCESSES) > MAX_PROCESSES:
            # Each that lives says so again.
            client.delete(PROCESSES)
            return
        _, fields = client.hscan(PROCESSES, 0, count=MAX_PROCESSES)
        oldest = time.time() - _KEPT_SECONDS
        if gone := [name for name, said in fields.items() if _seen_at(said) < oldest]:
            client.hdel(PROCESSES, *gone)
    except NoPermissionError:
        _not_told()


def _seen_at(said: bytes) -> float:
    try:
        return float(json.loads(said)["seen_at"])
    except (ValueError, LookupError, TypeError):
        return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """Says so for a process with an event loop; what does not work is tried again, and told elsewhere."""

    client: "Redis"
    record: ProcessRecord
    keys_age: Callable[[], float | None]
    timeout_seconds: float

    async def watch(self) -> None:
        """Say again and again that this process is there, until cancelled."""
        while True:
            if not await self._said(*self.record.alive(keys_age_seconds=self.keys_age())):
                return
            await asyncio.sleep(TELL_SECONDS)

    async def farewell(self) -> None:
        """Say that this process ends; where that fails it is taken for one that died."""
        await self._said(self.record.farewell())

    async def _said(self, *commands: Command) -> bool:
        """Send the commands; False where this user may not."""
        send: Any = self.client.execute_command  # redis-py left it untyped
        try:
            async with asyncio.timeout(self.timeout_seconds):
                for command in commands:
                    await send(*command)
        except NoPermissionError:
            _not_told()
            return False
        except (RedisError, OSError, TimeoutError) as error:
            _log.debug("process_not_told", error=f"{type(error).__name__}: {error}")
        return True


def _not_told() -> None:
    _log.info("process_not_told", why="Redis refuses it to this user", what_to_do=_RIGHTS)
