"""`cashback show` and `cashback list` as an operator runs them, on events that the ledger settled."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from cashback_client.contract import OWN_PRODUCER
from tests.support import command
from tests.support.accepts import sent_accept
from tests.support.books import add_user, cancel, ledger_on, new_event, payout
from worker.domain.settlement import State
from worker.ledger.ledger import Ledger, VerifiedEvent


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_user(connection, "188509")
    with ledger_on(database_url, withhold_tax=True) as ledger:
        yield ledger


def settled(ledger: Ledger, cashback_id: int, *, age_seconds: float = 0.0) -> VerifiedEvent:
    event = new_event(cashback_id, age_seconds=age_seconds, name="secret-token")
    ledger.settle(event, payout(cashback_id, "188509", "10.50", tax="0.50"))
    return event


def list_ids(database_url: str, *options: str) -> list[str]:
    document = command.run("list", "--json", *options, database_url=database_url).document
    assert document["next_after"] is None
    return [event["event_id"] for event in document["events"]]


def test_show_gives_all_events_of_a_cashback_and_what_they_did_to_the_books(
    ledger: Ledger, database_url: str
) -> None:
    first = settled(ledger, 480, age_seconds=20)
    again = settled(ledger, 480, age_seconds=10)
    reversal = new_event(480)
    ledger.settle(reversal, cancel(480, "188509", "10.50"))
    ledger.mark_answered([first.event_id])
    ledger.close(
        again.event_id, State.REFUSED, error="BETCORE said 103752", sent=[sent_accept(1), sent_accept(2)]
    )
    settled(ledger, 481)

    document = command.run("show", "480", "--json", database_url=database_url).document

    assert (document["cashback_id"], document["more_events"]) == (480, False)
    assert [
        (each["event_id"], each["state"], each["code"], each["attempts"]) for each in document["events"]
    ] == [
        (str(reversal.event_id), "settled", 200, 0),
        (str(again.event_id), "refused", 103804, 2),
        (str(first.event_id), "answered", 200, 1),
    ]
    assert document["events"][1]["last_error"] == "BETCORE said 103752"
    payout_made, cancel_made = document["transactions"]
    assert document["events"][1]["transaction_id"] == payout_made["transaction_id"]
    assert cancel_made["reverses"] == payout_made["transaction_id"]
    assert (payout_made["partner_transaction_id"], cancel_made["partner_transaction_id"]) == (
        "480-1",
        "480--1",
    )
    assert [(each["kind"], each["event_id"]) for each in document["transactions"]] == [
        ("payout", str(first.event_id)),
        ("cancel", str(reversal.event_id)),
    ]
    assert (
        payout_made["amount"],
        payout_made["amount_minor"],
        payout_made["tax"],
        payout_made["tax_minor"],
    ) == (
        "10.50",
        1050,
        "0.50",
        50,
    )


def test_who_handed_in_an_event_is_shown_and_listed(ledger: Ledger, database_url: str) -> None:
    for cashback_id, producer in ((1, "edge"), (2, None)):
        event = replace(new_event(cashback_id), producer=producer)
        ledger.settle(event, payout(cashback_id, "188509", "1"))

    shown = [
        command.run("show", number, "--json", database_url=database_url).document for number in ("1", "2")
    ]
    listed = command.run("list", "--state", "settled", "--json", database_url=database_url).document

    assert [each["events"][0]["producer"] for each in shown] == ["edge", OWN_PRODUCER]
    assert [event["producer"] for event in listed["events"]] == [OWN_PRODUCER, "edge"]
    for arguments in (["show", "1"], ["list", "--state", "settled"]):
        assert "edge" in command.run(*arguments, database_url=database_url).stdout


def test_show_gives_the_entries_of_each_transaction(ledger: Ledger, database_url: str) -> None:
    settled(ledger, 480)

    (transaction,) = command.run("show", "480", "--json", database_url=database_url).document["transactions"]

    lines = [
        (each["account_kind"], each["user_id"], each["amount"], each["amount_minor"])
        for each in transaction["entries"]
    ]
    assert sorted(lines) == [
        ("cashback", None, "-10.50", -1050),
        ("tax", None, "0.50", 50),
        ("user", "188509", "10.00", 1000),
    ]


def test_the_times_of_an_event_are_shown_and_the_next_attempt_only_while_it_is_open(
    ledger: Ledger, database_url: str
) -> None:
    event = settled(ledger, 480)
    open_one: dict[str, Any] = command.run("show", "480", "--json", database_url=database_url).document[
        "events"
    ][0]
    ledger.mark_answered([event.event_id])
    closed: dict[str, Any] = command.run("show", "480", "--json", database_url=database_url).document[
        "events"
    ][0]

    assert open_one["closed_at"] is None
    assert open_one["next_attempt_at"].endswith("Z")
    assert closed["next_attempt_at"] is None
    times = [
        closed[name] for name in ("received_at", "settled_at", "closed_at", "credit_cutoff_at", "deadline_at")
    ]
    assert times == sorted(times)
    assert all(time.endswith("Z") for time in times)


def test_the_token_is_never_shown(ledger: Ledger, database_url: str) -> None:
    settled(ledger, 480)

    for arguments in (["show", "480"], ["list", "--state", "settled"]):
        for form in ([], ["--json"]):
            shown = command.run(*arguments, *form, database_url=database_url)
            assert shown.exit_code == 0
            assert "480" in shown.stdout
            assert "secret-token" not in shown.stdout


def test_show_says_when_there_are_more_events_than_the_limit(ledger: Ledger, database_url: str) -> None:
    settled(ledger, 480, age_seconds=10)
    latest = settled(ledger, 480)

    document = command.run("show", "480", "--json", "--limit", "1", database_url=database_url).document
    shown = command.run("show", "480", "--limit", "1", database_url=database_url)

    assert [event["event_id"] for event in document["events"]] == [str(latest.event_id)]
    assert document["more_events"] is True
    assert len(document["transactions"]) == 1
    assert "There are older events: raise --limit" in shown.stdout


def test_show_prints_tables_for_people(ledger: Ledger, database_url: str) -> None:
    event = settled(ledger, 480)

    shown = command.run("show", "480", database_url=database_url)

    assert (shown.exit_code, shown.stderr) == (0, "")
    for word in (
        str(event.event_id),
        "settled",
        "payout of 10.50 EUR (tax 0.50) for user 188509",
        "-10.50",
        "-1050",
    ):
        assert word in shown.stdout


def test_show_of_an_unknown_cashback_ends_with_1(database_url: str) -> None:
    shown = command.run("show", "480", "--json", database_url=database_url)

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr == "Error: nothing with CashbackId 480 is on record\n"


def test_list_gives_the_events_of_one_state_newest_first(ledger: Ledger, database_url: str) -> None:
    old, middle, new = (settled(ledger, number, age_seconds=60 - number) for number in (1, 2, 3))
    ledger.mark_answered([middle.event_id])

    assert list_ids(database_url, "--state", "settled") == [str(new.event_id), str(old.event_id)]
    assert list_ids(database_url, "--state", "answered") == [str(middle.event_id)]
    assert list_ids(database_url, "--state", "expired") == []


def test_list_gives_only_unconfirmed_events_when_asked(ledger: Ledger, database_url: str) -> None:
    credited = settled(ledger, 1)
    repeated = settled(ledger, 1)
    ledger.close(credited.event_id, State.EXPIRED, error="no answer")
    ledger.close(repeated.event_id, State.EXPIRED, error="no answer")

    assert set(list_ids(database_url, "--state", "expired")) == {
        str(credited.event_id),
        str(repeated.event_id),
    }
    assert list_ids(database_url, "--unconfirmed") == [str(credited.event_id)]
    assert list_ids(database_url, "--unconfirmed", "--state", "expired") == [str(credited.event_id)]
    assert list_ids(database_url, "--unconfirmed", "--state", "refused") == []


def test_money_that_betcore_acknowledged_in_another_event_is_not_listed_as_unconfirmed(
    ledger: Ledger, database_url: str
) -> None:
    credited = settled(ledger, 1)
    ledger.close(credited.event_id, State.EXPIRED, error="no answer")
    repeated = settled(ledger, 1)
    before = list_ids(database_url, "--unconfirmed")

    ledger.mark_answered([repeated.event_id])

    assert (before, list_ids(database_url, "--unconfirmed")) == ([str(credited.event_id)], [])
    document = command.run("show", "1", "--json", database_url=database_url).document
    events = {event["event_id"]: event for event in document["events"]}
    assert events[str(credited.event_id)]["confirmed_by"] == str(repeated.event_id)
    assert events[str(credited.event_id)]["state"] == "expired"
    assert events[str(repeated.event_id)]["confirmed_by"] is None


def test_list_gives_only_what_was_received_since_a_time(ledger: Ledger, database_url: str) -> None:
    settled(ledger, 1, age_seconds=300)
    new = settled(ledger, 2)

    assert list_ids(database_url, "--state", "settled", "--since", "2m") == [str(new.event_id)]
    assert list_ids(database_url, "--state", "settled", "--since", new.received_at.isoformat()) == [
        str(new.event_id)
    ]
    assert len(list_ids(database_url, "--state", "settled", "--since", "1h")) == 2


def test_pages_follow_each_other_without_gap_or_repetition_while_events_arrive_and_change(
    ledger: Ledger, database_url: str
) -> None:
    # Three of them in the same instant: the order among them must be the same on every page.
    moments = [10.0, 20.0, 30.0, 40.0]
    events = [settled(ledger, number, age_seconds=age) for number, age in enumerate(moments, start=1)]
    twins = [
        VerifiedEvent(
            event_id=twin.event_id,
            token=twin.token,
            cashback_id=twin.cashback_id,
            received_at=events[1].received_at,
        )
        for twin in (new_event(100), new_event(101))
    ]
    for twin in twins:
        ledger.settle(twin, payout(twin.cashback_id, "188509", "1"))
    expected = [str(event.event_id) for event in _newest_first([*events, *twins])]

    pages: list[list[str]] = []
    after: list[str] = []
    while True:
        document = command.run(
            "list", "--state", "settled", "--limit", "2", "--json", *after, database_url=database_url
        ).document
        pages.append([event["event_id"] for event in document["events"]])
        if document["next_after"] is None:
            break
        after = ["--after", document["next_after"]]
        if len(pages) == 1:
            # What arrives now belongs on the first page, which was read; the cursor itself leaves the state.
            settled(ledger, 200)
            ledger.mark_answered([next(e.event_id for e in [*events, *twins] if str(e.event_id) == after[1])])

    assert pages == [expected[0:2], expected[2:4], expected[4:6]]


def _newest_first(events: list[VerifiedEvent]) -> list[VerifiedEvent]:
    return sorted(events, key=lambda event: (event.received_at, event.event_id), reverse=True)


def test_list_prints_a_table_and_how_to_go_on(ledger: Ledger, database_url: str) -> None:
    settled(ledger, 1, age_seconds=10)
    new = settled(ledger, 2)

    shown = command.run("list", "--state", "settled", "--limit", "1", database_url=database_url)

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.count(str(new.event_id)) == 2
    assert f"There are more: --after {new.event_id}" in shown.stdout
