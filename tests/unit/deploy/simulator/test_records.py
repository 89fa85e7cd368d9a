"""Which make an accept can answer, by the simulated BETCORE's log."""

import pytest

from deploy.local.simulator.errors import LogFull, UnknownMake
from deploy.local.simulator.records import Log, MakeRecord


def add(
    log: Log, *, transaction_type: int = 1, first_sent_at_ms: int = 1_000, http_status: int | None = 200
) -> None:
    record = MakeRecord(
        make_id=log.next_make_id(),
        cashback_id=480,
        user_id="7",
        transaction_type=transaction_type,
        amount="10",
        tax_amount=None,
        tamper="none",
        body_shape="raw",
        same_token_as=None,
        token_sha256="",
        token="secret",
        sent_at_ms=first_sent_at_ms,
        first_sent_at_ms=first_sent_at_ms,
        http_status=http_status,
    )
    log.add_make(record)


@pytest.fixture
def log() -> Log:
    return Log(limit=3)


def test_an_accept_has_the_time_of_the_youngest_token(log: Log) -> None:
    add(log, first_sent_at_ms=5_000)
    add(log, first_sent_at_ms=1_000)

    assert log.answerable_since_ms(480, 1) == ((480, 1), 5_000)


def test_an_accept_answers_makes_of_its_own_type_alone(log: Log) -> None:
    add(log, transaction_type=-1)

    assert log.answerable_since_ms(480, 1) is None
    assert log.answerable_since_ms(481, -1) is None
    assert log.answerable_since_ms(480, -1) == ((480, -1), 1_000)


def test_an_accept_without_a_type_answers_any_make_of_its_cashback(log: Log) -> None:
    add(log, transaction_type=-1)

    assert log.answerable_since_ms(480, None) == ((480, -1), 1_000)


@pytest.mark.parametrize(
    ("http_status", "answerable"), [(401, False), (413, False), (503, True), (None, True)]
)
def test_a_make_that_was_turned_away_has_no_accept(
    log: Log, http_status: int | None, *, answerable: bool
) -> None:
    add(log, http_status=http_status)

    assert (log.answerable_since_ms(480, 1) is not None) is answerable


def test_the_log_is_bounded_and_says_so(log: Log) -> None:
    for _ in range(3):
        add(log)
        log.open_accept(received_at_ms=0, raw_body="")

    with pytest.raises(LogFull, match="limit of 3 makes"):
        log.next_make_id()
    with pytest.raises(LogFull, match="limit of 3 accepts"):
        log.open_accept(received_at_ms=0, raw_body="")
    assert log.as_json()["accepts_unlogged"] == 1


def test_the_log_shows_no_tokens_and_only_what_is_new(log: Log) -> None:
    add(log)
    add(log)

    shown = log.as_json(makes_after=1)

    assert [make["make_id"] for make in shown["makes"]] == [2]
    assert shown["makes_total"] == 2
    assert "secret" not in str(shown)


@pytest.mark.parametrize("make_id", [0, -1, 2])
def test_a_make_that_does_not_exist_is_unknown(log: Log, make_id: int) -> None:
    add(log)

    with pytest.raises(UnknownMake):
        log.make(make_id)
