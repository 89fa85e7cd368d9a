"""The verifier with BETCORE's keys: what BETCORE did not sign, or not for this moment, never passes."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import example, given
from hypothesis import strategies as st

from cashback_client.contract import MAX_TOKEN_CHARS
from deploy.local.simulator.protocol.jose import b64url, rs256
from producer.protocol.compact import is_token_shaped, read_compact
from producer.protocol.errors import (
    BadSignature,
    DuplicateMember,
    KeysUnavailable,
    LookupNeeded,
    NotAToken,
    TooManyUnknownKeys,
    UnknownKey,
    UnsupportedToken,
    VerificationError,
)
from producer.protocol.verifier import Verifier
from tests.support.betcore import CLIENT_ID, ISSUER, Endpoints, cashback, signer
from tests.support.verifiers import AT, NOW, verifier_of

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
HEADER = json.dumps({"alg": "RS256", "kid": "1"}).encode()
GOOD = json.dumps({"nbf": AT, "exp": AT + 10, "data": "{}"}).encode()


@pytest.fixture
def verifier(betcore: Endpoints) -> Verifier:
    return verifier_of(betcore)


def test_a_token_that_betcore_signed_gives_its_claims(verifier: Verifier) -> None:
    verified = verifier.verify(signer(1).token(at=AT, data='{"CashbackId": 1}'), at=NOW)

    assert verified.issuer == ISSUER
    assert verified.client_id == CLIENT_ID
    assert verified.not_before == datetime.fromtimestamp(AT, tz=UTC)
    assert verified.expires_at == datetime.fromtimestamp(AT + 10, tz=UTC)
    assert verified.data == '{"CashbackId": 1}'


def test_every_changed_character_of_a_token_is_noticed(verifier: Verifier) -> None:
    token = signer(1).token(at=AT)

    for index, character in enumerate(token):
        changed = token[:index] + ("A" if character != "A" else "B") + token[index + 1 :]
        with pytest.raises(VerificationError):
            verifier.verify(changed, at=NOW)


def test_every_shortened_token_is_refused(verifier: Verifier) -> None:
    token = signer(1).token(at=AT)

    for length in range(len(token)):
        with pytest.raises(VerificationError):
            verifier.verify(token[:length], at=NOW)


def test_an_event_has_one_spelling_only(verifier: Verifier) -> None:
    # The last character of a 256-byte signature carries four bits that decoding drops.
    token = signer(1).token(at=AT)
    sibling = token[:-1] + ALPHABET[ALPHABET.index(token[-1]) ^ 1]

    with pytest.raises(NotAToken):
        verifier.verify(sibling, at=NOW)


@pytest.mark.parametrize("count", range(1, 10))
def test_of_all_spellings_of_some_bytes_the_canonical_one_is_read(count: int) -> None:
    payload = b64url(bytes(range(count)))

    for last in ALPHABET:
        token = f"{b64url(HEADER)}.{payload[:-1]}{last}.{b64url(b'x')}"
        if b64url(decoded := urlsafe_b64decode(f"{payload[:-1]}{last}===")) == payload[:-1] + last:
            assert read_compact(token).payload == decoded
        else:
            with pytest.raises(NotAToken):
                read_compact(token)


def test_a_signature_by_another_key_under_a_known_name_is_refused(verifier: Verifier) -> None:
    forged = signer(2).sign(b'{"nbf": 1800000000, "exp": 1800000010}', kid=signer(1).kid)

    with pytest.raises(BadSignature):
        verifier.verify(forged, at=NOW)


def test_a_token_signed_with_the_public_key_as_hmac_secret_is_refused(verifier: Verifier) -> None:
    pem = (
        signer(1)
        .private_key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    _, payload, _ = signer(1).token(at=AT).split(".")
    head = b64url(json.dumps({"alg": "HS256", "typ": "JWT", "kid": signer(1).kid}).encode())
    tag = b64url(hmac.new(pem, f"{head}.{payload}".encode(), hashlib.sha256).digest())

    with pytest.raises(UnsupportedToken):
        verifier.verify(f"{head}.{payload}.{tag}", at=NOW)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "HS256"},
        {"alg": "RS512"},
        {"alg": "PS256"},
        {"alg": "rs256"},
        {"alg": None},
        {"alg": ["RS256"]},
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False, "crit": ["b64"]},
        {"kid": None},
        {"kid": 1},
        {"kid": {}},
        {"typ": "at+jwt"},
        {"typ": "JWS"},
        {"typ": ""},
        {"typ": ["JWT"]},
    ],
)
def test_a_header_that_is_not_betcores_way_is_refused_even_if_signed(
    verifier: Verifier, header: dict[str, object]
) -> None:
    token = signer(1).sign(json.dumps({"nbf": AT, "exp": AT + 10}).encode(), **header)

    with pytest.raises(UnsupportedToken):
        verifier.verify(token, at=NOW)


def with_header(header: str, payload: bytes) -> str:
    """Return a token that is signed with a header of these very characters."""
    text = f"{b64url(header.encode())}.{b64url(payload)}"
    return f"{text}.{b64url(rs256(signer(1).private_key, text.encode()))}"


@pytest.mark.parametrize("typ", ['"typ": "JWT", ', '"typ": "jwt", ', ""])
def test_the_type_is_jwt_in_whatever_case_or_absent(verifier: Verifier, typ: str) -> None:
    token = with_header(f'{{{typ}"alg": "RS256", "kid": "{signer(1).kid}"}}', GOOD)

    assert verifier.verify(token, at=NOW).data == "{}"


def test_a_type_that_is_null_is_no_type(verifier: Verifier) -> None:
    token = with_header(f'{{"typ": null, "alg": "RS256", "kid": "{signer(1).kid}"}}', GOOD)

    with pytest.raises(UnsupportedToken):
        verifier.verify(token, at=NOW)


@pytest.mark.parametrize(
    "member", ['"alg": "none"', '"kid": "other"', '"x": 1, "x": 1', '"k\\u0069d": "other"']
)
def test_a_header_that_names_a_member_twice_is_refused(verifier: Verifier, member: str) -> None:
    token = with_header(f'{{{member}, "alg": "RS256", "kid": "{signer(1).kid}"}}', GOOD)

    with pytest.raises(DuplicateMember):
        verifier.verify(token, at=NOW)


def test_an_unsigned_token_is_no_token(verifier: Verifier) -> None:
    head = b64url(b'{"alg": "none"}')

    with pytest.raises(NotAToken):
        verifier.verify(f"{head}.{b64url(b'{}')}.", at=NOW)


def test_a_token_longer_than_any_is_no_token(verifier: Verifier) -> None:
    with pytest.raises(NotAToken):
        verifier.verify(f"a.b.{'c' * MAX_TOKEN_CHARS}", at=NOW)


def test_the_check_that_must_not_block_asks_nobody(betcore: Endpoints, verifier: Verifier) -> None:
    with pytest.raises(LookupNeeded):
        verifier.verify_with_known_keys(signer(2).token(at=AT), at=NOW)

    assert betcore.fetches == 1
    assert verifier.verify_with_known_keys(signer(1).token(at=AT), at=NOW).data


def test_what_a_lookup_would_not_change_is_refused_without_one(
    betcore: Endpoints, verifier: Verifier
) -> None:
    with pytest.raises(UnknownKey):
        verifier.verify(signer(2).token(at=AT), at=NOW)

    with pytest.raises(UnknownKey):
        verifier.verify_with_known_keys(signer(2).token(at=AT), at=NOW)
    # Too soon to know, so not refused for good.
    with pytest.raises(TooManyUnknownKeys):
        verifier.verify_with_known_keys(signer(3).token(at=AT), at=NOW)
    assert betcore.fetches == 2


def test_a_new_key_is_fetched_and_its_token_verified(betcore: Endpoints, verifier: Verifier) -> None:
    betcore.publish(signer(2))

    assert verifier.verify(signer(2).token(at=AT), at=NOW).client_id == CLIENT_ID
    assert betcore.fetches == 2


def test_a_key_that_betcore_does_not_publish_is_unknown_also_the_second_time(
    betcore: Endpoints, verifier: Verifier
) -> None:
    for _ in range(2):
        with pytest.raises(UnknownKey):
            verifier.verify(signer(2).token(at=AT), at=NOW)
    assert betcore.fetches == 2


def test_a_key_that_may_not_be_looked_up_yet_is_not_called_unknown(
    betcore: Endpoints, verifier: Verifier
) -> None:
    with pytest.raises(UnknownKey):
        verifier.verify(signer(2).token(at=AT), at=NOW)
    betcore.publish(signer(1), signer(3))

    with pytest.raises(KeysUnavailable):
        verifier.verify(signer(3).token(at=AT), at=NOW)


def test_without_any_key_nothing_can_be_said(betcore: Endpoints) -> None:
    betcore.keys = (503, b"")

    with pytest.raises(KeysUnavailable):
        verifier_of(betcore, fetched=False).verify(signer(1).token(at=AT), at=NOW)


def test_with_keys_that_are_too_old_nothing_can_be_said(betcore: Endpoints) -> None:
    moments = [0.0]
    verifier = verifier_of(betcore, clock=lambda: moments[0])
    betcore.keys = (503, b"")
    moments[0] = 86_400 + 30

    for token in (signer(1).token(at=AT), signer(2).token(at=AT)):
        with pytest.raises(KeysUnavailable):
            verifier.verify(token, at=NOW)


SHARED = Endpoints()
SHARED.publish(signer(1))


@given(
    st.one_of(
        st.text(),
        st.builds(
            "{}.{}.{}".format,
            *[st.one_of(st.text(), st.binary().map(b64url), st.just(b64url(b'{"alg":"RS256","kid":"1"}')))]
            * 3,
        ),
    )
)
@example("a.b.c")
@example("..")
@example(f"{b64url(b'[]')}.a.b")
def test_no_junk_is_ever_verified_and_none_breaks_the_verifier(junk: str) -> None:
    verifier = verifier_of(SHARED)

    with pytest.raises(VerificationError):
        verifier.verify(junk, at=NOW)


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)
)
def test_whatever_json_the_data_claim_holds_is_handed_on_as_it_is(value: object) -> None:
    payload = json.dumps({"nbf": AT, "exp": AT + 10, "data": value})

    verified = verifier_of(SHARED).verify(signer(1).sign(payload.encode()), at=NOW)

    assert repr(verified.data) == repr(json.loads(payload)["data"])


def test_the_shape_of_a_token_is_three_parts_of_base64url() -> None:
    assert is_token_shaped(signer(1).token(at=AT, data=cashback()))
    for text in ("", "a", "a.b", "a.b.c.d", "a..c", "a.b.c\n", " a.b.c", "a.b.ç", "a.b.c=", "a+.b.c"):
        assert not is_token_shaped(text), text
