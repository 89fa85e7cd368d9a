"""What is submitted of what was given, as a pure value."""

import json
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cashback_client.contract import MAX_TOKEN_CHARS, event_id_of
from cashback_client.envelope import EntryWriter
from cashback_client.submission import MAX_TOKENS, Submission, taken
from cashback_client.summary import is_summary, summary_of
from producer.protocol.compact import is_token_shaped

DATA = '{"CashbackId": 480, "PartnerUserId": "188509", "TransactionType": 1, "Amount": 10.5}'
NOW_MS = 1_800_000_000_123


def token_of(payload: bytes) -> str:
    return f"eyJ.{urlsafe_b64encode(payload).decode().rstrip('=') or 'x'}.sig"


def summary_in(token: str) -> str:
    [entry] = Submission([token], now_ms=NOW_MS).entries(EntryWriter(origin="o", sender="s"))
    summary = json.loads(entry)["headers"]["kwargsrepr"]
    assert isinstance(summary, str)
    return summary


def test_the_summary_is_of_what_the_token_says() -> None:
    token = token_of(json.dumps({"data": DATA}).encode())

    assert summary_in(token) == "CashbackId=480 type=1 amount=10.5 user=18***09"


@pytest.mark.parametrize(
    "payload",
    [b"", b"x", b"[]", b"1", b"{}", b'{"data": 5}', b'{"data": "[]"}', b"\xff\xfe", b"[" * 9_000, b'"' * 300],
    ids=lambda payload: repr(payload[:12]),
)
def test_where_the_claims_cannot_be_read_the_summary_says_nothing(payload: bytes) -> None:
    assert summary_in(token_of(payload)) == summary_of({})


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_a_token_holds_its_entry_is_written(payload: bytes) -> None:
    assert is_summary(summary_in(token_of(payload)))


TEXTS = st.text(max_size=40) | st.from_regex(r"\A[\w.-]{1,12}\.[\w-]{1,8}\.[\w=-]{0,8}\n?\Z")


@given(TEXTS)
def test_what_is_sent_is_what_the_receiver_takes_for_a_token(text: str) -> None:
    assert bool(Submission([text], now_ms=NOW_MS).messages) == is_token_shaped(text)


def test_a_token_that_is_too_long_is_refused() -> None:
    good = "a" * (MAX_TOKEN_CHARS - 4) + ".b.c"
    submission = Submission([good, f"{good}c"], now_ms=NOW_MS)

    assert [message.token for message in submission.messages] == [good]
    assert [outcome.result for outcome in submission.outcomes()] == ["accepted", "refused"]


def test_each_has_the_time_it_was_given_with_or_that_of_now() -> None:
    submission = Submission([("a.b.c", 5), "a.b.d"], now_ms=NOW_MS)

    assert [message.received_at_ms for message in submission.messages] == [5, NOW_MS]


@pytest.mark.parametrize("received_at_ms", [-1, 2**60, True, 1.5])
def test_what_is_no_time_is_refused_with_words_and_without_the_token(received_at_ms: int) -> None:
    submission = Submission([("a.b.c", received_at_ms)], now_ms=NOW_MS)

    [outcome] = submission.outcomes()
    assert (outcome.result, outcome.reason, outcome.event_id) == (
        "refused",
        "bad_message",
        event_id_of("a.b.c"),
    )
    assert "milliseconds" in outcome.detail
    assert "a.b.c" not in outcome.detail


def test_more_than_a_call_takes_is_an_error_before_anything_is_sent() -> None:
    assert len(taken(iter(["a.b.c"] * MAX_TOKENS))) == MAX_TOKENS
    with pytest.raises(ValueError, match="1,000 tokens at most"):
        taken(str(number) for number in range(10**9))


@pytest.mark.parametrize(
    "wrong", [b"a.b.c", None, (), ("a.b.c",), ("a.b.c", "5"), ("a.b.c", 5, 5), (5, "a.b.c"), ["a.b.c", 5]]
)
def test_what_is_no_token_at_all_is_an_error_of_the_program(wrong: object) -> None:
    with pytest.raises(TypeError, match="a token is a text"):
        taken(["a.b.c", wrong])  # type: ignore[list-item] # that is the point


def test_one_text_is_not_taken_for_many() -> None:
    with pytest.raises(TypeError, match="a list"):
        taken("a.b.c")
