"""A schema of which something is missing, as after half a restore, settles nothing. Decision 52."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import psycopg
import pytest

from cashback_client.contract import event_id_of
from deploy.local.postgres import PostgresServer
from deploy.local.processes import wait_until
from producer.shared.preconditions.postgres import RECORDS, SETTLES, check_postgres
from producer.shared.preconditions.verdict import Kind
from producer.shared.preconditions.whole import NOT_WHOLE
from tests.support.books import add_user, database_of
from tests.support.roles import as_role
from worker.cli.shared.faults import fault_of
from worker.schema.files import shipped_files
from worker.schema.roles import RECEIVER, WORKER

[FILE] = [file.sql for file in shipped_files().functions if file.name == "functions/schema.sql"]
TABLES: Final = ("currencies", "accounts", "transactions", "entries", "receipts", "adjustments")


def required(kind: str) -> list[str]:
    """Return the names of a list of functions/schema.sql."""
    match = re.search(rf"FUNCTION required_{kind}\(\).*?'\{{(.*?)\}}'", FILE, re.DOTALL)
    assert match is not None
    return re.findall(r"\w+", match[1])


TRIGGERS, KEYS, CHECKS, CLOSED = (required(kind) for kind in ("triggers", "keys", "checks", "closed"))

CALLS: Final = {
    "settle_event": "SELECT settle_event(%(id)s, %(token)s, 1, now(), 600, 900, 60,"
    " 'payout', 1, 'ann', 10, 0, false, true, true)",
    "settle_events": "SELECT settle_events(%(events)s, 600, 900, false)",
    "give_up_event": "SELECT give_up_event(%(id)s)",
    "give_up_overdue": "SELECT give_up_overdue(10)",
    "apply_accounts_import": "SELECT apply_accounts_import('a file', repeat('0', 64), 'a person', NULL)",
    "order_replay": "SELECT order_replay('{}', 1, 'a person', 'a reason')",
    "claim_replays": "SELECT count(*) FROM claim_replays(1, 1, 1, 1)",
    "note_replays": "SELECT note_replays('{}', '{}', '{}', '{}', '{}', NULL)",
    "prune_tokens": "SELECT prune_tokens(2592000, 1)",
    "adjust_account": "SELECT adjust_account('a key', 'ann', 1, 'a person', 'a reason')",
    "decide_adjustment": "SELECT decide_adjustment('a key', true, 'a person', 'a reason')",
}
WITHOUT_RIGHTS: Final = "UPDATE pg_proc SET proacl = NULL WHERE proname ="
TOKEN: Final = "a token"
EVENT: Final[dict[str, Any]] = {
    "id": event_id_of(TOKEN),
    "token": TOKEN,
    "events": json.dumps(
        [
            {
                "event_id": str(event_id_of(TOKEN)),
                "token": TOKEN,
                "cashback_id": 1,
                "received_at": "now",
                "hold_seconds": 60,
                "kind": "payout",
                "transaction_type": 1,
                "user_id": "ann",
                "amount": "10",
                "tax": "0",
            }
        ]
    ),
}
"""The parameters of CALLS."""


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    with database_of(postgres_server, migrated_template) as url:
        with psycopg.connect(url) as connection:
            add_user(connection, "ann")
        yield url


@pytest.fixture
def books(database: str) -> Iterator[psycopg.Connection]:
    """Give a transaction of the owner's that is undone."""
    with psycopg.connect(database) as connection:
        connection.execute("SELECT prepare_accounts_import()")
        yield connection
        connection.rollback()


def refused(books: psycopg.Connection, call: str, *, naming: str) -> None:
    """Expect that the call is refused because a part is missing, and names it."""
    with pytest.raises(psycopg.DatabaseError) as caught:
        books.execute(CALLS[call].encode(), EVENT)
    assert caught.value.sqlstate == NOT_WHOLE
    assert naming in (caught.value.diag.message_primary or "")


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


def table_of(name: str) -> str:
    return name.partition("_")[0]


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


def test_nobody_takes_a_part_away_between_the_look_and_the_commit(
    database: str, books: psycopg.Connection
) -> None:
    # Given a group that has looked, and posted nothing,
    books.execute("SELECT require_whole()")

    # then whoever would switch a trigger off waits for its end.
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("SET lock_timeout = '50ms'")
        for table in ("accounts", "transactions", "entries", "receipts"):
            with pytest.raises(psycopg.errors.LockNotAvailable):
                owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())


def test_a_session_that_has_settled_sees_at_once_what_goes_and_what_comes(database: str) -> None:
    with (
        psycopg.connect(database, autocommit=True) as owner,
        psycopg.connect(database, autocommit=True) as worker,
    ):
        for name in TRIGGERS:
            worker.execute("SELECT require_whole()")
            owner.execute(f"ALTER TABLE {table_of(name)} DISABLE TRIGGER {name}".encode())
            refused(worker, "settle_events", naming=f"trigger {name}")
            owner.execute(f"ALTER TABLE {table_of(name)} ENABLE TRIGGER {name}".encode())
        for name in CLOSED:
            was = owner.execute("SELECT proacl FROM pg_proc WHERE proname = %s", (name,)).fetchone()
            assert was is not None
            owner.execute("UPDATE pg_proc SET proacl = NULL WHERE proname = %s", (name,))
            with psycopg.connect(database) as new:
                refused(new, "settle_event", naming=f"rights to function {name}")
                new.rollback()
                owner.execute("UPDATE pg_proc SET proacl = %s WHERE proname = %s", (was[0], name))
                new.execute("SELECT require_whole()")
        worker.execute("SELECT require_whole()")


def test_who_waited_while_a_trigger_was_switched_off_settles_nothing(database: str) -> None:
    # Given a session that has settled, and waits for an owner who has just switched a trigger off,
    with (
        psycopg.connect(database) as owner,
        psycopg.connect(database, autocommit=True) as worker,
        psycopg.connect(database, autocommit=True) as onlooker,
        ThreadPoolExecutor(1) as thread,
    ):
        worker.execute("SELECT require_whole()")
        owner.execute("ALTER TABLE entries DISABLE TRIGGER entries_balance")
        settling = thread.submit(refused, worker, "settle_events", naming="trigger entries_balance")
        wait_until(
            lambda: (
                onlooker.execute(
                    "SELECT FROM pg_locks WHERE pid = %s AND NOT granted", (worker.info.backend_pid,)
                ).rowcount
                == 1
            ),
            what="it waits for the lock",
            timeout_seconds=60,
        )

        # when that is committed, then it is refused, though its statement began before.
        owner.commit()
        settling.result()
        owner.execute("ALTER TABLE entries ENABLE TRIGGER entries_balance")


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
