"""Whether Redis is still the one that the sentinels name, while a connection to it lives.

redis-py asks for the primary when it connects. One that was replaced and does not know it, because the
network keeps it apart, goes on taking what nobody will ever read.
"""

import asyncio
from typing import TYPE_CHECKING, Final

import structlog
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from redis.asyncio import Redis

LOOK_SECONDS: Final = 1.0

_log = structlog.get_logger(__name__)


class PrimaryWatch:
    """Asks the sentinels again and again; without sentinels it does nothing."""

    def __init__(self, client: "Redis", *, timeout_seconds: float) -> None:
        pool = client.connection_pool
        self._pool = pool if isinstance(pool, SentinelConnectionPool) else None
        self._timeout_seconds = timeout_seconds
        self._is_failing = False

    async def watch(self) -> None:
        """Look until cancelled."""
        while self._pool is not None:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - logged with its traceback
                # It must outlive any surprise: without it makes would go to a primary that nobody reads.
                if not self._is_failing:
                    _log.exception("primary_not_looked_at")
                self._is_failing = True
            else:
                self._is_failing = False

    async def look(self) -> None:
        """Hang up where another one is the primary by now; what is on its way fails, and is made again."""
        pool = self._pool
        if pool is None or pool.master_address is None:
            return
        try:
            async with asyncio.timeout(self._timeout_seconds):
                address = await pool.sentinel_manager.discover_master(pool.service_name)
        except (RedisError, OSError, TimeoutError):
            # Nobody says that there is another one, and who connects anew is told that no sentinel answers.
            return
        if address != pool.master_address:
            _log.warning("primary_moved", was=_named(pool.master_address), now=_named(address))
            pool.master_address = address
            await pool.disconnect(inuse_connections=True)


def _named(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"
