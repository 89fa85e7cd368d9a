"""The HTTP face of what partners hand in and ask. Decision 43."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from math import ceil
from typing import Final
from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.responses import Response

from producer.copies.errors import CopyFailed
from producer.receiver.answers import (
    BacklogTooLong,
    Internal,
    NotReceived,
    Overloaded,
)
from producer.receiver.backlog import Backlog
from producer.receiver.events.admission.backlogs import Backlogs
from producer.receiver.events.admission.keys import Partner, PartnerKeys
from producer.receiver.events.admission.limits import PartnerLimits
from producer.receiver.events.errors import (
    BadKey,
    NotOnRecord,
    QuotaSpent,
    RecordAway,
    RequestRefused,
)
from producer.receiver.events.metrics import NOBODY, PartnerMetrics
from producer.receiver.events.models import (
    MAX_EVENTS,
    MAX_EVENTS_BODY_BYTES,
    EventResults,
    EventShown,
    Problem,
    Why,
)
from producer.receiver.events.reading import events_in
from producer.receiver.events.taking.intake import Intake
from producer.receiver.events.taking.record import Record
from producer.receiver.http.body import read_body
from producer.receiver.http.buckets import Buckets
from producer.receiver.http.clients import Clients
from producer.receiver.http.failures import FailedVerifications
from producer.receiver.pause import IntakePause
from producer.shared.log_tally import LogTally

OK: Final = "ok"
_NO_PLACE: Final = "too many requests of partners are being handled at once; send it again"
_NO_PLACE_OF_ITS_OWN: Final = "too many requests of this producer are being handled at once; send it again"
_TOO_MUCH_WAITS: Final = "the queue is too long for events to be credited in time; send it again"

_log: Final = structlog.get_logger(__name__)


class PartnerEvents:
    """Answers `POST /events` and `GET /events/{event_id}`.

    `now_ms` gives Unix time in milliseconds, `monotonic` seconds.
    """

    def __init__(  # noqa: PLR0913 - all are named where it is built
        self,
        *,
        keys: PartnerKeys,
        intake: Intake,
        record: Record,
        backlog: Backlog,
        backlogs: Backlogs,
        pause: IntakePause,
        metrics: PartnerMetrics,
        clients: Clients,
        failures: FailedVerifications,
        limits: PartnerLimits,
        now_ms: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._intake = intake
        self._record = record
        self._backlog = backlog
        self._backlogs = backlogs
        self._pause = pause
        self._metrics = metrics
        self._clients = clients
        self._failures = failures
        self._limits = limits
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._handed_in = Buckets()
        self._looks = Buckets()
        self._at_once: Counter[str] = Counter()
        self._told = LogTally()

    async def submit(self, request: Request) -> Response:
        """Take the events of a request."""
        return await self._answer(request, self._submitted)

    async def show(self, request: Request) -> Response:
        """Show how an event stands."""
        return await self._answer(request, self._shown)

    async def _answer(
        self, request: Request, work: Callable[[Request, Partner], Awaitable[Response]]
    ) -> Response:
        producer = NOBODY
        try:
            partner = self._partner(request)
            producer = partner.name
            response = await work(request, partner)
        except (RequestRefused, NotReceived) as error:
            self._tell(request, producer, error)
            if isinstance(error, BadKey):
                await self._failures.failed(self._clients.of(request.scope), request.scope, request.receive)
            return _problem(error)
        except Exception:  # noqa: BLE001 - logged with its traceback
            _log.exception("partner_request_failed", reason=Internal.reason)
            self._metrics.request_ended(producer, Internal.reason)
            return _problem(Internal())
        self._metrics.request_ended(producer, OK)
        return response

    def _partner(self, request: Request) -> Partner:
        values = [value for name, value in request.scope["headers"] if name == b"authorization"]
        partner = self._keys.holder_of(values[0]) if len(values) == 1 else None
        if partner is None:
            raise BadKey
        return partner

    def _tell(self, request: Request, producer: str, error: RequestRefused | NotReceived) -> None:
        self._metrics.request_ended(producer, error.reason)
        self._told.tell(
            _log.info,
            "partner_request_refused",
            per=f"{producer} {error.reason}",
            producer=producer,
            # Not in its words, which may be of the body.
            reason=error.reason,
            client=self._clients.of(request.scope).address,
        )

    @contextmanager
    def _place(self, producer: str) -> Iterator[None]:
        """Have one of the places of requests. Raises Overloaded."""
        if self._at_once.total() >= self._limits.requests_at_once:
            raise Overloaded(_NO_PLACE)
        if self._at_once[producer] >= self._limits.requests_of_one:
            raise Overloaded(_NO_PLACE_OF_ITS_OWN)
        self._at_once[producer] += 1
        try:
            yield
        finally:
            self._at_once[producer] -= 1

    async def _submitted(self, request: Request, partner: Partner) -> Response:
        now_ms = self._now_ms()
        self._pause.refuse()
        if self._backlog.is_too_long() or self._backlogs.is_too_long(partner.name):
            raise BacklogTooLong(_TOO_MUCH_WAITS)
        quota = self._limits.quota_of(partner, least_burst=MAX_EVENTS)
        # What cannot be taken need not be read.
        _refuse(self._handed_in.wait_seconds(partner.name, quota, at=self._monotonic()))
        with self._place(partner.name):
            body = await read_body(
                request.scope,
                request.receive,
                timeout_seconds=self._limits.body_timeout_seconds,
                max_bytes=MAX_EVENTS_BODY_BYTES,
            )
            events = events_in(body)
            _refuse(self._handed_in.take(partner.name, quota, tokens=len(events), at=self._monotonic()))
            results = await self._intake.take(events, producer=partner.name, now_ms=now_ms)
        self._metrics.events_answered(partner.name, results)
        return _json(EventResults(events=results))

    async def _shown(self, request: Request, partner: Partner) -> Response:
        quota = self._limits.quota_of(partner, least_burst=1)
        _refuse(self._looks.take(partner.name, quota, at=self._monotonic()))
        try:
            event_id = UUID(request.path_params["event_id"])
        except ValueError:
            raise NotOnRecord("this is no event id: it is a UUID") from None
        try:
            state = await self._record.state(event_id, producer=partner.name)
        except CopyFailed as error:
            raise RecordAway from error
        if state is None:
            raise NotOnRecord
        return _json(EventShown.model_validate(state, from_attributes=True))


def _refuse(wait_seconds: float) -> None:
    if wait_seconds:
        raise QuotaSpent(retry_after_seconds=max(1, ceil(wait_seconds)))


def _json(model: EventResults | EventShown) -> Response:
    return Response(model.model_dump_json(), media_type="application/json")


def _problem(error: RequestRefused | NotReceived) -> Response:
    headers = {}
    if isinstance(error, QuotaSpent) or error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(error.status, error.reason, str(error), headers)


def problem(status: int, reason: str, detail: str, headers: Mapping[str, str]) -> Response:
    """Return the answer to a request that was not taken."""
    content = Problem(error=Why(reason=reason, detail=detail)).model_dump_json()
    return Response(content, status, headers=headers, media_type="application/json")
