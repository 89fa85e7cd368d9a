"""The cheap BETCORE, as ill as it is told to be; it notes acknowledgements and calls for tokens.

`python -m tests.benchmarks.ill.betcore PORT JWKS_FILE`. An accept that was taken and not answered is an open
connection and a few bytes, so that thousands may wait.
"""

import asyncio
import json
import sys
import time
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import uvloop

from deploy.local.simulator.protocol.paths import ACCEPT_PATH, TOKEN_PATH
from tests.benchmarks.betcore import (
    ACKNOWLEDGED,
    NOTHING,
    BetcoreClient,
    Connection,
    Records,
    reply,
    serve,
)

BEHAVIOUR_PATH: Final = "/bench/behaviour"
NOTES_PATH: Final = "/bench/notes"
_ACCEPT: Final = f"POST {ACCEPT_PATH} ".encode()
_TOKEN: Final = f"POST {TOKEN_PATH} ".encode()
_FAILED: Final = reply(b"{}", status=b"500 Internal Server Error")
_UNAUTHORIZED: Final = reply(b'{"ErrorCode":401}', status=b"401 Unauthorized")
_LIFETIME_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How BETCORE is.

    `accept`: *ok*, *hang* (taken and never answered), *slow* (answered after `seconds`), *young* (500 until
    `seconds` after the cashback's first accept), *once* (500 to the cashback's first accept), *401*.
    `token`, its Token endpoint: *ok*, *hang*, *500*. `revokes`: what it gave before is good no more.
    """

    accept: Literal["ok", "hang", "slow", "young", "once", "401"] = "ok"
    seconds: float = 0.0
    token: Literal["ok", "hang", "500"] = "ok"
    revokes: bool = False


WELL: Final = Behaviour()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What has come of it; times are nanoseconds of the machine's monotonic clock.

    `acknowledged` has the CashbackId and the moment of each acknowledgement, flat; `token_calls` the moments
    at which the Token endpoint was asked; `most_open` is how many accepts waited here at once.
    """

    acknowledged: Sequence[int]
    token_calls: Sequence[int]
    most_open: int


class Illness:
    """What all connections share."""

    def __init__(self) -> None:
        self.behaviour = WELL
        self.first_seen: dict[int, float] = {}
        self.acknowledged = array("q")
        self.token_calls = array("q")
        self.open = self.most_open = 0
        self._given = self._revoked = 0

    def behave(self, behaviour: Behaviour) -> None:
        """Be so from now on."""
        self.behaviour = behaviour
        if behaviour.revokes:
            self._revoked = self._given

    def new_bearer(self) -> bytes:
        """Return the reply with a new access token."""
        self._given += 1
        token = {"AccessToken": f"bench-{self._given}", "ExpiresIn": _LIFETIME_SECONDS}
        return reply(json.dumps(token).encode())

    def allows(self, head: bytes) -> bool:
        """Whether a request carries a token that is good."""
        _, _, rest = head.partition(b"Bearer bench-")
        number = rest[: rest.find(b"\r\n")]
        return number.isdigit() and int(number) > self._revoked

    def notes(self) -> Notes:
        """Return what has come so far."""
        return Notes(
            acknowledged=self.acknowledged.tolist(),
            token_calls=self.token_calls.tolist(),
            most_open=self.most_open,
        )


class IllConnection(Connection):
    """One client's connection, with at most one accept under way."""

    def __init__(self, records: Records, key_set: bytes, illness: Illness) -> None:
        super().__init__(records, key_set)
        self._illness = illness
        self._is_open = False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature of asyncio
        """Let go of an accept that nobody waits for any more."""
        self._let_go()

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(_ACCEPT):
            return self._accept(head, self._records.take(body))
        if head.startswith(_TOKEN):
            return self._token()
        if head.startswith(f"POST {BEHAVIOUR_PATH} ".encode()):
            self._illness.behave(Behaviour(**json.loads(body)))
            return NOTHING
        if head.startswith(f"GET {NOTES_PATH} ".encode()):
            return reply(json.dumps(asdict(self._illness.notes())).encode())
        return super()._answer(head, body)

    def _token(self) -> bytes:
        illness = self._illness
        illness.token_calls.append(time.monotonic_ns())
        match illness.behaviour.token:
            case "hang":
                return b""
            case "500":
                return _FAILED
        return illness.new_bearer()

    def _accept(self, head: bytes, cashback_id: int) -> bytes:
        illness, behaviour = self._illness, self._illness.behaviour
        if behaviour.accept == "401" or not illness.allows(head):
            return _UNAUTHORIZED
        now = time.monotonic()
        is_first = cashback_id not in illness.first_seen
        age = now - illness.first_seen.setdefault(cashback_id, now)
        match behaviour.accept:
            case "hang":
                self._hold()
                return b""
            case "slow":
                self._hold()
                asyncio.get_running_loop().call_later(behaviour.seconds, self._acknowledge_late, cashback_id)
                return b""
            case "young" if age < behaviour.seconds:
                return _FAILED
            case "once" if is_first:
                return _FAILED
        return self._acknowledged(cashback_id)

    def _acknowledge_late(self, cashback_id: int) -> None:
        if self._is_open:
            self._let_go()
            self._transport.write(self._acknowledged(cashback_id))

    def _acknowledged(self, cashback_id: int) -> bytes:
        self._illness.acknowledged.extend((cashback_id, time.monotonic_ns()))
        return ACKNOWLEDGED

    def _hold(self) -> None:
        self._is_open = True
        self._illness.open += 1
        self._illness.most_open = max(self._illness.most_open, self._illness.open)

    def _let_go(self) -> None:
        self._illness.open -= self._is_open
        self._is_open = False


class IllBetcore(BetcoreClient):
    """The runner's view of it."""

    def behave(self, behaviour: Behaviour) -> None:
        """Have it be so from now on."""
        self._client.post(BEHAVIOUR_PATH, json=asdict(behaviour)).raise_for_status()

    def notes(self) -> Notes:
        """Return what has come of it."""
        return Notes(**self._client.get(NOTES_PATH).raise_for_status().json())


def main(port: int, key_set: bytes) -> None:
    """Serve until SIGTERM."""
    records, keys, illness = Records(), reply(key_set), Illness()
    uvloop.run(serve(port, lambda: IllConnection(records, keys, illness)))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]).read_bytes())
