"""`cashback list`: what each filter finds, as pages, as CSV and as lines of JSON."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import psycopg
import pytest

from deploy.local.postgres import PostgresServer
from tests.support import command
from tests.support.books import add_user, cancel, database_of, ledger_on, new_event, payout
from tests.support.output_schemas import assert_fits
from worker.domain.settlement import State
from worker.ledger.ledger import VerifiedEvent

NAMES = ("paid", "declined", "again", "undone", "lost", "waiting", "others")
EVENTS: dict[str, VerifiedEvent] = {}
CASHBACKS = {"paid": 1, "declined": 2, "again": 1, "undone": 1, "lost": 5, "waiting": 6, "others": 7}
# Of its first page alone.
_EMPTY_BTREE = 8192
USER, OTHER = "188509", "188510"


@pytest.fixture(scope="module")
def listed_url(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """Give a database with one event of each kind; all but one are of the same user."""
    # Not before it is asked for: they must not grow too old to be settled.
    for number, name in enumerate(NAMES):
        event = new_event(CASHBACKS[name], age_seconds=100 - 10 * number)
        EVENTS[name] = replace(event, producer="edge" if name == "lost" else None)
    events = EVENTS
    with (
        database_of(postgres_server, migrated_template) as url,
        psycopg.connect(url, autocommit=True) as owner,
    ):
        add_user(owner, USER)
        add_user(owner, OTHER)
        with ledger_on(url) as ledger:
            ledger.settle(events["paid"], payout(1, USER, "10"))
            ledger.settle(events["declined"], payout(2, USER, "0"))
            ledger.settle(events["again"], payout(1, USER, "10"))
            ledger.settle(events["undone"], cancel(1, USER, "10"))
            ledger.settle(events["lost"], payout(5, USER, "3"))
            ledger.settle(events["others"], payout(7, OTHER, "4"))
            ledger.mark_answered([events[name].event_id for name in ("paid", "declined", "again")])
            ledger.close(events["lost"].event_id, State.EXPIRED, error="=Timed OUT: no answer")
        owner.execute(
            "INSERT INTO receipts (event_id, cashback_id, received_at, credit_cutoff_at, deadline_at, "
            "next_attempt_at) SELECT %s, 6, at, at + interval '25 s', at + interval '30 s', at "
            "FROM (SELECT %s::timestamptz AS at) AS moment",
            (events["waiting"].event_id, events["waiting"].received_at),
        )
        for name in NAMES:
            owner.execute(
                "UPDATE receipts SET user_id = %s, transaction_type = %s WHERE event_id = %s",
                (OTHER if name == "others" else USER, -1 if name == "undone" else 1, events[name].event_id),
            )
        yield url


def names(url: str, *options: str) -> list[str]:
    document = command.run_here("list", "--json", *options, database_url=url).document
    by_id = {str(event.event_id): name for name, event in EVENTS.items()}
    return [by_id[event["event_id"]] for event in document["events"]]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--user", USER], ["waiting", "lost", "undone", "again", "declined", "paid"]),
        (["--user", USER, "--state", "answered"], ["again", "declined", "paid"]),
        (["--user", USER, "--state", "received"], ["waiting"]),
        (["--user", USER, "--code", "200"], ["lost", "undone", "paid"]),
        (["--user", USER, "--code", "103804"], ["again"]),
        (["--user", USER, "--type", "-1"], ["undone"]),
        (["--user", OTHER], ["others"]),
        (["--user", "nobody"], []),
        (["--code", "103801"], ["declined"]),
        (["--code", "103801", "--state", "received"], []),
        (["--code", "103801", "--user", OTHER], []),
        (["--cashback", "1"], ["undone", "again", "paid"]),
        (["--cashback", "1", "--state", "answered"], ["again", "paid"]),
        (["--cashback", "1", "--user", USER, "--code", "103804"], ["again"]),
        (["--unconfirmed", "--user", OTHER], []),
        (["--unconfirmed", "--producer", "edge"], ["lost"]),
        (["--since", "1h", "--producer", "edge"], ["lost"]),
        (["--since", "1h", "--producer", "betcore", "--state", "settled"], ["others", "undone"]),
        (["--state", "expired", "--error", "timed out"], ["lost"]),
        (["--state", "expired", "--error", "%"], []),
    ],
    ids=" ".join,
)
def test_each_filter_finds_what_it_says_newest_first(
    listed_url: str, options: list[str], found: list[str]
) -> None:
    assert names(listed_url, *options) == found


def test_times_bound_what_is_found_from_below_and_from_above(listed_url: str) -> None:
    at = {name: EVENTS[name].received_at.isoformat() for name in NAMES}

    assert names(listed_url, "--since", at["waiting"]) == ["others", "waiting"]
    assert names(listed_url, "--until", at["again"]) == ["declined", "paid"]
    assert names(listed_url, "--older-than", at["again"]) == ["declined", "paid"]
    assert names(listed_url, "--until", at["again"], "--older-than", at["declined"]) == ["paid"]
    assert names(listed_url, "--since", at["declined"], "--until", at["again"]) == ["declined"]
    assert names(listed_url, "--older-than", "30d") == []


def test_pages_of_a_user_follow_each_other_without_gap_or_repetition(listed_url: str) -> None:
    pages: list[str] = []
    after: list[str] = []
    while len(pages) < len(NAMES):
        options = ["--user", USER, "--limit", "2", *after]
        pages += names(listed_url, *options)
        document = command.run_here("list", "--json", *options, database_url=listed_url).document
        if document["next_after"] is None:
            break
        after = ["--after", document["next_after"]]

    assert pages == ["waiting", "lost", "undone", "again", "declined", "paid"]


def test_all_pages_are_one_csv_file(listed_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.cli.commands.events._MAX_EVENTS", 2)

    done = command.run_here("list", "--user", USER, "--csv", "--all", database_url=listed_url)

    assert (done.exit_code, done.stderr) == (0, "")
    rows = list(csv.DictReader(io.StringIO(done.stdout, newline="")))
    assert [UUID(row["event_id"]) for row in rows] == [
        EVENTS[name].event_id for name in ("waiting", "lost", "undone", "again", "declined", "paid")
    ]
    assert rows[1]["last_error"].startswith("'=Timed OUT")
    assert rows[1]["producer"] == "edge"


def test_all_pages_are_lines_of_json(listed_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.cli.commands.events._MAX_EVENTS", 2)

    done = command.run_here("list", "--user", USER, "--json", "--all", database_url=listed_url)

    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(documents) == 6
    for document in documents:
        assert_fits("list", document)


def test_a_page_as_csv_has_a_header_also_where_nothing_was_found(listed_url: str) -> None:
    done = command.run_here("list", "--user", "nobody", "--csv", database_url=listed_url)

    assert done.stdout.startswith("event_id,cashback_id,state,")
    assert done.stdout.count("\n") == 1


def test_the_good_way_writes_to_no_index_of_what_was_declined(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:
        add_user(owner, USER)
        with ledger_on(database_url) as ledger:
            event = new_event(1)
            ledger.settle(event, payout(1, USER, "10"))
            ledger.mark_answered([event.event_id])
            before = _sizes(owner)
            declined = new_event(2)
            ledger.settle(declined, payout(2, USER, "0"))
            ledger.mark_answered([declined.event_id])

        assert before == [_EMPTY_BTREE] * 2
        assert _sizes(owner) > before


def _sizes(connection: psycopg.Connection) -> list[int]:
    query = (
        "SELECT pg_relation_size(oid) FROM pg_class WHERE relname LIKE 'receipts_declined_%' ORDER BY relname"
    )
    return [size for (size,) in connection.execute(query)]
