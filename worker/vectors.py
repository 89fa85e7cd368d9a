"""Published vectors are held against this, a JSON object a line: `python -m worker.vectors jws` or `data`.

`jws`: `{"jwk": {…}, "jws": "…"}`, a key and a token in compact form; the answer says whether a make would
be believed by this signature. `data`: `{"base64": "…"}`, the bytes of a token's `data`; the answer says which
event they are. Each line is answered by one: `{"valid": true}`, with the event where it is one, or
`{"valid": false, "reason": "…"}`. Nothing is fetched, recorded or credited.
"""

import argparse
import json
import sys
from base64 import b64decode
from collections.abc import Callable
from typing import Any, Final

from cashback_client.contract import DataError, cashback_id_of, read_data
from producer.protocol.compact import read_compact
from producer.protocol.errors import VerificationError
from producer.protocol.jwks import KeySetUnreadable, parse_keys
from producer.protocol.verifier import check_signature
from worker.domain.settlement import read_instruction
from worker.settings import WorkerSettings

_CANCEL_TYPES: Final[frozenset[int]] = WorkerSettings.model_fields["cancel_types"].default


def check_jws(jwk: dict[str, Any], jws: str) -> str | None:
    """Return why a token in compact form is not signed by this key; None where it is.

    A key without a `kid` stands for the one that the token names.
    """
    try:
        token = read_compact(jws)
        key = parse_keys(json.dumps({"keys": [{"kid": token.kid, **jwk}]}).encode()).get(token.kid)
        if key is None:
            return "unknown_key"
        check_signature(token, key)
    except (VerificationError, KeySetUnreadable) as error:
        return error.reason
    return None


def read_event(data: bytes) -> dict[str, Any]:
    """Return the event that the bytes of `data` are, as text; raises DataError with why they are none."""
    try:
        members = read_data(data.decode())
    except UnicodeDecodeError:
        raise DataError("data is no UTF-8") from None
    cashback_id = cashback_id_of(members)
    if cashback_id is None:
        raise DataError("without a CashbackId nothing can be answered")
    instruction = read_instruction(members, cashback_id=cashback_id, cancel_types=_CANCEL_TYPES)
    return {
        "cashback_id": cashback_id,
        "kind": None if instruction.kind is None else str(instruction.kind),
        "transaction_type": instruction.transaction_type,
        "user_id": instruction.user_id,
        "amount": None if instruction.amount is None else str(instruction.amount),
        "tax": None if instruction.tax is None else str(instruction.tax),
    }


def _answer_jws(vector: dict[str, Any]) -> dict[str, Any]:
    reason = check_jws(vector["jwk"], vector["jws"])
    return {"valid": True} if reason is None else {"valid": False, "reason": reason}


def _answer_data(vector: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"valid": True, "event": read_event(b64decode(vector["base64"]))}
    except DataError as error:
        return {"valid": False, "reason": str(error)}


_ANSWERS: Final[dict[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "jws": _answer_jws,
    "data": _answer_data,
}


def main() -> None:
    """Answer each line of standard input."""
    parser = argparse.ArgumentParser(prog="python -m worker.vectors", description=__doc__)
    parser.add_argument("kind", choices=_ANSWERS)
    answer = _ANSWERS[parser.parse_args().kind]
    for number, line in enumerate(sys.stdin, start=1):
        try:
            said = answer(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            parser.error(f"line {number} is no vector: {type(error).__name__}: {error}")
        sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
