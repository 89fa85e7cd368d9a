"""The tokens of the simulated BETCORE, read by an independent library."""

import json
from typing import Any, get_args

import jwt
import pytest

from deploy.local.simulator.auth.keys import MAX_KEYS, KeyRing
from deploy.local.simulator.auth.tokens import Tamper, TokenMaker
from deploy.local.simulator.errors import InvalidToken, SimulatorError
from deploy.local.simulator.protocol.make_token import Payment

NOW = 1_700_000_000.7
MAKER = TokenMaker(issuer="https://issuer.example", client_id="PartnerClient-1556", lifetime_seconds=10)
PAYMENT = Payment(cashback_id=480, user_id='a"b', transaction_type=1, amount="10.50")


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def ring(clock: Clock) -> KeyRing:
    return KeyRing(clock)


def token(ring: KeyRing, tamper: Tamper = "none", payment: Payment = PAYMENT) -> str:
    return MAKER.token(payment, key=ring.current, now=NOW, tamper=tamper)


def decoded(ring: KeyRing, text: str) -> dict[str, Any]:
    keys = jwt.PyJWKSet.from_dict(ring.jwks())
    kid = jwt.get_unverified_header(text)["kid"]
    # Its times are of 2023; they are the simulator's own matter here.
    times = {"verify_exp": False, "verify_nbf": False}
    return jwt.decode(text, keys[kid].key, algorithms=["RS256"], options=times)  # type: ignore[arg-type]  # a plain dict


def test_a_token_has_the_sample_s_header_and_claims(ring: KeyRing) -> None:
    text = token(ring)

    header = jwt.get_unverified_header(text)
    assert header == {"alg": "RS256", "kid": ring.current.kid, "typ": "JWT", "x5t": ring.current.x5t}
    assert decoded(ring, text) == {
        "nbf": 1_700_000_000,
        "exp": 1_700_000_010,
        "iss": "https://issuer.example",
        "client_id": "PartnerClient-1556",
        "data": '{"CashbackId": 480, "PartnerUserId": "a\\"b", "TransactionType": 1, "Amount": "10.50"}',
    }


def test_amounts_can_be_numbers_with_every_digit_and_a_tax(ring: KeyRing) -> None:
    payment = Payment(
        cashback_id=480,
        user_id="7",
        transaction_type=-1,
        amount="10.500",
        tax_amount="0.10",
        amount_as="number",
    )

    data = decoded(ring, token(ring, payment=payment))["data"]

    assert '"Amount": 10.500, "TaxAmount": 0.10' in data


def test_data_can_be_any_text(ring: KeyRing) -> None:
    payment = Payment(cashback_id=480, user_id="7", transaction_type=1, amount="1", data_override="no { JSON")

    assert decoded(ring, token(ring, payment=payment))["data"] == "no { JSON"


@pytest.mark.parametrize("tamper", ["signature", "payload", "wrong_key", "alg_none", "hs256"])
def test_a_forged_token_names_a_published_key_and_does_not_verify(ring: KeyRing, tamper: Tamper) -> None:
    text = token(ring, tamper)

    assert jwt.get_unverified_header(text)["kid"] == ring.current.kid
    with pytest.raises(jwt.InvalidTokenError):
        decoded(ring, text)
    with pytest.raises(InvalidToken):
        ring.verify(text)


def test_a_token_of_an_unknown_key_names_one_that_is_not_published(ring: KeyRing) -> None:
    kid = jwt.get_unverified_header(token(ring, "unknown_kid"))["kid"]

    assert len(kid) == 40
    assert kid not in [key["kid"] for key in ring.jwks()["keys"]]


@pytest.mark.parametrize(("tamper", "shift"), [("expired", -3_600), ("not_yet", 3_600)])
def test_a_token_can_be_of_another_time(ring: KeyRing, tamper: Tamper, shift: int) -> None:
    claims = decoded(ring, token(ring, tamper))

    assert (claims["nbf"], claims["exp"]) == (1_700_000_000 + shift, 1_700_000_010 + shift)


@pytest.mark.parametrize(
    ("tamper", "name", "value"),
    [
        ("wrong_issuer", "iss", "https://somebody.else"),
        ("wrong_client", "client_id", "SomebodyElse-1"),
        ("no_data", "data", None),
    ],
)
def test_one_claim_can_be_wrong_under_a_good_signature(
    ring: KeyRing, tamper: Tamper, name: str, value: str | None
) -> None:
    assert decoded(ring, token(ring, tamper)).get(name) == value


def test_the_cashback_id_can_be_left_out(ring: KeyRing) -> None:
    assert "CashbackId" not in json.loads(decoded(ring, token(ring, "no_cashback_id"))["data"])


def test_an_oversized_token_is_longer_than_16_kib(ring: KeyRing) -> None:
    assert len(token(ring, "oversized")) > 16_384


@pytest.mark.parametrize("tamper", ["garbage", "empty"])
def test_what_is_no_token_does_not_verify(ring: KeyRing, tamper: Tamper) -> None:
    with pytest.raises(InvalidToken):
        ring.verify(token(ring, tamper))


def test_every_way_to_spoil_a_token_gives_another_one(ring: KeyRing) -> None:
    ways = get_args(Tamper)

    assert len({token(ring, way) for way in ways}) == len(ways)


def test_no_more_keys_are_published_at_once_than_the_limit(clock: Clock) -> None:
    ring = KeyRing(clock)
    for _ in range(MAX_KEYS - 1):
        ring.rotate(old_key_seconds=60)

    with pytest.raises(SimulatorError, match="16 keys"):
        ring.rotate(old_key_seconds=60)
    clock.now += 61
    ring.rotate(old_key_seconds=0)

    assert [key["kid"] for key in ring.jwks()["keys"]] == [ring.current.kid]
    clock.now = NOW
