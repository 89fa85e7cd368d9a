"""The rig's databases: a migrated one with accounts, copies of it, and what stands in them."""

import io
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql

from deploy.local.postgres import PostgresServer
from tests.benchmarks.errors import BenchmarkFailed
from worker.accounts.importing import ImportNote, import_accounts
from worker.schema.migrate import migrate

# Of 16 MB each.
_LOG_FILES: Final = 62
_BOOKS: Final = """
SELECT
    (SELECT count(*) FROM receipts),
    (SELECT count(*) FROM receipts WHERE state = 'answered'),
    (SELECT count(*) FROM transactions WHERE kind <> 'opening'),
    (SELECT count(*) FROM entries),
    (SELECT coalesce(sum(amount_minor), 0) FROM entries)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the ledger and the receipts hold; openings are no transactions here."""

    receipts: int
    answered: int
    transactions: int
    entries: int
    entries_sum_minor: int


def fill_log(server: PostgresServer) -> None:
    """Have the server make the files of its write-ahead log, 1 GB of them, which it uses again from then on.

    A server that has just been made makes each file when it first gets there, and all commits wait for that:
    50 ms and more. One that has been up for a while has them.
    """
    with _maintenance(server) as connection:
        for _ in range(_LOG_FILES):
            # A file that nothing was written to is not left.
            connection.execute("SELECT pg_logical_emit_message(false, 'fill', '')")
            connection.execute("SELECT pg_switch_wal()")
        connection.execute("CHECKPOINT")


def create_ledger(server: PostgresServer, name: str, *, users: int) -> None:
    """Create a migrated database with the accounts `u-0` and so on, in EUR, empty and active."""
    with _maintenance(server) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = server.url_of(name)
    migrate(url)
    lines = "".join(f"u-{number},EUR,active,0\n" for number in range(users))
    with psycopg.connect(url, autocommit=True) as connection:
        import_accounts(
            connection,
            io.BytesIO(b"user_id,currency,status,balance\n" + lines.encode()),
            note=ImportNote(file_name="accounts.csv", person="the benchmark"),
        )
        connection.execute("VACUUM ANALYZE")


def copy(server: PostgresServer, source: str, target: str) -> None:
    """Make `target` a copy of `source`, whatever it was; on return the copy is on disk."""
    drop(server, target)
    names = {"source": sql.Identifier(source), "target": sql.Identifier(target)}
    with _maintenance(server) as connection:
        # Nobody may be connected to what is copied.
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (source,)
        )
        connection.execute(sql.SQL("CREATE DATABASE {target} TEMPLATE {source}").format(**names))
        # Or it would happen in the middle of what is measured.
        connection.execute("CHECKPOINT")


def drop(server: PostgresServer, name: str) -> None:
    """Remove a database if it is there; its sessions are ended."""
    with _maintenance(server) as connection:
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        connection.execute(statement.format(sql.Identifier(name)))


def read_books(database_url: str) -> Books:
    """Read what stands in a ledger; raises BenchmarkFailed where the entries do not sum to zero."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(_BOOKS).fetchone()
    if row is None or row[4] != 0:
        raise BenchmarkFailed(f"the books do not balance: {row}")
    return Books(
        receipts=row[0],
        answered=row[1],
        transactions=row[2],
        entries=row[3],
        entries_sum_minor=int(row[4]),
    )


def version(server: PostgresServer) -> str:
    """Return the server's version, such as 18.1."""
    with _maintenance(server) as connection:
        number = connection.info.server_version
    return f"{number // 10_000}.{number % 10_000}"


def _maintenance(server: PostgresServer) -> psycopg.Connection:
    return psycopg.connect(server.url_of("postgres"), autocommit=True)
