"""The accept call, and what BETCORE's replies to it mean (BETCORE, cashback accept)."""

from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final, Protocol

import httpx

from producer.client.contract import ErrorCode
from producer.protocol.reply import ReplyUnreadable, read_bounded
from worker.betcore.accept_body import Oddity, read_code
from worker.betcore.slots import Slots
from worker.domain.deadline import Deadline
from worker.errors import BearerUnavailable
from worker.time_limit import ends_by

ACCEPT_PATH: Final = "/mis-api/api/v2/cashback-payments/accept"
MAX_REPLY_BYTES: Final = 65_536

_HEADERS: Final = (
    (b"User-Agent", b"cashback-worker"),
    (b"Accept", b"application/json"),
    (b"Accept-Encoding", b"identity"),
    (b"Content-Type", b"application/json"),
)


class Verdict(StrEnum):
    """What BETCORE's answer means for the event."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    PASSING = "passing"


@dataclass(frozen=True, slots=True)
class AcceptReply:
    """BETCORE's answer; `detail` says in a few words what came, for logs and the receipt."""

    verdict: Verdict
    detail: str
    oddity: Oddity | None = None


class BearerSource(Protocol):
    """Where access tokens come from."""

    def bearer(self, deadline: Deadline) -> str:
        """Return a token that is thought to be good; raises BearerUnavailable."""
        ...

    def rejected(self, bearer: str) -> bool:
        """Take note that BETCORE rejected this token; True if asking again may give another one."""
        ...


class AcceptClient:
    """Sends accept answers over kept-alive connections; safe for use by many threads.

    It asks the transport, not a client: an accept has no redirect, no cookie and no login of httpx's, and
    what looks for them costs as much as the rest of the call.
    """

    def __init__(
        self,
        transport: httpx.BaseTransport,
        *,
        base_url: str,
        bearers: BearerSource,
        slots: Slots,
    ) -> None:
        self._transport = transport
        self._url = httpx.URL(base_url + ACCEPT_PATH)
        self._bearers = bearers
        self._slots = slots

    def send(self, body: bytes, deadline: Deadline) -> AcceptReply:
        """Make one attempt, which ends before `deadline`; never raises for what the network does.

        A 401 renews the access token and sends once more at once. Where no slot becomes free, nothing is
        sent: the caller's thread is needed for fresh credits.
        """
        with self._slots.take(deadline) as has_slot, ends_by(deadline):
            if not has_slot:
                return AcceptReply(Verdict.PASSING, "not sent: too many accepts wait for BETCORE")
            return self._attempt(body, deadline)

    def _attempt(self, body: bytes, deadline: Deadline) -> AcceptReply:
        try:
            bearer = self._bearers.bearer(deadline)
            status, content = self._post(body, bearer)
            if status == HTTPStatus.UNAUTHORIZED and self._bearers.rejected(bearer):
                status, content = self._post(body, self._bearers.bearer(deadline))
        except BearerUnavailable as error:
            return AcceptReply(Verdict.PASSING, f"{error.reason}: {error}")
        except httpx.HTTPError as error:
            return AcceptReply(Verdict.PASSING, f"{type(error).__name__}: {error}")
        return read_accept_reply(status, content)

    def _post(self, body: bytes, bearer: str) -> tuple[int, bytes]:
        # In the order and the spelling in which they are sent; httpx adds Host and Content-Length.
        headers = [*_HEADERS, (b"Authorization", b"Bearer " + bearer.encode("ascii"))]
        request = httpx.Request("POST", self._url, content=body, headers=headers)
        with closing(self._transport.handle_request(request)) as response:
            try:
                return response.status_code, read_bounded(response, max_bytes=MAX_REPLY_BYTES)
            except ReplyUnreadable:
                # A reply without end is no envelope of BETCORE's, and neither is an empty one.
                return response.status_code, b""


def read_accept_reply(status: int, content: bytes) -> AcceptReply:
    """Read BETCORE's answer. Only its own envelope with 200 or 103752 settles anything."""
    code, oddity = read_code(content)
    if code is None:
        return AcceptReply(Verdict.PASSING, f"HTTP {status} without BETCORE's envelope")
    detail = f"HTTP {status}, ErrorCode {code}"
    if code == ErrorCode.SUCCESS and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return AcceptReply(Verdict.ACKNOWLEDGED, detail, oddity)
    if code == ErrorCode.INCORRECT_REQUEST_PARAMETERS and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return AcceptReply(Verdict.REFUSED, detail, oddity)
    return AcceptReply(Verdict.PASSING, detail, oddity)
