"""`cashback reconcile --rewind`: what Redis knows and the ledger lost; and the names of money made again."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from click.testing import CliRunner, Result

from tests.support.accept_answers import ACK
from tests.support.betcore import cashback as asked_for
from tests.support.handler_bench import bench
from tests.support.ledger_watch import Backup, has_ann, worker_on
from tests.support.output_schemas import assert_fits
from tests.support.roles import as_role
from worker.cli import cashback
from worker.recovery.witness import COMMITS_KEY, LOST_KEY
from worker.schema.roles import OPERATOR

if TYPE_CHECKING:
    import redis


def run(database_url: str, redis_url: str, *arguments: str) -> Result:
    environment = {"CASHBACK_DATABASE_URL": as_role(database_url, OPERATOR), "CASHBACK_REDIS_URL": redis_url}
    return CliRunner().invoke(cashback, ["reconcile", "--rewind", *arguments], env=environment)


def names(result: Result) -> list[str]:
    document = json.loads(result.stdout)
    assert_fits("reconcile-rewind", document)
    assert result.exit_code == (1 if document["lost"] else 0)
    return [lost["partner_transaction_id"] for lost in document["lost"]]


def test_what_a_restored_ledger_lost_is_listed_and_a_look_changes_nothing(
    database_url: str, redis_url: str, backup: Callable[[], Backup], redis_client: "redis.Redis"
) -> None:
    has_ann(database_url)
    with worker_on(database_url, redis_url) as worker:
        worker.settle(480)
        worker.look()
    older = backup()
    with worker_on(database_url, redis_url) as worker:
        worker.settle(481, 482)
        worker.look()
    assert names(run(database_url, redis_url, "--json")) == []
    older.restore()

    # Before any worker has noticed it,
    on_record = redis_client.dump(COMMITS_KEY)
    assert names(run(database_url, redis_url, "--json")) == ["481-1", "482-1"]
    assert (redis_client.dump(COMMITS_KEY), redis_client.exists(LOST_KEY)) == (on_record, 0)
    # and after one has.
    with worker_on(database_url, redis_url) as worker:
        worker.look()
        assert redis_client.zcard(LOST_KEY) == 2
        listed = run(database_url, redis_url)
        assert listed.stdout.endswith(
            "2 of the 3 commits that Redis knows: see docs/standby.md for what to do\n"
        )

        # What was made again is no longer lost.
        worker.settle(481)
        assert names(run(database_url, redis_url, "--json")) == ["482-1"]


def test_one_cashback_keeps_its_name_through_a_rewind(
    database_url: str, backup: Callable[[], Backup]
) -> None:
    older = backup()
    with bench(database_url, ACK) as before:
        before.handle(before.message())
        (told,) = before.accepts()
    older.restore()

    # Another one comes first, so that the number in the database is another one.
    with bench(database_url, ACK) as after:
        after.handle(after.message(asked_for(CashbackId=481)))
        after.handle(after.message(age_seconds=1))
        _, again = after.accepts()

    assert told["Value"]["PartnerTransactionId"] == "480-1"
    assert again == told


def test_a_redis_that_is_away_is_said_so(database_url: str) -> None:
    result = run(database_url, "redis://127.0.0.1:1/0")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Redis cannot be reached, check CASHBACK_REDIS_URL")


def test_a_rewind_has_no_period(database_url: str) -> None:
    assert run(database_url, "redis://127.0.0.1:1/0", "--day", "2026-11-25").exit_code == 2
