"""Whatever somebody sets for the database or the role, the service's statements mean what they meant."""

import asyncio
import random
import time
from typing import Final
from urllib.parse import quote

import psycopg
import pytest

from producer.copies.receipts.connection import ReceiptConnection, connection_options
from producer.copies.receipts.recording import Receipts
from producer.shared.postgres.abandoned import AbandonedConnections
from producer.shared.postgres.session import LASTING_PLANS, RELIED_ON
from tests.support import command
from tests.support.books import SOUND, Audit, add_user, audit, cancel, new_event, payout, policy, pool_of
from tests.support.futures import end_of
from tests.support.receipts import event, with_receipts
from tests.support.roles import TEST_ROLES
from tests.support.settings_of_others import SETTINGS, SHOW, named, set_for_database
from worker.cli.shared.database import open_database
from worker.domain.settlement import State
from worker.ledger.database import Database
from worker.ledger.ledger import Ledger, SettlementRequest
from worker.recovery.overdue import Expired, OverdueReceipts
from worker.schema.migrate import Applied, migrate

LIMIT_SECONDS: Final = 120.0
CASES: Final = {**{name: {name: value} for name, value in SETTINGS.items()}, "all of them": SETTINGS}
# A process for each command takes its time: not for each setting.
LOOKED_AT: Final = ("datestyle", "all of them")


def record_and_ask(database_url: str) -> None:
    """Record two receipts as the receiver does, and ask how far they have come."""

    async def work(receipts: Receipts) -> None:
        received = [event(number, cashback_id=100 + number) for number in (1, 2)]
        for each in received:
            await end_of(receipts.record, each)
        await receipts.check(timeout_seconds=LIMIT_SECONDS)
        progress = await receipts.progress(
            [each.event_id for each in received], timeout_seconds=LIMIT_SECONDS
        )
        assert list(progress.settled) == []

    with_receipts(database_url, work)


def settle_and_sweep(database_url: str) -> None:
    """Settle alone, in a group and by a cancel, and look for what is overdue, as a worker does."""
    with pool_of(database_url) as pool:
        ledger = Ledger(pool, policy=policy(), timeout_seconds=LIMIT_SECONDS)
        paid = new_event(1)
        first = ledger.settle(paid, payout(1, "ann", "10.25"))
        request = SettlementRequest(
            event=new_event(2), instruction=payout(2, "ann", "1.50"), attempt_seconds=3.0
        )
        second = ledger.settle_group([request], deadline=ledger.next_deadline())[request.event.event_id]
        taken_back = ledger.settle(new_event(1), cancel(1, "ann", "10.25"))
        assert [first.code, second.code, taken_back.code] == [200, 200, 200]
        ledger.mark_answered([paid.event_id])
        ledger.close(request.event.event_id, State.EXPIRED)

        database = Database(pool, timeout_seconds=LIMIT_SECONDS)
        overdue = OverdueReceipts(
            database, limit=10, hold_seconds=60.0, hurry_seconds=5.0, cutoff_seconds=600.0
        )
        late = new_event(3, age_seconds=650)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT record_receipt(%s, %s, %s, clock_timestamp() - interval '650 s', 600, 900, 1)",
                (late.event_id, late.token, 3),
            )
        assert overdue.give_up() == 1
        assert overdue.expire() == Expired(0, 0)
        claimed = overdue.claim(lost_before=None)
        assert late.event_id in {each.event_id for each in claimed}
        overdue.raise_bound()
        overdue.look_below_bound()


def look_as_an_operator(database_url: str) -> None:
    """Import, show and list, each with a process of its own."""
    accounts = b"user_id,currency,status,balance\nbob,EUR,active,12.50\n"
    done = command.run("accounts", "import", "-", "--json", stdin=accounts, database_url=database_url)
    assert done.document == {"opened": 1, "updated": 0, "unchanged": 0}
    shown = command.run("show", "1", "--json", database_url=database_url).document
    assert {each["kind"] for each in shown["transactions"]} == {"payout", "cancel"}
    assert all(each["received_at"].endswith("Z") for each in shown["events"])
    balance = command.run("accounts", "show", "ann", "--json", database_url=database_url).document
    assert balance["balance"] == "1.50"


@pytest.mark.parametrize("case", CASES)
def test_settings_of_the_database_change_nothing(database_url: str, case: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_user(connection, "ann")
    set_for_database(database_url, CASES[case])

    record_and_ask(database_url)
    settle_and_sweep(database_url)
    if case in LOOKED_AT:
        look_as_an_operator(database_url)

    assert migrate(database_url) == Applied((), ())
    with psycopg.connect(database_url) as connection:
        assert audit(connection) == SOUND


def test_every_session_has_what_the_program_relies_on(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_for_database(database_url, SETTINGS)
    monkeypatch.setenv("CASHBACK_DATABASE_URL", database_url)

    with pool_of(database_url, timeout_seconds=7) as pool, pool.connection() as connection:
        worker = in_force(connection)
    with open_database(timeout_seconds=8) as connection:
        command_ = in_force(connection)
    receiver = asyncio.run(in_force_at_a_receiver(database_url))

    all_have = {**RELIED_ON, "client_encoding": "UTF8", "search_path": "nowhere, public"}
    all_have["synchronous_commit"] = "on"
    assert worker == {**all_have, **LASTING_PLANS, "statement_timeout": "7000", "lock_timeout": "0"}
    assert receiver == {**all_have, **LASTING_PLANS, "statement_timeout": "4000", "lock_timeout": "1250"}
    own = ("statement_timeout", "lock_timeout")
    # An operator's statements are planned as usual.
    assert {name: command_[name] for name in (*all_have, *own)} == {
        **all_have,
        "statement_timeout": "8000",
        "lock_timeout": "0",
    }


def in_force(connection: psycopg.Connection) -> dict[str, str]:
    return named(connection.execute(SHOW, (list(SETTINGS),)).fetchall())


async def in_force_at_a_receiver(database_url: str) -> dict[str, str]:
    abandoned = AbandonedConnections(size=1, monotonic=time.monotonic, random=random.random)
    options = connection_options(database_url, timeout_seconds=5)
    async with await ReceiptConnection.connect(database_url, abandoned=abandoned, **options) as connection:
        cursor = await connection.execute(SHOW, (list(SETTINGS),))
        return named(await cursor.fetchall())


@pytest.mark.parametrize("given_in", ["the URL", "PGOPTIONS"])
def test_options_that_are_given_hold_for_every_process(
    database_url: str, given_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a schema of its own for all of it, and nothing in `public`,
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA app")
    url = database_url
    if given_in == "the URL":
        url += f"?options={quote('-csearch_path=app -c statement_timeout=1h')}"
    else:
        monkeypatch.setenv("PGOPTIONS", "-csearch_path=app")

    # When the command makes the tables, and receiver, worker and command use them,
    done = command.run("migrate", database_url=url, database_roles=TEST_ROLES.prefix)
    assert (done.exit_code, done.stderr) == (0, "")
    with psycopg.connect(url, autocommit=True) as connection:
        add_user(connection, "ann")
    record_and_ask(url)
    settle_and_sweep(url)
    look_as_an_operator(url)

    # Then all of it is there.
    with psycopg.connect(database_url) as connection:
        assert audit_in(connection, "app") == SOUND


def audit_in(connection: psycopg.Connection, schema: str) -> Audit:
    connection.execute("SELECT set_config('search_path', %s, false)", (schema,))
    assert connection.execute("SELECT count(*) > 0 FROM receipts").fetchone() == (True,)
    return audit(connection)
