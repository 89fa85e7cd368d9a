"""An action and its line in the audit stand together or not at all."""

from typing import Final

import psycopg
import pytest

from tests.support.books import add_user
from tests.support.desk import Desk
from tests.support.roles import as_role
from worker.schema.roles import OPERATOR, RECEIVER

# Each as its own role does it, for a person whose name the test may have the audit refuse.
ACTIONS: Final = {
    "accounts.block": "SELECT set_account_status('tess', 'blocked', 'pat', 'why')",
    "accounts.unblock": "SELECT set_account_status('uma', 'active', 'pat', 'why')",
    "accounts.adjust": "SELECT adjust_account('together', 'tess', 5, 'pat', 'why')",
    "accounts.adjust.ask": "SELECT adjust_account('together', 'tess', 500, 'pat', 'why')",
    "accounts.adjust.approve": "SELECT decide_adjustment('waits', true, 'pat', 'why')",
    "accounts.adjust.reject": "SELECT decide_adjustment('waits', false, 'pat', 'why')",
    "accounts.import": (
        "SELECT prepare_accounts_import();"
        "INSERT INTO imported_accounts VALUES (1, 'vera', 'EUR', 'active', 100);"
        "SELECT apply_accounts_import('a.csv', 'digest', 'pat', 'why')"
    ),
    "quarantine.requeue": "SELECT requeue_message(min(quarantine_id), false, 'pat', 'why') FROM quarantine",
    "settings.check_off": "SELECT note_check_off('pat', 'CASHBACK_A', 'x')",
    "accounts.rules": "SELECT set_correction_rules(7, 7, 'person', true, 'pat')",
}
STATE: Final = (
    "SELECT (SELECT jsonb_agg(each ORDER BY account_id) FROM accounts AS each WHERE kind = 'user'), "
    "(SELECT jsonb_agg(each ORDER BY adjustment_key) FROM adjustments AS each), "
    "(SELECT jsonb_agg(each) FROM correction_rules AS each), "
    "(SELECT jsonb_agg(each ORDER BY entry_id) FROM entries AS each), "
    "(SELECT count(*) FROM transactions), (SELECT count(*) FROM audit), "
    "(SELECT jsonb_agg(each) FROM quarantine AS each)"
)


@pytest.fixture(scope="module")
def prepared(shared_desk: Desk) -> Desk:
    """Give books in which each of the actions has something to do."""
    desk = shared_desk
    desk.rules(approver="person")
    add_user(desk.owner, "tess")
    add_user(desk.owner, "uma", status="blocked")
    desk.run("adjust", "tess", "500", "--reason", "x", "--key", "waits")
    desk.owner.execute(
        "SELECT quarantine_message(sha256('x'), 'r', 'd', 'q', NULL, NULL, '{}', NULL, NULL, 'x', 1)"
    )
    return desk


def connected(desk: Desk, action: str) -> psycopg.Connection:
    roles = {"settings.check_off": as_role(desk.database_url, RECEIVER), "accounts.rules": desk.database_url}
    return psycopg.connect(roles.get(action, as_role(desk.database_url, OPERATOR)))


def state(desk: Desk) -> list[tuple[object, ...]]:
    return desk.owner.execute(STATE).fetchall()


@pytest.mark.parametrize("action", ACTIONS)
def test_who_dies_before_the_commit_has_done_and_noted_nothing(prepared: Desk, action: str) -> None:
    before = state(prepared)

    with connected(prepared, action) as connection:
        connection.execute(ACTIONS[action].encode())
        prepared.owner.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError):
            connection.commit()

    assert state(prepared) == before


@pytest.mark.parametrize("action", ACTIONS)
def test_what_cannot_be_noted_is_not_done(prepared: Desk, action: str) -> None:
    before = state(prepared)
    prepared.owner.execute("ALTER TABLE audit ADD CONSTRAINT audit_full CHECK (person <> 'pat') NOT VALID")
    try:
        with connected(prepared, action) as connection, pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(ACTIONS[action].encode())
    finally:
        prepared.owner.execute("ALTER TABLE audit DROP CONSTRAINT audit_full")

    assert state(prepared) == before


@pytest.mark.parametrize("action", ACTIONS)
def test_what_is_done_is_noted_as_what_it_is(prepared: Desk, action: str) -> None:
    with connected(prepared, action) as connection:
        connection.execute(ACTIONS[action].encode())
        noted = connection.execute(
            "SELECT action, person, database_user = session_user FROM audit ORDER BY audit_id DESC LIMIT 1"
            if action != "settings.check_off"
            else "SELECT 'settings.check_off', 'pat', true"
        ).fetchall()
        connection.rollback()

    assert noted == [(action, "pat", True)]
