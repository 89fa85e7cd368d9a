"""What the claims of a token that BETCORE signed must say: whose it is, and when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from producer.protocol.claims import ClaimRules, VerifiedToken
from producer.protocol.errors import (
    BadClaims,
    DuplicateMember,
    TokenExpired,
    TokenLivesTooLong,
    TokenNotYetValid,
    WrongAudience,
    WrongClient,
    WrongIssuer,
)
from tests.support.betcore import CLIENT_ID, ISSUER, Endpoints, signer
from tests.support.verifiers import AT, NOW, RULES, verifier_of

BETCORE = Endpoints()
BETCORE.publish(signer(1))


def verify(token: str, *, at: datetime = NOW, rules: ClaimRules = RULES) -> VerifiedToken:
    """Verify with the key that signed."""
    return verifier_of(BETCORE, rules=rules).verify(token, at=at)


@pytest.mark.parametrize(
    ("seconds", "error"),
    [
        (-5.001, TokenNotYetValid),
        (-5, None),
        (0, None),
        (14.999, None),
        (15, TokenExpired),
        (1e6, TokenExpired),
    ],
)
def test_the_times_are_checked_against_the_moment_of_receipt_with_leeway(
    seconds: float, error: type[Exception] | None
) -> None:
    token = signer(1).token(at=AT)
    at = datetime.fromtimestamp(AT, tz=UTC) + timedelta(seconds=seconds)

    if error is None:
        assert verify(token, at=at).data
    else:
        with pytest.raises(error):
            verify(token, at=at)


@pytest.mark.parametrize("claim", ["nbf", "exp"])
@pytest.mark.parametrize("value", [None, "1800000000", True, [], {}, -1, 10**400, 253_402_300_800])
def test_a_date_that_is_missing_or_no_date_is_refused(claim: str, value: object) -> None:
    with pytest.raises(BadClaims):
        verify(signer(1).token(at=AT, **{claim: value}), at=NOW)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_date_that_is_no_finite_number_is_refused(number: str) -> None:
    payload = f'{{"nbf": {AT}, "exp": {number}}}'.encode()

    with pytest.raises(BadClaims):
        verify(signer(1).sign(payload), at=NOW)


@pytest.mark.parametrize("payload", [b"null", b"[]", b"1", b'"x"', b"{", b"\xff", b"[" * 9_000])
def test_claims_that_are_no_json_object_are_refused(payload: bytes) -> None:
    with pytest.raises(BadClaims):
        verify(signer(1).sign(payload), at=NOW)


@pytest.mark.parametrize("seconds", [0, -1, -1e9])
def test_a_token_that_ends_before_it_begins_is_refused(seconds: float) -> None:
    with pytest.raises(BadClaims):
        verify(signer(1).token(at=AT, exp=AT + seconds))


@pytest.mark.parametrize(
    ("seconds", "error"),
    [(299, None), (300, None), (300.001, TokenLivesTooLong), (365 * 86_400, TokenLivesTooLong)],
)
def test_a_token_lives_no_longer_than_the_rules_say(seconds: float, error: type[Exception] | None) -> None:
    token = signer(1).token(at=AT, exp=AT + seconds)

    if error is None:
        assert verify(token).data
    else:
        with pytest.raises(error):
            verify(token)
    assert verify(token, rules=replace(RULES, max_life_seconds=1e9)).data


@pytest.mark.parametrize("seconds", [-1e9, 0, 6])
def test_a_token_was_issued_at_any_time_until_its_receipt(seconds: float) -> None:
    assert verify(signer(1).token(at=AT, iat=AT + seconds)).data


@pytest.mark.parametrize("seconds", [6.001, 1e6])
def test_a_token_that_was_issued_after_its_receipt_is_refused(seconds: float) -> None:
    with pytest.raises(TokenNotYetValid):
        verify(signer(1).token(at=AT, iat=AT + seconds))


@pytest.mark.parametrize("value", ["null", f'"{AT}"', "true", "[]", "{}", "-1", "NaN", "1e999"])
def test_an_issue_time_that_is_no_date_is_refused(value: str) -> None:
    payload = f'{{"nbf": {AT}, "exp": {AT + 10}, "iat": {value}}}'

    with pytest.raises(BadClaims):
        verify(signer(1).sign(payload.encode()))


@pytest.mark.parametrize(
    "member",
    [
        '"client_id": "PartnerClient-9999"',
        '"exp": 1900000000',
        '"data": "{}"',
        '"d\\u0061ta": "{}"',
        '"more": {"a": 1, "a": 1}',
        '"more": [{"a": 1, "b": 2, "a": 1}]',
    ],
)
def test_claims_that_name_a_member_twice_are_refused(member: str) -> None:
    payload = f'{{"nbf": {AT}, "exp": {AT + 10}, "client_id": "{CLIENT_ID}", {member}, "data": ""}}'

    with pytest.raises(DuplicateMember):
        verify(signer(1).sign(payload.encode()))


@pytest.mark.parametrize("issuer", ["https://other.test", ISSUER + "/", None, 5])
def test_another_issuer_is_refused_where_one_is_set(issuer: object) -> None:
    token = signer(1).token(at=AT, iss=issuer)

    assert verify(token).data
    with pytest.raises(WrongIssuer):
        verify(token, rules=replace(RULES, issuer=ISSUER))


@pytest.mark.parametrize(
    "client_id", ["PartnerClient-9999", "PartnerClient-155", None, 1556, [CLIENT_ID], ""]
)
def test_a_token_for_another_partner_is_refused(client_id: object) -> None:
    token = signer(1).token(at=AT, client_id=client_id)

    assert verify(token).data
    with pytest.raises(WrongClient):
        verify(token, rules=replace(RULES, client_ids=frozenset({CLIENT_ID, "PartnerClient-7"})))


@pytest.mark.parametrize("client_id", [CLIENT_ID, "PartnerClient-7"])
def test_a_token_for_each_of_our_brands_is_taken(client_id: str) -> None:
    rules = replace(RULES, client_ids=frozenset({CLIENT_ID, "PartnerClient-7"}))

    assert verify(signer(1).token(at=AT, client_id=client_id), rules=rules).client_id == client_id


@pytest.mark.parametrize("audience", [None, "somebody", [], ["somebody"], [["us"]], {"us": 1}, 5, "us too"])
def test_a_token_that_is_not_meant_for_us_is_refused_where_our_name_is_set(audience: object) -> None:
    token = signer(1).token(at=AT, aud=audience)

    assert verify(token).data
    with pytest.raises(WrongAudience):
        verify(token, rules=replace(RULES, audience="us"))


@pytest.mark.parametrize("audience", ["us", ["us"], ["somebody", "us"]])
def test_a_token_that_is_meant_for_us_is_taken(audience: object) -> None:
    assert verify(signer(1).token(at=AT, aud=audience), rules=replace(RULES, audience="us")).data
