"""The entry point for published vectors, with a handful of our own making."""

import json
import subprocess
import sys
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest

from deploy.local.environment import ROOT
from tests.support.betcore import cashback, signer
from worker.vectors import check_jws, read_event

PAYLOAD = b'{"data": "x"}'


def jws(**header: object) -> str:
    """Return a token that key 1 signed."""
    return signer(1).sign(PAYLOAD, **header)


def tampered() -> str:
    head, _, signature = jws().split(".")
    other = b64encode(b"{}").decode().rstrip("=")
    return f"{head}.{other}.{signature}"


@pytest.mark.parametrize("without", [None, "kid", "use", "alg"])
def test_a_good_signature_is_valid_whatever_the_key_leaves_out(without: str | None) -> None:
    jwk = {name: value for name, value in signer(1).jwk().items() if name != without}

    assert check_jws(jwk, jws()) is None


@pytest.mark.parametrize(
    ("jwk", "token", "reason"),
    [
        ({}, "a.b", "no_token"),
        ({}, tampered(), "bad_signature"),
        ({}, jws(alg="none"), "unsupported_token"),
        ({}, jws(alg="HS256"), "unsupported_token"),
        ({}, jws(crit=["b64"]), "unsupported_token"),
        ({}, jws(typ="JWE"), "unsupported_token"),
        ({"kid": "another"}, jws(), "unknown_key"),
        ({"use": "enc"}, jws(), "keys_unreadable"),
        ({"key_ops": ["sign"]}, jws(), "keys_unreadable"),
        ({"alg": "PS256"}, jws(), "keys_unreadable"),
        ({"e": "Aw"}, jws(), "keys_unreadable"),
        ({"n": "AQAB"}, jws(), "keys_unreadable"),
        ({"kty": "oct", "k": "AQAB"}, jws(), "keys_unreadable"),
    ],
    ids=[
        *(
            "two parts",
            "another payload",
            "no algorithm",
            "a shared secret",
            "a critical header",
            "another type",
        ),
        *(
            "another key",
            "a key for secrecy",
            "a key that only signs",
            "another algorithm",
            "a small exponent",
        ),
        *("a small modulus", "no RSA"),
    ],
)
def test_what_is_not_signed_by_the_key_says_why(jwk: dict[str, Any], token: str, reason: str) -> None:
    assert check_jws(signer(1).jwk() | jwk, token) == reason


def test_a_key_that_the_token_brings_along_is_not_looked_at() -> None:
    forger = signer(2)
    forged = replace(forger, kid=signer(1).kid).sign(
        PAYLOAD, jwk=forger.jwk(), jku="https://forger.test/keys", x5u="https://forger.test/keys.pem"
    )

    assert check_jws(signer(1).jwk(), forged) == "bad_signature"


def test_the_bytes_of_data_become_an_event() -> None:
    event = read_event(json.dumps(cashback(7, Amount="1.50")).encode())

    assert (event["cashback_id"], event["kind"], event["amount"]) == (7, "payout", "1.50")


def test_each_line_is_answered_by_one() -> None:
    lines: dict[str, list[dict[str, object]]] = {
        "jws": [{"jwk": signer(1).jwk(), "jws": jws()}, {"jwk": signer(1).jwk(), "jws": tampered()}],
        "data": [
            {"base64": b64encode(b'{"CashbackId": 0}').decode()},
            {"base64": b64encode(b"\xff").decode()},
        ],
    }
    said = {
        kind: subprocess.run(
            [sys.executable, "-m", "worker.vectors", kind],
            input="\n".join(json.dumps(vector) for vector in vectors),
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        ).stdout.splitlines()
        for kind, vectors in lines.items()
    }

    assert [json.loads(line) for line in said["jws"]] == [
        {"valid": True},
        {"valid": False, "reason": "bad_signature"},
    ]
    assert [json.loads(line)["reason"] for line in said["data"]] == [
        "without a CashbackId nothing can be answered",
        "data is no UTF-8",
    ]
