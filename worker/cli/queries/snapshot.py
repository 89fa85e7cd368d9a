"""Several queries that see the books as they stand at one moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg


@contextmanager
def snapshot(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Run what is inside the block in one read-only transaction, on one snapshot."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    with connection.transaction():
        yield
