"""The accept call, and what BETCORE's replies to it mean (BETCORE, cashback accept)."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final, Protocol

from cashback_client.contract import ErrorCode
from producer.shared.outgoing import Caller, CallFailed
from worker.betcore.accept_body import Oddity, read_envelope
from worker.betcore.retry_after import retry_after_seconds
from worker.domain.deadline import Deadline
from worker.errors import BearerUnavailable

ACCEPT_PATH: Final = "/mis-api/api/v2/cashback-payments/accept"
MAX_REPLY_BYTES: Final = 65_536
# A JSON Web Token, or as much of one as there is: its header begins with {" in base64url.
_TOKEN: Final = re.compile(r"eyJ[\w-]*(?:\.[\w-]*)*", re.ASCII)

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

    `was_answered`: an HTTP answer came, and `detail` begins with its status. `status`, `code` (its ErrorCode)
    and `said` (its Message, or all of an answer that is none of BETCORE's) are those of that answer.
    `retry_after_seconds`: how long BETCORE asks to wait.
    """

    verdict: Verdict
    detail: str
    oddity: Oddity | None = None
    was_answered: bool = True
    retry_after_seconds: float = 0.0
    status: int | None = None
    code: int | None = None
    said: str = ""


Sent = Callable[[], Callable[[AcceptReply], None]]
"""Called for each accept as it leaves; what it returns is called with what came of that one."""


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

    async def send(self, body: bytes, deadline: Deadline, sent: Sent) -> AcceptReply:
        """Make one attempt, which ends by `deadline` (monotonic); never raises for what the network does.

        A 401 renews the access token and sends once more at once.
        """
        try:
            bearer = await self._bearers.bearer(deadline)
        except BearerUnavailable as error:
            return not_answered(f"{error.reason}: {error}")
        reply = await self._post(body, bearer, deadline, sent)
        if reply.status != HTTPStatus.UNAUTHORIZED or not self._bearers.rejected(bearer):
            return reply
        try:
            bearer = await self._bearers.bearer(deadline)
        except BearerUnavailable as error:
            return AcceptReply(Verdict.PASSING, f"HTTP {reply.status}, and {error.reason}: {error}")
        return await self._post(body, bearer, deadline, sent)

    async def close(self) -> None:
        """Close all connections."""
        await self._caller.close()

    async def _post(self, body: bytes, bearer: str, deadline: Deadline, sent: Sent) -> AcceptReply:
        ended = sent()
        try:
            answer = await self._caller.post(
                self._url,
                headers={**_HEADERS, "Authorization": f"Bearer {bearer}"},
                content=body,
                timeout_seconds=deadline.remaining_seconds(time.monotonic()),
                max_bytes=MAX_REPLY_BYTES,
            )
        except CallFailed as error:
            reply = not_answered(str(error))
        else:
            asked = retry_after_seconds(answer.status, answer.retry_after, now=time.time())
            reply = read_accept_reply(answer.status, answer.content, retry_after_seconds=asked, bearer=bearer)
        ended(reply)
        return reply


def not_answered(detail: str) -> AcceptReply:
    """Return what an accept came to that got no answer."""
    return AcceptReply(Verdict.PASSING, detail, was_answered=False)


def read_accept_reply(
    status: int, content: bytes, *, retry_after_seconds: float = 0.0, bearer: str | None = None
) -> AcceptReply:
    """Read BETCORE's answer. Only its own envelope with 200 or 103752 settles anything.

    `bearer` is the access token that it may repeat.
    """
    envelope = read_envelope(content)
    code = envelope.code
    if code is None:
        return AcceptReply(
            Verdict.PASSING,
            f"HTTP {status} without BETCORE's envelope",
            retry_after_seconds=retry_after_seconds,
            status=status,
            said=_without_secrets(content.decode(errors="replace"), bearer),
        )
    verdict = _verdict_of(status, code)
    return AcceptReply(
        verdict,
        f"HTTP {status}, ErrorCode {code}",
        envelope.oddity,
        retry_after_seconds=retry_after_seconds if verdict is Verdict.PASSING else 0.0,
        status=status,
        code=code,
        said=_without_secrets(envelope.message or "", bearer),
    )


def _verdict_of(status: int, code: int) -> Verdict:
    if code == ErrorCode.SUCCESS and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Verdict.ACKNOWLEDGED
    if code == ErrorCode.INCORRECT_REQUEST_PARAMETERS and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Verdict.REFUSED
    return Verdict.PASSING


def _without_secrets(said: str, bearer: str | None) -> str:
    """Return what was said without tokens, which an answer may repeat from its request."""
    if bearer:
        said = said.replace(bearer, "***")
    return _TOKEN.sub("***", said) if "eyJ" in said else said
