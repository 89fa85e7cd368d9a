"""`cashback doctor` tells what waits, what is stuck, and what a person is to look at."""

from uuid import uuid4

import psycopg
import redis

from tests.integration.worker.doctor.conftest import Doctor
from tests.support.accepts import sent_accept
from tests.support.books import add_user, ledger_on, new_event, payout
from tests.support.roles import as_role
from worker.domain.settlement import State
from worker.recovery.witness import LOST_KEY
from worker.schema.roles import OPERATOR, WORKER

PART = ("--only", "backlog")
QUARANTINED = """
    INSERT INTO quarantine (digest, reason, detail, queue, headers, message, message_bytes)
    VALUES (sha256('x'), 'bad_body', 'no JSON', 'cashback', '{}', 'x', 1)
"""


def receive(connection: psycopg.Connection, cashback_id: int, *, age_seconds: float) -> str:
    """Record an event that was received so long ago, with 25 s to its credit cut-off."""
    event = new_event(cashback_id, age_seconds=age_seconds)
    connection.execute(
        "SELECT record_receipt(%s, %s, %s, %s, 25, 30, 3)",
        (event.event_id, event.token, cashback_id, event.received_at),
    )
    return str(event.event_id)


def test_what_waits_is_counted_and_what_is_stuck_is_a_fault(doctor: Doctor, database_url: str) -> None:
    operator = as_role(database_url, OPERATOR)
    with psycopg.connect(database_url, autocommit=True) as connection:
        receive(connection, 1, age_seconds=0)
        waiting = doctor(*PART, database_url=operator)
        stuck = receive(connection, 2, age_seconds=300)

    found = doctor(*PART, database_url=operator)

    assert waiting.names("fault") == set()
    assert waiting.of("undecided")["what"].startswith("events that wait to be settled: 1, the oldest for ")
    assert (found.exit_code, found.names("fault")) == (1, {"stuck"})
    assert stuck in found.of("stuck")["what"]
    assert found.of("undecided")["what"].startswith("events that wait to be settled: 2,")


def test_unconfirmed_credits_and_quarantine_are_told_with_what_looks_at_them(
    doctor: Doctor, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection, ledger_on(database_url) as ledger:
        add_user(connection, "ann")
        event = new_event(3)
        ledger.settle(event, payout(3, "ann", "10"))
        ledger.close(event.event_id, State.REFUSED, error="BETCORE said 103752", sent=[sent_accept(1)])
        connection.execute(QUARANTINED)

    found = doctor(*PART, database_url=as_role(database_url, OPERATOR))

    assert (found.exit_code, found.names("advice")) == (0, {"unconfirmed", "quarantined"})
    assert "cashback list --unconfirmed" in (found.of("unconfirmed")["what_to_do"])
    assert "cashback quarantine list --open" in (found.of("quarantined")["what_to_do"])


def test_commits_that_the_ledger_has_lost_are_a_fault(doctor: Doctor, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.zadd(LOST_KEY, {f"903:1:{uuid4()}:17": 1_000.0})
        found = doctor(*PART, redis_url=redis_url)

        assert (found.exit_code, found.names("fault")) == (1, {"ledger_rewound"})
        assert "903" in found.of("ledger_rewound")["what"]
        assert client.keys() == [LOST_KEY.encode()]


def test_who_holds_an_old_snapshot_is_named_to_who_may_see_it(doctor: Doctor, database_url: str) -> None:
    with psycopg.connect(database_url, application_name="a report") as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT count(*) FROM receipts")

        for role, verdict in ((WORKER, "advice"), (OPERATOR, "unchecked")):
            found = doctor(
                *("--only", "postgresql"),
                database_url=as_role(database_url, role),
                snapshot_warning_seconds="0.001",
            )
            assert found.of("postgresql_snapshots")["verdict"] == verdict
            assert ("a report" in found.text) is (role == WORKER)


def test_a_pause_is_told_with_who_and_why_until_it_is_over(doctor: Doctor, database_url: str) -> None:
    operator = as_role(database_url, OPERATOR)
    with psycopg.connect(operator, autocommit=True) as connection:
        connection.execute("SELECT pause_intake('anna@desk', 'database upgrade', 600)")
        paused = doctor(*PART, database_url=operator)
        connection.execute("SELECT resume_intake('anna@desk', 'done early')")

    assert "by anna@desk (database upgrade)" in paused.of("intake_paused")["what"]
    assert "cashback resume" in paused.of("intake_paused")["what_to_do"]
    assert paused.exit_code == 0
    assert "intake_paused" not in doctor(*PART, database_url=operator).names("advice")
