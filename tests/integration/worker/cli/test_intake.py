"""`cashback pause` and `cashback resume`: what they change, what they say, and what stays on record."""

import psycopg
import pytest
from click.testing import CliRunner

from tests.support import command
from tests.support.output_schemas import assert_fits
from tests.support.roles import as_role
from worker.cli import cashback
from worker.schema.roles import OPERATOR, RECEIVER


def test_a_pause_is_begun_shown_and_ended_and_each_step_is_on_record(database_url: str) -> None:
    def run(*arguments: str) -> command.Finished:
        url = as_role(database_url, OPERATOR)
        return command.run(*arguments, database_url=url, person="anna@desk")

    before = run("pause", "--show", "--json").document
    paused = run("pause", "--for", "20m", "--reason", "new disks", "--json").document
    shown = run("pause", "--show")
    resumed = run("resume", "--reason", "they are in", "--json").document
    again = run("resume", "--reason", "they are in")

    for document in (before, paused):
        assert_fits("pause", document)
    assert_fits("resume", resumed)
    assert (before["paused"], before["paused_until"], before["person"]) == (False, None, None)
    assert (paused["paused"], paused["person"], paused["reason"]) == (True, "anna@desk", "new disks")
    assert 0 < paused["seconds_left"] <= 1200
    assert "the intake is paused until" in shown.stdout
    assert "by anna@desk: new disks" in shown.stdout
    assert (resumed, again.exit_code) == ({"was_paused": True}, 0)
    assert again.stdout == "the intake was open already\n"
    with psycopg.connect(database_url) as connection:
        audit = connection.execute(
            "SELECT action, subject, person, reason, database_user::text,"
            " before ->> 'paused_until' IS NOT NULL, after ->> 'paused_until' IS NOT NULL"
            " FROM audit ORDER BY audit_id"
        ).fetchall()
    assert audit == [
        ("intake.pause", "intake", "anna@desk", "new disks", "cashback_operator", False, True),
        ("intake.resume", "intake", "anna@desk", "they are in", "cashback_operator", True, False),
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["pause", "--for", "25h", "--reason", "x"], "a pause lasts from 1s to 24h"),
        (["pause", "--for", "0s", "--reason", "x"], "a pause lasts from 1s to 24h"),
        (["pause", "--for", "20m"], "name --for and --reason"),
        (["pause", "--for", "20m", "--reason", " "], "must be 1 to 500 characters"),
        (["pause", "--show", "--for", "20m"], "give it alone"),
        (["resume"], "--reason"),
    ],
)
def test_a_wrong_use_is_told(arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(cashback, arguments)

    assert done.exit_code == 2
    assert says in " ".join(done.output.split())


@pytest.mark.parametrize(
    "call",
    [
        "SELECT pause_intake('p', 'r', 86401)",
        "SELECT pause_intake('p', 'r', 0.5)",
        "SELECT pause_intake('p', 'r', 'NaN')",
        "SELECT pause_intake('p', '', 60)",
        "SELECT pause_intake('p', NULL, 60)",
        "SELECT resume_intake('p', '')",
    ],
)
def test_the_database_itself_takes_no_pause_without_a_reason_or_of_more_than_a_day(
    database_url: str, call: str
) -> None:
    with (
        psycopg.connect(as_role(database_url, OPERATOR)) as operator,
        pytest.raises(psycopg.errors.InvalidParameterValue),
    ):
        operator.execute(call.encode())


def test_who_takes_makes_opens_and_closes_nothing(database_url: str) -> None:
    with psycopg.connect(as_role(database_url, RECEIVER), autocommit=True) as receiver:
        assert receiver.execute("SELECT seconds_left FROM intake_state()").fetchall() == [(0,)]
        for call in ("pause_intake('p', 'r', 60)", "resume_intake('p', 'r')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                receiver.execute(f"SELECT {call}".encode())
