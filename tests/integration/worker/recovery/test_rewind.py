"""A ledger that was put back to an older state is noticed, and what it lost is named."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import psycopg
from structlog.testing import capture_logs

from tests.support.books import add_user
from tests.support.ledger_watch import (
    Backup,
    has_ann,
    told,
    worker_on,
)
from tests.support.plans import LASTING_PLANS
from worker.recovery import rewind
from worker.recovery.ledger_watch import RECONNECT_SECONDS
from worker.recovery.witness import COMMITS_KEY, LOST_KEY

if TYPE_CHECKING:
    import redis


def test_a_restored_older_ledger_is_noticed_and_what_it_lost_is_named(
    database_url: str, redis_url: str, backup: Callable[[], Backup]
) -> None:
    has_ann(database_url)
    with worker_on(database_url, redis_url) as worker:
        worker.settle(480, 481)
        worker.look()
    older = backup()
    with worker_on(database_url, redis_url) as worker, capture_logs() as logs:
        worker.settle(482, 483, 484)
        worker.look()
        assert (told(logs), worker.lost) == ([], 0)

        older.restore()
        worker.settle_in_the_end(485)
        worker.look(after_seconds=RECONNECT_SECONDS)

        (line,) = told(logs)
        assert (line["log_level"], line["commits"], line["first"]) == (
            "error",
            3,
            ["482-1", "483-1", "484-1"],
        )
        assert line["highest_transaction_seen"] == line["highest_transaction"] + 2
        assert "docs/standby.md" in line["what_to_do"]
        assert worker.lost == 3


def test_it_is_noticed_at_start_and_told_once_though_every_worker_sees_it(
    database_url: str, redis_url: str, backup: Callable[[], Backup]
) -> None:
    has_ann(database_url)
    older = backup()
    with worker_on(database_url, redis_url) as worker:
        worker.settle(480)
        worker.look()
    older.restore()

    with (
        worker_on(database_url, redis_url) as one,
        worker_on(database_url, redis_url) as other,
        capture_logs() as logs,
    ):
        for worker in (one, other, one):
            worker.look()

        assert len(told(logs)) == 1
        assert (one.lost, other.lost) == (1, 1)


def test_what_was_noted_and_not_yet_on_record_is_missed_too(
    database_url: str, redis_url: str, backup: Callable[[], Backup]
) -> None:
    has_ann(database_url)
    older = backup()
    with worker_on(database_url, redis_url) as worker, capture_logs() as logs:
        worker.look()
        worker.settle(480)
        older.restore()

        # The second time it is on record itself, as are those of a worker that told at the same moment.
        worker.look()
        worker.look()

        assert [line["first"] for line in told(logs)] == [["480-1"]]


def test_after_a_reconnect_nothing_is_put_on_record_before_the_comparison(
    database_url: str, redis_url: str, redis_client: "redis.Redis"
) -> None:
    has_ann(database_url)
    with worker_on(database_url, redis_url) as worker:
        worker.look()
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        worker.settle_in_the_end(480)

        worker.look(after_seconds=RECONNECT_SECONDS / 2)
        assert redis_client.zcard(COMMITS_KEY) == 0
        worker.look(after_seconds=RECONNECT_SECONDS / 2)
        assert redis_client.zcard(COMMITS_KEY) == 1


def test_money_that_was_made_again_is_no_longer_lost(
    database_url: str, redis_url: str, backup: Callable[[], Backup], redis_client: "redis.Redis"
) -> None:
    has_ann(database_url)
    older = backup()
    with worker_on(database_url, redis_url) as worker, capture_logs() as logs:
        worker.settle(480, 481)
        worker.look()
        older.restore()
        worker.look()
        assert worker.lost == 2

        worker.settle(480)
        worker.look()

        assert (worker.lost, redis_client.zcard(LOST_KEY)) == (1, 1)
        assert [line["first"] for line in logs if line["event"] == "lost_commits_back"] == [["480-1"]]
        assert len(told(logs)) == 1


def test_what_one_of_two_ledgers_has_is_lost_again_when_the_other_one_is_asked(
    database_url: str, redis_url: str, backup: Callable[[], Backup], redis_client: "redis.Redis"
) -> None:
    # Given a split brain: a worker on each of two ledgers, and what one of them alone has committed
    has_ann(database_url)
    other = backup()
    with (
        worker_on(database_url, redis_url) as old,
        worker_on(other.server.url_of(other.copy), redis_url) as new,
        capture_logs() as logs,
    ):
        old.settle(480)
        old.look()
        new.look()
        # when it is back for the one, between two looks of the other,
        old.look()
        assert redis_client.zcard(LOST_KEY) == 0
        new.look()

        # then the other, which stays, names it.
        assert [line["first"] for line in told(logs)] == [["480-1"], ["480-1"]]
        assert (new.lost, redis_client.zcard(LOST_KEY)) == (1, 1)


def test_a_comparison_reads_no_more_than_what_it_asks_for(database_url: str) -> None:
    rows = 20_000
    with psycopg.connect(database_url, autocommit=True) as connection:
        account_id = add_user(connection, "ann")
        connection.execute("ALTER TABLE transactions DISABLE TRIGGER transactions_have_entries")
        connection.execute(
            "INSERT INTO transactions"
            " (kind, cashback_id, transaction_type, event_id, account_id, amount_minor)"
            " SELECT 'payout', number, 1, gen_random_uuid(), %s, 1 FROM generate_series(1, %s) AS number",
            (account_id, rows),
        )
    asked = 500

    with psycopg.connect(database_url, options=LASTING_PLANS) as connection:
        connection.execute(rewind._MISSING, (list(range(1, asked + 1)), [1] * asked))  # noqa: SLF001
        read = connection.execute(
            "SELECT seq_tup_read, idx_scan FROM pg_stat_xact_user_tables WHERE relname = 'transactions'"
        ).fetchone()

    assert read == (0, asked)
