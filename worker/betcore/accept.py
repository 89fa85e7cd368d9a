"""The accept call, and what BETCORE's replies to it mean (BETCORE, cashback accept)."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final, Protocol

from cashback_client.contract import ErrorCode
from producer.shared.outgoing import Caller, CallFailed, Reply
from worker.betcore.accept_body import Oddity, read_code
from worker.betcore.retry_after import retry_after_seconds
from worker.domain.deadline import Deadline
from worker.errors import BearerUnavailable

ACCEPT_PATH: Final = "/mis-api/api/v2/cashback-payments/accept"
MAX_REPLY_BYTES: Final = 65_536

_HEADERS: Final = {
    "User-Agent": "cashback-worker",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
}


class Verdict(StrEnum):
    """What BETCORE's answer means for the event."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    PASSING = "passing"


@dataclass(frozen=True, slots=True)
class AcceptReply:
    """What came of an accept; `detail` says it in a few words, for logs and the receipt.

    `was_answered`: an HTTP answer came, and `detail` begins with its status.
    `retry_after_seconds`: how long BETCORE asks to wait.
    """

    verdict: Verdict
    detail: str
    oddity: Oddity | None = None
    was_answered: bool = True
    retry_after_seconds: float = 0.0


class BearerSource(Protocol):
    """Where access tokens come from; for the event loop, which none of its methods holds up."""

    async def bearer(self, deadline: Deadline) -> str:
        """Return a token that is thought to be good; raises BearerUnavailable."""
        ...

    def rejected(self, bearer: str) -> bool:
        """Take note that BETCORE rejected this token; True if asking again may give another one."""
        ...

    def close(self) -> None:
        """Stop asking for tokens; may be called from any thread."""
        ...


class AcceptClient:
    """Sends accept answers; an accept that waits for its answer holds no thread. For one event loop."""

    def __init__(self, caller: Caller, *, base_url: str, bearers: BearerSource) -> None:
        self._caller = caller
        self._url = base_url + ACCEPT_PATH
        self._bearers = bearers

    async def send(self, body: bytes, deadline: Deadline, sent: Callable[[], None]) -> AcceptReply:
        """Make one attempt, which ends by `deadline` (monotonic); never raises for what the network does.

        A 401 renews the access token and sends once more at once. `sent` is called for each accept that goes.
        """
        try:
            bearer = await self._bearers.bearer(deadline)
        except BearerUnavailable as error:
            return not_answered(f"{error.reason}: {error}")
        try:
            reply = await self._post(body, bearer, deadline, sent)
            if reply.status == HTTPStatus.UNAUTHORIZED and self._bearers.rejected(bearer):
                reply = await self._post(body, await self._bearers.bearer(deadline), deadline, sent)
        except CallFailed as error:
            return not_answered(str(error))
        except BearerUnavailable as error:
            return AcceptReply(Verdict.PASSING, f"HTTP {reply.status}, and {error.reason}: {error}")
        asked = retry_after_seconds(reply.status, reply.retry_after, now=time.time())
        return read_accept_reply(reply.status, reply.content, retry_after_seconds=asked)

    async def close(self) -> None:
        """Close all connections."""
        await self._caller.close()

    async def _post(self, body: bytes, bearer: str, deadline: Deadline, sent: Callable[[], None]) -> Reply:
        sent()
        return await self._caller.post(
            self._url,
            headers={**_HEADERS, "Authorization": f"Bearer {bearer}"},
            content=body,
            timeout_seconds=deadline.remaining_seconds(time.monotonic()),
            max_bytes=MAX_REPLY_BYTES,
        )


def not_answered(detail: str) -> AcceptReply:
    """Return what an accept came to that got no answer."""
    return AcceptReply(Verdict.PASSING, detail, was_answered=False)


def read_accept_reply(status: int, content: bytes, *, retry_after_seconds: float = 0.0) -> AcceptReply:
    """Read BETCORE's answer. Only its own envelope with 200 or 103752 settles anything."""
    code, oddity = read_code(content)
    if code is None:
        detail = f"HTTP {status} without BETCORE's envelope"
        return AcceptReply(Verdict.PASSING, detail, retry_after_seconds=retry_after_seconds)
    detail = f"HTTP {status}, ErrorCode {code}"
    if code == ErrorCode.SUCCESS and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return AcceptReply(Verdict.ACKNOWLEDGED, detail, oddity)
    if code == ErrorCode.INCORRECT_REQUEST_PARAMETERS and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return AcceptReply(Verdict.REFUSED, detail, oddity)
    return AcceptReply(Verdict.PASSING, detail, oddity, retry_after_seconds=retry_after_seconds)
