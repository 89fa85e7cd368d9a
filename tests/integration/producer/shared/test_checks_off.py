"""A check that is switched off is put on record once a start, whatever PostgreSQL does meanwhile."""

import platform
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from deploy.local.ports import LOCALHOST, free_port
from producer.shared.preconditions.checks_off import ChecksOffNote
from producer.shared.preconditions.postgres import RECORDS, SETTLES, check_postgres
from producer.shared.preconditions.verdict import Verdict
from producer.shared.settings.checks_off import CheckOff
from tests.support.roles import as_role
from worker.schema.roles import OPERATOR, READER, RECEIVER, WORKER

OFF = (
    CheckOff(variable="CASHBACK_VERIFY_FALLBACK", value="true", what="signatures"),
    CheckOff(variable="CASHBACK_TOKEN_CLIENT_ID", value="any", what="whose"),
)
CALL = "SELECT note_check_off(%s, %s, %s)"


def noted(database_url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            "SELECT action, subject, person, reason, after ->> 'value' FROM audit ORDER BY audit_id"
        ).fetchall()


@pytest.mark.parametrize(("role", "calls"), [(RECEIVER, RECORDS), (WORKER, SETTLES)])
def test_it_is_noted_once_by_the_process_own_role(database_url: str, role: str, calls: str) -> None:
    url = as_role(database_url, role)
    check = ChecksOffNote(url, OFF, process=role).after(lambda: check_postgres(url, calls))

    assert [check(), check()] == [[], []]

    person = f"{role}@{platform.node()}"
    assert noted(database_url) == [
        ("settings.check_off", "CASHBACK_VERIFY_FALLBACK", person, None, "true"),
        ("settings.check_off", "CASHBACK_TOKEN_CLIENT_ID", person, None, "any"),
    ]


def test_while_postgresql_is_away_it_is_said_and_tried_again(database_url: str) -> None:
    url = as_role(database_url, WORKER)
    places = [f"postgresql://{LOCALHOST}:{free_port()}/x", url, url]
    check = ChecksOffNote(url, OFF, process="worker").after(lambda: check_postgres(places.pop(0), SETTLES))

    with capture_logs() as logs:
        (away,) = check()
        before = noted(database_url)
        check()
        check()

    assert (away.name, before) == ("postgresql_unreachable", [])
    assert [each[1] for each in noted(database_url)] == [each.variable for each in OFF]
    said = [each["setting"] for each in logs if each["event"] == "check_switched_off"]
    assert said == [each.variable for each in OFF]


def test_what_cannot_be_noted_stops_nothing_and_is_said_once(database_url: str) -> None:
    # A role that may look and may not note.
    url = as_role(database_url, READER)

    def well() -> list[Verdict]:
        return []

    check = ChecksOffNote(url, OFF, process="worker").after(well)

    with capture_logs() as logs:
        assert [check(), check()] == [[], []]

    failed = [each for each in logs if each["event"] == "checks_off_not_noted"]
    assert len(failed) == 1
    assert failed[0]["why"].startswith("InsufficientPrivilege")
    assert noted(database_url) == []


def test_where_nothing_is_off_nothing_is_asked() -> None:
    check = ChecksOffNote(f"postgresql://{LOCALHOST}:{free_port()}/x", (), process="worker").after(list)

    with capture_logs() as logs:
        assert check() == []
    assert logs == []


def test_a_process_notes_nothing_else_and_does_not_fill_the_audit(database_url: str) -> None:
    with psycopg.connect(as_role(database_url, RECEIVER), autocommit=True) as receiver:
        for setting in ("accounts.block", "CASHBACK_x", "", "CASHBACK_" + "A" * 81):
            with pytest.raises(psycopg.errors.InvalidParameterValue):
                receiver.execute(CALL, ("me", setting, "x"))
        receiver.execute(
            "SELECT count(note_check_off('me', 'CASHBACK_A', 'x' || n)) FROM generate_series(1, 1000) AS n"
        )
        assert receiver.execute(CALL, ("me", "CASHBACK_A", "x")).fetchall() == [(False,)]
    # Another process' own are noted all the same.
    with psycopg.connect(as_role(database_url, WORKER), autocommit=True) as worker:
        assert worker.execute(CALL, ("me", "CASHBACK_A", "x")).fetchall() == [(True,)]
    assert len(noted(database_url)) == 1_001


def test_the_operator_does_not_speak_for_a_process(database_url: str) -> None:
    with (
        psycopg.connect(as_role(database_url, OPERATOR)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(CALL, ("worker@host", "CASHBACK_A", "x"))
