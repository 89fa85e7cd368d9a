"""The simulated BETCORE of `make up`: what it is asked for, and that it is one."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

import httpx

from cashback_client.contract import event_id_of_digest
from producer.shared.settings.environment import SettingsError
from worker.errors import WorkerError

SIMULATOR_VARIABLE: Final = "CASHBACK_SIMULATOR_URL"
_SERVICE: Final = "betcore-simulator"
_TIMEOUT_SECONDS: Final = 30.0


class NoSimulator(WorkerError):
    """What answers there is no simulated BETCORE."""

    reason = "no_simulator"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMake:
    """A make that the simulator sent, and the receiver's reply; without one `message` says why.

    `event_id` is that of its token, whether or not the receiver took it.
    """

    make_id: int
    event_id: UUID
    cashback_id: int
    transaction_type: int
    user_id: str
    amount: str
    http_status: int | None
    error_code: int | None
    message: str | None

    @property
    def is_taken(self) -> bool:
        """Whether the receiver has the event."""
        return self.error_code == HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Simulator:
    """A simulated BETCORE that has said that it is one."""

    url: str
    partner_url: str
    _client: httpx.Client

    def send(self, order: Mapping[str, Any]) -> SentMake:
        """Have one make signed and sent to the receiver; raises NoSimulator where that was not done."""
        told = _answer(lambda: self._client.post(f"{self.url}/sim/makes", json=order), self.url)
        reply = told["reply"] if isinstance(told["reply"], dict) else {}
        return SentMake(
            make_id=told["make_id"],
            event_id=event_id_of_digest(bytes.fromhex(told["token_sha256"])),
            cashback_id=order["cashback_id"],
            transaction_type=order["transaction_type"],
            user_id=order["user_id"],
            amount=order["amount"],
            http_status=told["http_status"],
            error_code=reply.get("ErrorCode"),
            message=told["error"] or reply.get("Message"),
        )


@contextmanager
def open_simulator() -> Iterator[Simulator]:
    """Give the simulator that CASHBACK_SIMULATOR_URL names, once it has said that it is one.

    Raises SettingsError without the variable, and NoSimulator for whatever else answers there.
    """
    url = os.environ.get(SIMULATOR_VARIABLE, "").rstrip("/")
    if not url:
        raise SettingsError(
            f'{SIMULATOR_VARIABLE} is not set: run `make up`, and in this shell eval "$(make env)"'
        )
    # No proxy of the environment stands between two programs on one machine.
    with httpx.Client(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
        told = _answer(lambda: client.get(f"{url}/sim"), url)
        if told.get("service") != _SERVICE:
            raise NoSimulator(_refusal(url))
        yield Simulator(url, told["partner_url"], client)


def _answer(call: Callable[[], httpx.Response], url: str) -> dict[str, Any]:
    try:
        response = call()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NoSimulator(
            f"the simulator at {url} cannot be reached, check {SIMULATOR_VARIABLE} and that `make up` runs: "
            f"{type(error).__name__}: {error}"
        ) from error
    try:
        told = response.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise NoSimulator(_refusal(url))
    if response.status_code != HTTPStatus.OK:
        raise NoSimulator(f"the simulator refused: {told.get('message', _refusal(url))}")
    return told


def _refusal(url: str) -> str:
    return (
        f"what answers at {url} is no simulated BETCORE, and nothing was sent: "
        f"{SIMULATOR_VARIABLE} is to name the one of `make up`"
    )
