"""What an import costs grows with its file, whatever PostgreSQL believes about the tables."""

import io
from typing import Any

import psycopg
import pytest

from tests.support.books import IMPORT_NOTE
from tests.support.many_rows import buffers_of
from worker.accounts.importing import import_accounts

ACCOUNTS = 4_000
# For an account: four rows, eight entries of indexes, one change of the balance, one look at the commit: 33.
# With a foreign key or a check of each row for each guard of the books it was 72.
BUFFERS = 45


def run_import(connection: psycopg.Connection[Any], *, prefix: str, accounts: int) -> None:
    rows = "".join(f"{prefix}{number},EUR,active,{number + 1}.50\n" for number in range(accounts))
    import_accounts(
        connection, io.BytesIO(f"user_id,currency,status,balance\n{rows}".encode()), note=IMPORT_NOTE
    )


def self_ms(connection: psycopg.Connection[Any], function: str) -> float:
    """Return the time that a function took, without what it called."""
    query = "SELECT self_time FROM pg_stat_user_functions WHERE funcname = %s"
    [(milliseconds,)] = connection.execute(query, (function,)).fetchall()
    return float(milliseconds)


def rows_read(connection: psycopg.Connection[Any], table: str) -> int:
    """Return how many rows were read in walking through a whole table, again and again."""
    query = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = %s"
    [(rows,)] = connection.execute(query, (table,)).fetchall()
    return int(rows)


@pytest.mark.parametrize("statistics", ["none", "of no users", "of users"])
def test_to_post_the_entries_costs_what_to_write_them_costs(database_url: str, statistics: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        # Given what the planner knows: nothing, the tables as they were when they were empty, or users,
        if statistics == "of users":
            run_import(connection, prefix="before", accounts=ACCOUNTS)
        if statistics != "none":
            connection.execute("ANALYZE")
        connection.execute("SET track_functions = 'all'")

        # when accounts are opened,
        run_import(connection, prefix="new", accounts=ACCOUNTS)
        connection.execute("SELECT pg_stat_force_next_flush()")

        # then no account was held against all others, in memory or on disk.
        assert self_ms(connection, "post_entries") < 2 * self_ms(connection, "apply_accounts_import")
        assert rows_read(connection, "accounts") < 20 * ACCOUNTS


@pytest.mark.parametrize("statistics", ["none", "of no users", "of users"])
def test_nothing_but_the_rows_themselves_is_looked_up_one_by_one(database_url: str, statistics: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        psycopg.connect(database_url, autocommit=True) as observer,
    ):
        # Given what the planner knows,
        if statistics == "of users":
            run_import(connection, prefix="before", accounts=ACCOUNTS)
        if statistics != "none":
            connection.execute("ANALYZE")

        # when accounts are opened,
        read = buffers_of(
            observer, connection, lambda: run_import(connection, prefix="new", accounts=ACCOUNTS)
        )

        # then each costs the pages that its rows are written to, and one look for its entries at the commit.
        assert read < BUFFERS * ACCOUNTS
