"""What sessions see that have settled, or wait, while a part of the schema goes and comes. Decision 52."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from deploy.local.processes import wait_until
from tests.support.whole_schema import CLOSED, TRIGGERS, refused, table_of


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
