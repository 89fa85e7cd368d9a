"""Backups and restores with a worker at work: half restored it settles nothing, whole it goes on."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from deploy.local.postgres import PostgresServer
from deploy.local.valkey import ValkeyServer
from tests.support import bad_messages
from tests.support.bad_messages import Bench, good
from tests.support.books import SOUND, audit
from tests.support.dumps import pg, run_block
from tests.support.handler_bench import USER

TRIED = 3
# What looks from time to time looks at once.
LOOKS = (
    "import worker.recovery.upkeep as u; u._WHOLENESS_SECONDS = 0.2\n"
    "import worker.recovery.ledger_watch as w; w.RECONNECT_SECONDS = w._AFTER_FAILURE_SECONDS = 0.2\n"
)
NOT_WHOLE = "the schema is not whole, and nothing is settled: missing are "


@pytest.fixture(scope="module")
def bench(
    valkey_server: ValkeyServer,
    postgres_server: PostgresServer,
    migrated_template: str,
    server_directory: Path,
) -> Iterator[Bench]:
    """Give a worker at work, for all tests of this module."""
    with bad_messages.bench_of_a_module(
        valkey_server, postgres_server, migrated_template, server_directory
    ) as made:
        made.before = LOOKS
        made.start_worker()
        yield made


def test_a_restore_under_a_running_worker_settles_nothing_until_it_is_whole(
    bench: Bench, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    # Given a worker that has credited one cashback before the backup and one after it,
    dump = str(tmp_path / "cashback.dump")
    bench.credit(1)
    pg("pg_dump", "--format=custom", f"--file={dump}", bench.database_url)
    bench.credit(2)
    bench.wait_until_idle()
    bench.wait(lambda: metric(bench, "cashback_ledger_missing_parts") == 0, "the worker has looked")

    # when the database is made anew under it, with its tables, functions and rows alone,
    name = bench.database_url.rsplit("/", 1)[1]
    with psycopg.connect(postgres_server.url, autocommit=True) as server:
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
        server.execute(f'CREATE DATABASE "{name}"'.encode())
    restore(bench, dump, "--section=pre-data", "--section=data")
    bench.push(good(3))

    # then nothing is settled and nobody is answered,
    tried_in_vain(bench, more_than=0)
    # nor with all but the triggers,
    everything = pg("pg_restore", "--list", "--section=post-data", dump).splitlines(keepends=True)
    without = tmp_path / "without"
    without.write_text("".join(line for line in everything if " TRIGGER " not in line), "utf-8")
    restore(bench, dump, f"--use-list={without}")
    tried_in_vain(bench, more_than=retried(bench))
    status, document = ready(bench)
    assert (status, document["postgresql"].startswith(f"{NOT_WHOLE}trigger ")) == (503, True)
    bench.wait(lambda: metric(bench, "cashback_ledger_missing_parts") > 0, "the alarm is there")
    assert '"event": "ledger_not_whole"' in bench.log()

    # and with the triggers all goes on by itself,
    triggers = tmp_path / "triggers"
    triggers.write_text("".join(line for line in everything if " TRIGGER " in line), "utf-8")
    restore(bench, dump, f"--use-list={triggers}")
    bench.wait_for_success(3)
    bench.wait(lambda: ready(bench)[0] == 200, "it says that it is ready")
    bench.wait(lambda: "ledger_whole_again" in bench.log(), "the log says so")
    # what the backup did not have is named, and credited again it has the name that it had.
    bench.wait(lambda: "ledger_rewound" in bench.log(), "the rewind is named")
    bench.push(good(2))
    bench.wait(lambda: len(names_told(bench, 2)) == 2, "it is credited again")
    assert set(names_told(bench, 2)) == {"2-1"}
    bench.wait_until_idle()
    with psycopg.connect(bench.database_url) as connection:
        assert audit(connection) == SOUND
        assert connection.execute(
            "SELECT balance_minor FROM accounts WHERE user_id = %s", (USER,)
        ).fetchone() == (3 * 100_050,)


def test_the_pages_commands_put_a_backup_in_place_of_the_database_under_a_running_worker(
    bench: Bench, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    name = bench.database_url.rsplit("/", 1)[1]
    variables = {
        "ADMIN_URL": postgres_server.url,
        "DATABASE_URL": bench.database_url,
        "RESTORED_URL": f"{bench.database_url}_restored",
        "NAME": name,
        "DUMP": str(tmp_path / "cashback.dump"),
    }
    bench.credit(11)

    run_block("Back up", variables)
    bench.credit(12)
    assert "\n {}\n" in run_block("Restore beside it", variables)
    bench.credit(13)
    run_block("Put it in place", variables)
    try:
        bench.credit(14)
        bench.wait(lambda: metric(bench, "cashback_ledger_lost_commits") == 2, "what it lacks is known")
        with psycopg.connect(bench.database_url) as connection:
            assert audit(connection) == SOUND
            assert connection.execute(
                "SELECT cashback_id FROM transactions WHERE cashback_id > 10 ORDER BY 1"
            ).fetchall() == [(11,), (14,)]
    finally:
        with psycopg.connect(postgres_server.url, autocommit=True) as server:
            server.execute(f'DROP DATABASE "{name}_old"'.encode())


def restore(bench: Bench, dump: str, *what: str) -> None:
    pg("pg_restore", "--exit-on-error", f"--dbname={bench.database_url}", *what, dump)


def metric(bench: Bench, name: str) -> float:
    """Return a metric of the worker's, 0 where it has none of it."""
    lines = httpx.get(f"http://127.0.0.1:{bench.metrics_port}/metrics").text.splitlines()
    return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name} ")), 0.0)


def retried(bench: Bench) -> float:
    """Return how often the worker was refused; where only a key is missing PostgreSQL itself refuses."""
    return sum(
        metric(bench, f'cashback_retried_total{{reason="{reason}"}}')
        for reason in ("ledger_not_whole", "ledger_unavailable")
    )


def ready(bench: Bench) -> tuple[int, dict[str, str]]:
    reply = httpx.get(f"http://127.0.0.1:{bench.metrics_port}/readyz", timeout=60)
    return reply.status_code, reply.json()["parts"]


def tried_in_vain(bench: Bench, *, more_than: float) -> None:
    """Wait until the worker has tried some times more, and see that nothing has come of it."""
    bench.wait(
        lambda: retried(bench) >= more_than + TRIED or names_told(bench, 3) != [],
        "the worker has tried to settle it",
    )
    assert names_told(bench, 3) == []
    assert not any('"CashbackId":3' in body for body in bench.accepts())
    with psycopg.connect(bench.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM transactions WHERE cashback_id = 3").fetchone() == (
            0,
        )
        assert audit(connection) == SOUND


def names_told(bench: Bench, cashback_id: int) -> list[str]:
    """Return the PartnerTransactionIds that BETCORE was told for a cashback."""
    values = [body["Value"] for body in bench.peer.bodies("accept") if body["ErrorCode"] == 200]
    return [value["PartnerTransactionId"] for value in values if value["CashbackId"] == cashback_id]
