"""Which of the published keys are taken: sound RSA keys for verifying RS256, and no others."""

import math

import pytest

from deploy.local.simulator.protocol.jose import b64url
from producer.protocol.jwks import MAX_KEYS
from producer.protocol.keys import KeySet
from tests.support.betcore import Endpoints, signer
from tests.support.key_sets import Clock, key_set

WEAK_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)


@pytest.fixture
def keys(betcore: Endpoints) -> KeySet:
    return key_set(betcore, clock=Clock())


@pytest.mark.parametrize(
    "overrides",
    [
        {"kty": "EC"},
        {"kty": None},
        {"use": "enc"},
        {"use": ["sig"]},
        {"key_ops": ["sign"]},
        {"key_ops": []},
        {"key_ops": ["encrypt", "Verify"]},
        {"key_ops": "verify"},
        {"key_ops": {"verify": True}},
        {"alg": "RS512"},
        {"alg": "HS256"},
        {"kid": None},
        {"kid": ""},
        {"kid": 7},
        {"kid": "k" * 257},
        {"n": None},
        {"n": "AQAB"},
        {"n": 5},
        {"n": "!!!"},
        {"n": "A" * 100_000},
        {"e": None},
        {"e": "AA"},
        {"e": "AQ"},
        {"e": "Aw"},
        {"e": "EQ"},
        {"e": "AP__"},
        {"e": "AQAA"},
        {"e": "AQAC"},
        {"e": "A" * 1_000},
        {"e": [1]},
    ],
)
def test_a_key_that_is_not_for_rs256_signatures_is_left_out(
    keys: KeySet, betcore: Endpoints, overrides: dict[str, object]
) -> None:
    betcore.publish_members(signer(2).jwk(**overrides), signer(1).jwk())

    keys.fetch()

    assert keys.get(signer(1).kid) is not None
    assert keys.get(signer(2).kid) is None


def test_a_key_with_an_even_modulus_is_left_out(keys: KeySet, betcore: Endpoints) -> None:
    modulus = signer(2).private_key.public_key().public_numbers().n + 1
    even = b64url(modulus.to_bytes((modulus.bit_length() + 7) // 8))
    betcore.publish_members(signer(2).jwk(n=even), signer(1).jwk())

    keys.fetch()

    assert keys.get(signer(1).kid) is not None
    assert keys.get(signer(2).kid) is None


def test_a_key_that_can_be_told_from_its_modulus_is_left_out(keys: KeySet, betcore: Endpoints) -> None:
    # Modulo each small prime a power of 65537, as in moduli of the library that CVE-2017-15361 is about.
    product = math.prod(WEAK_PRIMES)
    modulus = 1 + 2 * product * (2**2047 // product)
    betcore.publish_members(signer(2).jwk(n=b64url(modulus.to_bytes(256))), signer(1).jwk())

    keys.fetch()

    assert modulus.bit_length() == 2048
    assert keys.get(signer(1).kid) is not None
    assert keys.get(signer(2).kid) is None


@pytest.mark.parametrize("operations", [["verify"], ["sign", "verify"]])
def test_a_key_that_is_for_verifying_is_taken(
    keys: KeySet, betcore: Endpoints, operations: list[str]
) -> None:
    betcore.publish_members(signer(2).jwk(use=None, key_ops=operations))

    keys.fetch()

    assert keys.get(signer(2).kid) is not None


def test_a_key_of_less_than_2048_bits_is_left_out(keys: KeySet, betcore: Endpoints) -> None:
    betcore.publish(signer(3, bits=1024), signer(1))

    keys.fetch()

    assert keys.get(signer(3).kid) is None


def test_use_and_alg_may_be_absent(keys: KeySet, betcore: Endpoints) -> None:
    betcore.publish_members(signer(2).jwk(use=None, alg=None))

    keys.fetch()

    assert keys.get(signer(2).kid) is not None


def test_no_more_keys_are_taken_than_the_limit(keys: KeySet, betcore: Endpoints) -> None:
    betcore.publish_members(*(signer(1).jwk(kid=f"key-{number}") for number in range(MAX_KEYS + 1)))

    keys.fetch()

    assert keys.get(f"key-{MAX_KEYS - 1}") is not None
    assert keys.get(f"key-{MAX_KEYS}") is None
