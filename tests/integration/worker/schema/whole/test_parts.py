"""A schema of which something is missing, as after half a restore, settles nothing. Decision 52."""

import psycopg
import pytest

from deploy.local.postgres import PostgresServer
from producer.shared.preconditions.postgres import RECORDS, SETTLES, check_postgres
from producer.shared.preconditions.verdict import Kind
from tests.support.books import database_of
from tests.support.roles import as_role
from tests.support.whole_schema import (
    CALLS,
    CHECKS,
    CLOSED,
    EVENT,
    KEYS,
    TABLES,
    TRIGGERS,
    WITHOUT_RIGHTS,
    refused,
    table_of,
)
from worker.cli.shared.faults import fault_of
from worker.schema.roles import RECEIVER, WORKER


def test_an_operator_who_imports_is_told_what_is_missing_and_what_to_do(books: psycopg.Connection) -> None:
    books.execute("DROP TRIGGER entries_balance ON entries")

    with pytest.raises(psycopg.DatabaseError) as caught:
        books.execute("SELECT apply_accounts_import('a file', repeat('0', 64), 'a person', NULL)")

    fault = fault_of(caught.value)
    assert fault is not None
    assert fault.message.startswith("PostgreSQL refused: the schema is not whole, and nothing is settled")
    assert fault.message.endswith("or restore into a new database (docs/operating/backup.md).")


def test_every_process_says_so_when_it_looks_and_none_ends_for_it(
    postgres_server: PostgresServer, migrated_template: str
) -> None:
    with database_of(postgres_server, migrated_template) as url:
        with psycopg.connect(url) as owner:
            owner.execute("DROP TRIGGER entries_balance ON entries")

        found = {
            (verdict.name, verdict.kind, verdict.what)
            for role, calls in ((RECEIVER, RECORDS), (WORKER, SETTLES))
            for verdict in check_postgres(as_role(url, role), calls)
        }

        assert found == {
            (
                "schema_not_whole",
                Kind.PASSING,
                "the schema is not whole, and nothing is settled: missing are trigger entries_balance",
            )
        }


@pytest.mark.parametrize("call", CALLS)
def test_a_whole_schema_settles(books: psycopg.Connection, call: str) -> None:
    assert books.execute("SELECT missing_parts()").fetchall() == [([],)]

    assert books.execute(CALLS[call].encode(), EVENT).fetchone() is not None


@pytest.mark.parametrize("call", CALLS)
def test_whatever_decides_about_money_looks(books: psycopg.Connection, call: str) -> None:
    books.execute("DROP TRIGGER entries_balance ON entries")

    refused(books, call, naming="trigger entries_balance")


@pytest.mark.parametrize(
    "how", ["DROP TRIGGER {name} ON {table}", "ALTER TABLE {table} DISABLE TRIGGER {name}"]
)
@pytest.mark.parametrize("name", TRIGGERS)
def test_without_a_trigger_nothing_is_settled(books: psycopg.Connection, name: str, how: str) -> None:
    books.execute(how.format(name=name, table=table_of(name)).encode())

    refused(books, "settle_events", naming=f"trigger {name}")


@pytest.mark.parametrize("name", KEYS)
def test_without_a_key_nothing_is_settled(books: psycopg.Connection, name: str) -> None:
    is_constraint = books.execute("SELECT FROM pg_constraint WHERE conname = %s", (name,)).rowcount
    drop = (
        f"ALTER TABLE {table_of(name)} DROP CONSTRAINT {name} CASCADE"
        if is_constraint
        else f"DROP INDEX {name}"
    )
    books.execute(drop.encode())

    refused(books, "settle_events", naming=f"unique index {name}")


@pytest.mark.parametrize("name", CHECKS)
def test_without_a_check_or_foreign_key_nothing_is_settled(books: psycopg.Connection, name: str) -> None:
    books.execute(f"ALTER TABLE {table_of(name)} DROP CONSTRAINT {name}".encode())

    refused(books, "settle_events", naming=f"constraint {name}")


@pytest.mark.parametrize(
    ("broken", "naming"),
    [
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'receipts_pkey'::regclass",
            "receipts_pkey",
        ),
        (
            "UPDATE pg_constraint SET convalidated = false WHERE conname = 'transactions_check2'",
            "transactions_check2",
        ),
        (
            "UPDATE pg_trigger SET tgenabled = 'D' WHERE tgisinternal AND tgrelid = 'receipts'::regclass",
            "trigger of the foreign key receipts_transaction_id_fkey",
        ),
        ("SET LOCAL session_replication_role = replica", "session_replication_role"),
        ("GRANT EXECUTE ON FUNCTION give_up_overdue TO PUBLIC", "rights to function give_up_overdue"),
        *((f"{WITHOUT_RIGHTS} '{name}'", f"rights to function {name}") for name in CLOSED),
    ],
)
def test_a_part_that_does_not_work_is_missing(books: psycopg.Connection, broken: str, naming: str) -> None:
    books.execute(broken.encode())

    refused(books, "settle_event", naming=naming)


def test_a_table_that_is_gone_is_named_by_all_that_it_had(books: psycopg.Connection) -> None:
    books.execute("ALTER TABLE entries RENAME TO entries_of_old")

    [(missing,)] = books.execute("SELECT missing_parts()").fetchall()

    assert missing == [
        "constraint entries_amount_minor_check",
        "trigger entries_append_only",
        "trigger entries_balance",
        "unique index entries_pkey",
    ]


def test_the_lists_hold_every_part_of_these_tables(books: psycopg.Connection) -> None:
    def names(query: str) -> set[str]:
        return {name for (name,) in books.execute(query.encode(), (list(TABLES),))}

    triggers = names(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = ANY (%s::regclass[]) AND NOT tgisinternal"
    )
    keys = names(
        "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " WHERE indrelid = ANY (%s::regclass[]) AND indisunique"
    )
    checks = names(
        "SELECT conname FROM pg_constraint WHERE conrelid = ANY (%s::regclass[]) AND contype IN ('c', 'f')"
    )

    assert (triggers, keys, checks) == (set(TRIGGERS), set(KEYS), set(CHECKS))
