"""docs/operating/backup.md, to a point in time: what was committed before it is there, and nothing else."""

import shutil
from pathlib import Path

import psycopg

from deploy.local.postgres import PostgresServer, prepare
from deploy.local.processes import wait_until
from tests.support.books import SOUND, add_user, audit, ledger_on, new_event, payout
from tests.support.dumps import block, run_block
from tests.support.roles import TEST_ROLES
from worker.schema.migrate import migrate

HEADING = "To a point in time"


def settings(number: int, **replaced: str) -> dict[str, str]:
    """Return the settings of a block of the page, with other folders and times."""
    text = block(HEADING, "ini", number)
    for was, now in replaced.items():
        text = text.replace(was, now)
    lines = (line.partition(" = ") for line in text.splitlines())
    return {"fsync": "off"} | {name: value.strip("'") for name, _, value in lines}


def settle(url: str, *cashback_ids: int) -> list[str]:
    """Credit these, and return the names that BETCORE is told of them."""
    with ledger_on(url) as ledger:
        told = [ledger.settle(new_event(each), payout(each, "ann", "10")) for each in cashback_ids]
    return [each.transaction.partner_transaction_id for each in told if each.transaction is not None]


def credited(connection: psycopg.Connection) -> list[int]:
    rows = connection.execute(
        "SELECT cashback_id FROM transactions WHERE kind = 'payout' ORDER BY transaction_id"
    )
    return [cashback_id for (cashback_id,) in rows]


def test_a_server_goes_back_to_a_moment_and_settles_from_there(own_directory: Path) -> None:
    archive, base = own_directory / "archive", own_directory / "base"
    archive.mkdir(parents=True)
    archive.chmod(0o777)
    # Given a server that keeps its log, a copy of its files, and credits before and after a moment,
    archiving = settings(0, **{"/archive": str(archive)})
    postgres = PostgresServer(own_directory / "postgres", settings=archiving).start()
    try:
        migrate(postgres.url, roles=TEST_ROLES)
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            add_user(connection, "ann")
            settle(postgres.url, 1)
            run_block(HEADING, {"ADMIN_URL": postgres.url, "BASE": str(base)})
            settle(postgres.url, 2)
            [(moment,)] = connection.execute("SELECT clock_timestamp()::text").fetchall()
            before = settle(postgres.url, 3)
    finally:
        # What it still has of the log goes to the archive.
        postgres.stop()

    # when another one goes back to it,
    (base / "recovery.signal").touch()
    if (user := prepare(own_directory / "postgres")["user"]) is not None:
        for path in (base, *base.rglob("*")):
            shutil.chown(path, user)
    recovery = settings(1, **{"/archive": str(archive), "2026-11-26 12:00:00+00": moment})
    restored = PostgresServer(base, settings=recovery).start()
    try:
        with psycopg.connect(restored.url, autocommit=True) as connection:
            wait_until(
                lambda: connection.execute("SELECT pg_is_in_recovery()").fetchall() == [(False,)],
                what="it takes writes",
                timeout_seconds=240,
            )
            # then it has what was before, is whole, and gives the same money the same name again.
            assert credited(connection) == [1, 2]
            assert connection.execute("SELECT missing_parts()").fetchall() == [([],)]
            assert settle(restored.url, 3) == before == ["3-1"]
            assert credited(connection) == [1, 2, 3]
            assert audit(connection) == SOUND
    finally:
        restored.stop()
