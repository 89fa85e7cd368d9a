"""How the Token endpoint's reply is read, of which not even the field names are published."""

import json

import pytest

from worker.betcore.token_endpoint import AccessToken, read_token_reply
from worker.errors import BearerUnavailable

ASKED_AT = 1_000.0
DEFAULT_SECONDS = 300.0
LONGEST_SECONDS = 86_400.0


@pytest.mark.parametrize(
    "reply",
    [
        {"AccessToken": "abc", "ExpiresIn": 60},
        {"access_token": "abc", "expires_in": 60},
        {"Token": "abc", "ExpiresIn": "60"},
        {"token": "abc", "expires_in": 60.0},
        {"ErrorCode": 200, "Message": "Success", "Value": {"AccessToken": "abc", "ExpiresIn": 60}},
        {"Value": {"Token": "abc"}, "ExpiresIn": 60},
        {"Value": "unrelated", "AccessToken": "abc", "ExpiresIn": 60},
        {"AccessToken": None, "Token": "abc", "ExpiresIn": 60},
    ],
    ids=json.dumps,
)
def test_the_token_is_found_under_any_of_its_names(reply: dict[str, object]) -> None:
    assert read_token_reply(json.dumps(reply).encode(), asked_at=ASKED_AT) == AccessToken(
        "abc", 1_000.0, 1_060.0
    )


@pytest.mark.parametrize(
    ("lifetime", "seconds"),
    [
        ("null", DEFAULT_SECONDS),
        ("0", DEFAULT_SECONDS),
        ("-5", DEFAULT_SECONDS),
        ('"soon"', DEFAULT_SECONDS),
        ("true", DEFAULT_SECONDS),
        ("[]", DEFAULT_SECONDS),
        ("NaN", DEFAULT_SECONDS),
        ('"nan"', DEFAULT_SECONDS),
        ("1" + "0" * 400, DEFAULT_SECONDS),
        ("1e999", LONGEST_SECONDS),
        ("86401", LONGEST_SECONDS),
        ("0.5", 0.5),
    ],
)
def test_a_lifetime_that_makes_no_sense_is_a_short_one_and_a_long_one_is_cut(
    lifetime: str, seconds: float
) -> None:
    reply = f'{{"AccessToken": "abc", "ExpiresIn": {lifetime}}}'.encode()

    assert read_token_reply(reply, asked_at=ASKED_AT).expires_at == ASKED_AT + seconds


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"<html>",
        b"\xff",
        b"[]",
        b'"abc"',
        b"{}",
        b"null",
        b'{"AccessToken": ""}',
        b'{"AccessToken": 5}',
        b'{"AccessToken": "two words"}',
        b'{"AccessToken": "line\\r\\nX-Evil: 1"}',
        '{"AccessToken": "é"}'.encode(),
        b'{"ErrorCode": 102823, "Message": "no", "Value": null}',
        b"[" * 100_000,
    ],
)
def test_a_reply_without_a_usable_token_is_unavailable(reply: bytes) -> None:
    with pytest.raises(BearerUnavailable):
        read_token_reply(reply, asked_at=ASKED_AT)


def test_a_token_wants_renewal_for_the_last_fifth_of_its_life_and_is_good_to_its_end() -> None:
    token = AccessToken("abc", 1_000.0, 1_100.0)

    assert [token.wants_renewal(at) for at in (1_079.9, 1_080.1, 1_101.0)] == [False, True, True]
    assert [token.is_good(at) for at in (1_080.1, 1_099.9, 1_100.0)] == [True, True, False]
