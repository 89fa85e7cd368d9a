"""`cashback show` as a person reads it: the standing first, then what happened when, at 80 columns."""

import re
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from tests.support import command
from tests.support.books import add_user, cancel, ledger_on, new_event, payout
from tests.support.roles import as_role
from worker.domain.settlement import State
from worker.ledger.ledger import Ledger, VerifiedEvent
from worker.schema.roles import OPERATOR, READER

COLUMNS = 80
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NO_ANSWER = "the connection was closed before an answer came, as it was twice before"


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_user(connection, "188509")
        add_user(connection, "blocked", status="blocked")
    with ledger_on(database_url) as ledger:
        yield ledger


def settled(ledger: Ledger, cashback_id: int, user_id: str = "188509") -> VerifiedEvent:
    event = new_event(cashback_id, age_seconds=20, name="secret-token")
    ledger.settle(event, payout(cashback_id, user_id, "10.50"))
    return event


def record_attempts(database_url: str, event: VerifiedEvent, *answers: tuple[int | None, int | None]) -> None:
    """Put accepts on record, a second after each other; each the status and the code that came."""
    with psycopg.connect(database_url) as connection:
        for number, (status, code) in enumerate(answers, start=1):
            connection.execute(
                "UPDATE receipts SET attempts = attempts + 1, accepts = accepts || "
                "ROW(%s, 31, %s, %s, 'worker-1', %s)::accept_attempt WHERE event_id = %s",
                (
                    event.received_at + timedelta(seconds=number),
                    status,
                    code,
                    NO_ANSWER if status is None else None,
                    event.event_id,
                ),
            )
        connection.execute(
            "UPDATE receipts SET user_id = '188509', transaction_type = 1, amount = 10.5 WHERE event_id = %s",
            (event.event_id,),
        )


def show(database_url: str, *arguments: str) -> list[str]:
    shown = command.run_here("show", *arguments, columns=COLUMNS, database_url=database_url)
    assert (shown.exit_code, shown.stderr) == (0, "")
    return shown.stdout.splitlines()


def test_the_first_line_says_whether_money_moved_and_whether_betcore_knows(
    ledger: Ledger, database_url: str
) -> None:
    event = settled(ledger, 480)
    being_told = show(database_url, "480")[0]
    ledger.close(event.event_id, State.EXPIRED, error="no answer")
    unknown = show(database_url, str(event.event_id))
    again = settled(ledger, 480)
    ledger.mark_answered([again.event_id])
    settled(ledger, 481, "blocked")

    assert being_told == "Money moved, and BETCORE is being told."
    assert unknown[0] == "Money moved, and BETCORE has NOT acknowledged it."
    assert "UNCONFIRMED: money moved, and BETCORE has not" in "\n".join(unknown)
    assert show(database_url, "480")[0] == "Money moved, and BETCORE knows."
    assert show(database_url, "481")[0] == "No money moved: the account is blocked. BETCORE is being told."


def test_what_happened_stands_in_the_order_in_which_it_did(ledger: Ledger, database_url: str) -> None:
    event = settled(ledger, 480)
    record_attempts(database_url, event, (None, None), (503, None), (200, 102823), (200, 200))
    ledger.mark_answered([event.event_id])
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "SELECT note_action('replay', %s, 'anna@desk', 'ticket 7', NULL, NULL)", (str(event.event_id),)
        )

    few, every = (show(database_url, "480", *options) for options in ([], ["--attempts"]))

    # The ledger settles now what was received, and sent, 20 seconds ago.
    words = [line.split()[1] for line in every if re.match(r"  [0-9]{2}:", line)]
    assert words == ["received", "sent", "sent", "sent", "sent", "decided", "answered", "replayed"]
    text = " ".join(" ".join(few).split())
    assert "user 188509, TransactionType 1, Amount 10.5" in text
    assert "received from betcore" in text
    assert f"sent no answer, 31 ms, worker worker-1: {NO_ANSWER}" in text
    assert "… 2 more attempts: --attempts shows them" in text
    assert "sent 200 acknowledged, HTTP 200, 31 ms, worker worker-1" in text
    assert "decided 200: the payout was made, transaction" in text
    assert "answered BETCORE acknowledged our accept" in text
    assert "replayed by anna@desk: ticket 7" in text
    assert "HTTP 503" not in text
    assert "sent 102823 asked to send it again, HTTP 200" in " ".join(" ".join(every).split())


def test_at_80_columns_no_line_is_longer_and_no_id_is_folded(ledger: Ledger, database_url: str) -> None:
    event = settled(ledger, 9_223_372_036_854_775_807)
    again = settled(ledger, 9_223_372_036_854_775_807)
    record_attempts(database_url, event, (None, None), (503, None))
    ledger.close(event.event_id, State.EXPIRED, error=f"{NO_ANSWER}; {NO_ANSWER}")
    ledger.mark_answered([again.event_id])
    reversal = new_event(9_223_372_036_854_775_807)
    ledger.settle(reversal, cancel(reversal.cashback_id, "188509", "10.50"))

    lines = show(database_url, str(event.cashback_id))
    listed = command.run_here(
        "list", "--state", "expired", columns=COLUMNS, database_url=database_url
    ).stdout.splitlines()

    assert [line for line in (*lines, *listed) if len(line) > COLUMNS] == []
    for each in (event, again, reversal):
        assert str(each.event_id) in ID.findall("\n".join(lines))
    assert ID.findall(listed[1]) == [str(event.event_id)]
    assert NO_ANSWER in " ".join(" ".join(listed).split())


def test_in_a_pipe_each_row_is_one_line(ledger: Ledger, database_url: str) -> None:
    event = settled(ledger, 480)
    ledger.close(event.event_id, State.EXPIRED, error="; ".join([NO_ANSWER] * 4))

    listed = command.run_here("list", "--state", "expired", database_url=database_url).stdout.splitlines()

    (row,) = (line for line in listed if str(event.event_id) in line)
    assert row.count(NO_ANSWER) == 4


def test_json_has_the_standing_why_and_with_attempts_each_accept(ledger: Ledger, database_url: str) -> None:
    event = settled(ledger, 480)
    record_attempts(database_url, event, (None, None), (200, 200))

    plain = command.run_here("show", str(event.event_id), "--json", database_url=database_url).document
    whole = command.run_here("show", "480", "--attempts", "--json", database_url=database_url).document

    assert plain["event_id"] == str(event.event_id)
    assert (plain["standing"]["money"], plain["standing"]["betcore"]) == ("moved", "being_told")
    assert (plain["events"][0]["why"], plain["events"][0]["replays"]) == ("the payout was made", [])
    assert "accepts" not in plain["events"][0]
    assert whole["event_id"] is None
    assert [
        (each["status"], each["code"], each["duration_ms"], each["detail"])
        for each in whole["events"][0]["accepts"]
    ] == [(None, None, 31, NO_ANSWER), (200, 200, 31, None)]


def test_show_of_an_unknown_event_ends_with_1(database_url: str) -> None:
    unknown = "00000000-0000-8000-8000-000000000001"

    shown = command.run_here("show", unknown, database_url=database_url)

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr == f"Error: no event {unknown} is on record\n"


@pytest.mark.parametrize("role", [OPERATOR, READER])
def test_operator_and_reader_may_look(ledger: Ledger, database_url: str, role: str) -> None:
    event = settled(ledger, 480)
    record_attempts(database_url, event, (200, 200))
    ledger.mark_answered([event.event_id])
    url = as_role(database_url, role)

    shown = show(url, "480", "--attempts")
    found = [
        command.run_here(*arguments, database_url=url)
        for arguments in (
            ("list", "--user", "188509"),
            ("list", "--code", "103779", "--csv", "--all"),
            ("tail", "--all", "--since", "1h", "--for", "0s"),
        )
    ]

    assert shown[0] == "Money moved, and BETCORE knows."
    assert [(done.exit_code, done.stderr) for done in found] == [(0, "")] * 3
