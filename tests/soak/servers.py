"""What PostgreSQL and Redis say of themselves: connections, sizes, dead rows, memory."""

from typing import Any, Final, Self

import psycopg
import redis
from psycopg import rows

from cashback_client.contract import QUEUE, RETRY_QUEUE

_APPLICATION: Final = "soak"
_TIMEOUT_SECONDS: Final = 30.0
_MB: Final = 1024 * 1024
_CONNECTIONS: Final = """
    SELECT count(*)::int FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_WAL: Final = "SELECT (pg_current_wal_lsn() - '0/0')::bigint"
# A partition's figures are its table's. Rows are those that were inserted and not deleted: the estimate of
# what lives jumps with each ANALYZE.
_TABLES: Final = """
    SELECT coalesce(pg_partition_root(tables.oid), tables.oid)::regclass::text AS name,
        sum(pg_table_size(tables.oid))::bigint AS heap_bytes,
        sum(pg_indexes_size(tables.oid))::bigint AS index_bytes,
        sum(n_tup_ins - n_tup_del)::bigint AS rows,
        sum(n_dead_tup)::bigint AS dead
    FROM pg_class AS tables
        JOIN pg_stat_user_tables AS stats ON stats.relid = tables.oid
    WHERE tables.relkind = 'r'
    GROUP BY 1
"""
_DATABASE: Final = "SELECT pg_database_size(current_database())"


class PostgresLooks:
    """Looks at one database through a connection of its own, which it does not count."""

    def __init__(self, database_url: str) -> None:
        self._connection = psycopg.connect(database_url, autocommit=True, application_name=_APPLICATION)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def values(self) -> dict[str, float]:
        """Return connections, WAL and sizes, by series; raises psycopg.Error."""
        tables = self._rows(_TABLES)
        used = sum(row["heap_bytes"] + row["index_bytes"] for row in tables)
        found = {
            "postgres/connections": self._number(_CONNECTIONS),
            "postgres/wal_bytes": self._number(_WAL),
            # The catalogue above all.
            "postgres/other_mb": (self._number(_DATABASE) - used) / _MB,
        }
        for row in tables:
            found |= table_values(row)
        return found

    def _rows(self, query: str) -> list[dict[str, Any]]:
        with self._connection.cursor(row_factory=rows.dict_row) as cursor:
            return cursor.execute(query).fetchall()

    def _number(self, query: str) -> float:
        row = self._connection.execute(query).fetchone()
        return float(row[0]) if row is not None else 0.0


def table_values(row: dict[str, Any]) -> dict[str, float]:
    """Return the series of one table, and what they come to for each row. Pure."""
    values = {name: float(row[name]) for name in ("heap_bytes", "index_bytes", "rows", "dead")}
    if values["rows"] > 0:
        values["bytes_per_row"] = (values["heap_bytes"] + values["index_bytes"]) / values["rows"]
        values["dead_per_row"] = values["dead"] / values["rows"]
    return {f"table/{row['name']}/{name}": value for name, value in values.items()}


class RedisLooks:
    """Looks at one Redis through a connection of its own, which it does not count."""

    def __init__(self, redis_url: str) -> None:
        self._client = redis.Redis.from_url(redis_url, socket_timeout=_TIMEOUT_SECONDS)
        self._aof = AofCount()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def values(self) -> dict[str, float]:
        """Return connections, memory, keys and the append-only file, by series; raises RedisError."""
        info = self._client.info("everything")
        queued = sum(int(self._client.llen(name)) for name in (QUEUE, RETRY_QUEUE))
        return {
            "redis/connections": info["connected_clients"] - 1,
            "redis/memory_mb": info["used_memory"] / _MB,
            "redis/keys": self._client.dbsize(),
            "redis/queued": queued,
            "redis/aof_base_mb": info["aof_base_size"] / _MB,
            "redis/aof_bytes": self._aof.add(int(info["aof_current_size"])),
        }


class AofCount:
    """Counts what was appended to the file, over its rewrites: what one takes away is not counted back."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._total = 0

    def add(self, current_bytes: int) -> int:
        """Take the file's size at a look, and return how much has been appended since the first."""
        if self._last is not None:
            self._total += max(0, current_bytes - self._last)
        self._last = current_bytes
        return self._total
