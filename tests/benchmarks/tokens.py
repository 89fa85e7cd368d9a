"""BETCORE's make tokens for benchmarks: signed beforehand and kept on disk, as signing is slow."""

import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from deploy.local.simulator.protocol.jose import new_private_key, rsa_jwk, signed_token
from deploy.local.simulator.protocol.make_token import Payment, make_claims, make_header
from deploy.local.simulator.settings import DEFAULT_CLIENT_ID, DEFAULT_ISSUER

USERS: Final = 10_000
AMOUNT: Final = "10.50"
AMOUNT_MINOR: Final = 1_050
KID: Final = "BE0C4B45D2A2A5C9BE0C4B45D2A2A5C9BE0C4B45"
CHUNK: Final = 2_000
# Signed once, used by runs of many days; BETCORE's own live for seconds.
LIFETIME_SECONDS: Final = 90 * 86_400
_REUSE_SECONDS: Final = 60 * 86_400
_KEY_NAME: Final = "key.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Who the payouts go to: user by turns, or every other one to a single user."""

    has_favourite: bool = False

    def user_of(self, cashback_id: int) -> str:
        """Return the user of a cashback."""
        if self.has_favourite and cashback_id % 2 == 0:
            return "u-0"
        # A step that is prime to USERS: neighbours in time are no neighbours in the accounts' table.
        return f"u-{cashback_id * 7_919 % USERS}"


EVERYBODY: Final = Crowd()
FAVOURITE: Final = Crowd(has_favourite=True)


class TokenStore:
    """A key and the tokens that it signed, under `directory`; a key that is too old is made anew."""

    def __init__(self, directory: Path, *, now: float | None = None) -> None:
        self._directory = directory
        self._now = time.time() if now is None else now
        directory.mkdir(parents=True, exist_ok=True)
        self._clear_if_old()
        self._key_path = directory / _KEY_NAME
        if not self._key_path.exists():
            key = new_private_key()
            self._key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def key_set(self) -> bytes:
        """Return the JSON Web Key Set that publishes the key."""
        return json.dumps({"keys": [rsa_jwk(_load_key(self._key_path).public_key(), kid=KID)]}).encode()

    def tokens(self, count: int, *, first_cashback_id: int, crowd: Crowd = EVERYBODY) -> list[str]:
        """Return the tokens of `count` payouts with consecutive ids; new ones are signed first."""
        last = first_cashback_id + count - 1
        chunks = range(first_cashback_id // CHUNK, last // CHUNK + 1)
        paths = {chunk: self._path(chunk, crowd) for chunk in chunks}
        missing = [chunk for chunk, path in paths.items() if not path.exists()]
        if missing:
            with ProcessPoolExecutor() as pool:
                work = [
                    pool.submit(_sign_chunk, self._key_path, chunk, crowd, paths[chunk]) for chunk in missing
                ]
                for done in work:
                    done.result()
        lines = [line for path in paths.values() for line in path.read_text("ascii").splitlines()]
        begin = first_cashback_id - chunks[0] * CHUNK
        return lines[begin : begin + count]

    def _path(self, chunk: int, crowd: Crowd) -> Path:
        return self._directory / f"{'favourite' if crowd.has_favourite else 'everybody'}-{chunk}.txt"

    def _clear_if_old(self) -> None:
        key_path = self._directory / _KEY_NAME
        if key_path.exists() and self._now - key_path.stat().st_mtime > _REUSE_SECONDS:
            for path in [*self._directory.glob("*.txt"), key_path]:
                path.unlink()


def _load_key(path: Path) -> rsa.RSAPrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"{path} holds no RSA key")
    return key


def _sign_chunk(key_path: Path, chunk: int, crowd: Crowd, path: Path) -> None:
    key = _load_key(key_path)
    header = make_header(kid=KID, x5t=KID[:27])
    begun = int(key_path.stat().st_mtime) - 60
    lines = []
    for cashback_id in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        payment = Payment(
            cashback_id=cashback_id, user_id=crowd.user_of(cashback_id), transaction_type=1, amount=AMOUNT
        )
        claims = make_claims(
            nbf=begun,
            exp=begun + LIFETIME_SECONDS,
            issuer=DEFAULT_ISSUER,
            client_id=DEFAULT_CLIENT_ID,
            data=payment.as_data(),
        )
        lines.append(signed_token(header, json.dumps(claims).encode(), key=key))
    # All or nothing: a run that is stopped here must not leave half a chunk for the next one.
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text("\n".join(lines) + "\n", "ascii")
    unfinished.rename(path)
