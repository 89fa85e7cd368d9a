"""`cashback tail`: events as they end, each once, until it is told to stop."""

import json
import signal
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from tests.support import command
from tests.support.books import add_user, ledger_on, new_event, payout
from tests.support.output_schemas import assert_fits
from worker.cli.queries.events import live
from worker.cli.queries.events.live import Live, LiveFilter
from worker.domain.settlement import State
from worker.ledger.ledger import Ledger, VerifiedEvent

COLUMNS = 80


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        add_user(connection, "188509")
    with ledger_on(database_url) as ledger:
        yield ledger


def settled(ledger: Ledger, cashback_id: int, *, producer: str | None = None) -> VerifiedEvent:
    event = replace(new_event(cashback_id, age_seconds=cashback_id), producer=producer)
    ledger.settle(event, payout(cashback_id, "188509", "10.50"))
    return event


def ended(ledger: Ledger, cashback_id: int, *, producer: str | None = None) -> VerifiedEvent:
    event = settled(ledger, cashback_id, producer=producer)
    ledger.mark_answered([event.event_id])
    return event


def lines(database_url: str, *options: str) -> list[str]:
    done = command.run_here("tail", "--since", "1h", *options, columns=COLUMNS, database_url=database_url)
    assert (done.exit_code, done.stderr) == (0, "")
    header, *rest = done.stdout.splitlines()
    assert header.split() == ["UTC", "state", "code", "event", "CashbackId"]
    return rest


def test_each_event_that_ended_has_one_line_in_the_order_of_their_ends(
    ledger: Ledger, database_url: str
) -> None:
    events = [ended(ledger, number) for number in (1, 2, 3)]
    lost = settled(ledger, 4)
    ledger.close(lost.event_id, State.EXPIRED, error="no answer " * 20)
    settled(ledger, 5)

    found = lines(database_url, "--count", "4")

    assert [line.split()[1:5] for line in found] == [
        *(["answered", "200", str(event.event_id), str(event.cashback_id)] for event in events),
        ["unconfirmed", "200", str(lost.event_id), "4"],
    ]
    assert max(map(len, found)) <= COLUMNS


def test_it_follows_until_ctrl_c_and_ends_well(ledger: Ledger, database_url: str) -> None:
    before = ended(ledger, 1)
    with command.start("tail", "--since", "1h", "--json", database_url=database_url) as process:
        assert process.stdout is not None
        seen = [json.loads(process.stdout.readline())]
        after = ended(ledger, 2)
        seen.append(json.loads(process.stdout.readline()))
        process.send_signal(signal.SIGINT)
        done = command.finish(process)

    assert [each["event_id"] for each in seen] == [str(before.event_id), str(after.event_id)]
    for each in seen:
        assert_fits("tail", each)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


def test_it_shows_only_what_is_asked_for(ledger: Ledger, database_url: str) -> None:
    ended(ledger, 1)
    edge = ended(ledger, 2, producer="edge")
    lost = settled(ledger, 3)
    ledger.close(lost.event_id, State.REFUSED, error="BETCORE said 103752")
    waiting = settled(ledger, 4)

    def ids(*options: str) -> list[str]:
        return [line.split()[3] for line in lines(database_url, "--for", "0s", *options)]

    assert ids("--producer", "edge") == [str(edge.event_id)]
    assert ids("--unconfirmed") == [str(lost.event_id)]
    assert ids("--state", "refused") == [str(lost.event_id)]
    assert ids("--state", "settled") == [str(waiting.event_id)]
    assert len(ids("--all")) == 4


def test_without_since_it_begins_now(ledger: Ledger, database_url: str) -> None:
    ended(ledger, 1)
    live_events = Live(LiveFilter(), since=None)
    with psycopg.connect(database_url, autocommit=True) as connection:
        first = live_events.look(connection)
        new = ended(ledger, 2)
        second, third = live_events.look(connection), live_events.look(connection)

    assert (first, [event.event_id for event in second], third) == ([], [new.event_id], [])


def test_an_event_has_a_line_for_each_state_that_it_is_seen_in(ledger: Ledger, database_url: str) -> None:
    live_events = Live(LiveFilter(states=tuple(State)), since=None)
    with psycopg.connect(database_url, autocommit=True) as connection:
        live_events.look(connection)
        event = settled(ledger, 1)
        seen = [each.state for each in live_events.look(connection)]
        ledger.mark_answered([event.event_id])
        seen += [each.state for each in live_events.look(connection)]

    assert seen == ["settled", "answered"]


def test_an_end_that_is_committed_later_than_it_is_dated_is_not_missed(
    ledger: Ledger, database_url: str
) -> None:
    event = settled(ledger, 1)
    live_events = Live(LiveFilter(), since=None)
    with psycopg.connect(database_url, autocommit=True) as connection:
        live_events.look(connection)
        with psycopg.connect(database_url) as writer:
            writer.execute("SELECT mark_answered(ARRAY[%s]::uuid[])", (event.event_id,))
            live_events.look(connection)
        seen = live_events.look(connection)

    assert [each.event_id for each in seen] == [event.event_id]


def test_what_may_be_missing_is_said(
    ledger: Ledger, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        ended(ledger, number)
    monkeypatch.setattr(live, "MAX_EVENTS", 2)

    done = command.run_here("tail", "--since", "1h", "--for", "0s", database_url=database_url)

    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr == "Too many events to follow: some may be missing here, see `cashback list`\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--all", "--unconfirmed"], "--all goes with neither --state nor --unconfirmed"),
        (["--for", "soon"], "'soon' is no length of time such as 90s, 30m or 24h"),
        (["--count", "0"], "0 is not in the range"),
    ],
)
def test_wrong_use_ends_with_2(options: list[str], sentence: str) -> None:
    done = command.run_here("tail", *options)

    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in done.stderr
