"""From the events of one request to their copies and results. Decision 43."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from cashback_client.contract import MAX_TOKEN_CHARS, SettleMessage, event_id_of
from producer.copies.event import ReceivedEvent
from producer.protocol.claims import VerifiedToken
from producer.protocol.errors import KeysUnavailable, ProducerError, VerificationError
from producer.receiver.answers import Internal, NoCopyMade, NotReceived
from producer.receiver.events.errors import UNAVAILABLE, EventRefused
from producer.receiver.events.models import EventResult
from producer.receiver.events.reading import event_in
from producer.receiver.events.taking.record import Record
from producer.receiver.events.taking.times import ReceiptTimes
from producer.receiver.events.taking.verifying import MAX_LOOKUPS, Lookups, Turns
from producer.receiver.handler import event_of
from producer.receiver.metrics import RECEIPT
from producer.receiver.two_copies import TwoCopies

LOOKED_AT_ONCE: Final = 100
"""So many events of a request are verified, then looked for on record, then copied."""

_DUPLICATE: Final = "this event is on record: the same token was received before"

_log: Final = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Batch:
    producer: str
    now_ms: int
    results: list[EventResult | None]
    first_of: dict[UUID, int] = field(default_factory=dict)
    twins: list[tuple[int, int]] = field(default_factory=list)
    lookups: int = 0
    copies: list[asyncio.Task[None]] = field(default_factory=list)
    # Whether it still makes sense to try: what is answered has its end.
    record_is_away: bool = False
    stores_are_away: bool = False

    def end(self, place: int, event_id: UUID | None, error: ProducerError) -> None:
        self.results[place] = EventResult(
            event_id=event_id,
            result="unavailable" if isinstance(error, UNAVAILABLE) else "refused",
            reason=error.reason,
            detail=str(error),
        )


@dataclass(frozen=True, slots=True)
class _Unverified:
    place: int
    event_id: UUID
    message: SettleMessage

    @property
    def at(self) -> datetime:
        return self.message.received_at


class Intake:
    """Takes the events of a request; at most `events_in_flight` of all requests are being copied at once.

    Copies have places of their own, so that those of makes wait behind few of them. `on_accepted` hears of
    each event one of whose copies is certain.
    """

    def __init__(  # noqa: PLR0913 - all are named where it is built
        self,
        *,
        lookups: Lookups,
        copies: TwoCopies,
        record: Record,
        times: ReceiptTimes,
        events_in_flight: int,
        on_accepted: Callable[[ReceivedEvent], None],
    ) -> None:
        self._lookups = lookups
        self._copies = copies
        self._record = record
        self._times = times
        self._places = asyncio.Semaphore(events_in_flight)
        self._on_accepted = on_accepted
        self._turns = Turns()

    async def take(self, items: Sequence[object], *, producer: str, now_ms: int) -> list[EventResult]:
        """Return the result of each, in their order. `now_ms` is when the request came in."""
        batch = _Batch(producer, now_ms, [None] * len(items))
        numbered = list(enumerate(items))
        for start in range(0, len(items), LOOKED_AT_ONCE):
            events = await self._verified(batch, numbered[start : start + LOOKED_AT_ONCE])
            await self._start_copies(batch, events)
        await asyncio.gather(*batch.copies)
        for place, first in batch.twins:
            batch.results[place] = _as_its_twin(batch.results[first])
        return [result for result in batch.results if result is not None]

    async def _verified(
        self, batch: _Batch, items: Sequence[tuple[int, object]]
    ) -> list[tuple[int, ReceivedEvent]]:
        events: list[tuple[int, ReceivedEvent]] = []
        to_look_up: list[_Unverified] = []

        def read(numbered: tuple[int, object]) -> None:
            unverified = self._read(batch, *numbered)
            if unverified is None:
                return
            try:
                verified = self._lookups.verify_at_once(unverified.message.token, unverified.at)
                if verified is None:
                    to_look_up.append(unverified)
                else:
                    self._add(batch, events, unverified, verified)
            except (VerificationError, NotReceived) as error:
                batch.end(unverified.place, unverified.event_id, error)

        await self._turns.each(items, read)
        for unverified in to_look_up:
            try:
                if batch.lookups >= MAX_LOOKUPS:
                    raise KeysUnavailable
                batch.lookups += 1
                verified = await self._lookups.look_up(unverified.message.token, unverified.at)
                self._add(batch, events, unverified, verified)
            except (VerificationError, NotReceived) as error:
                if isinstance(error, KeysUnavailable):
                    # The others of this request would wait for the same.
                    batch.lookups = MAX_LOOKUPS
                batch.end(unverified.place, unverified.event_id, error)
        return events

    def _read(self, batch: _Batch, place: int, item: object) -> _Unverified | None:
        try:
            event = event_in(item)
            received_at_ms = self._times.received_at_ms(event.received_at_ms, now_ms=batch.now_ms)
        except EventRefused as error:
            batch.end(place, _id_of(item), error)
            return None
        message = SettleMessage(token=event.token, received_at_ms=received_at_ms)
        return _Unverified(place, message.event_id, message)

    def _add(
        self,
        batch: _Batch,
        events: list[tuple[int, ReceivedEvent]],
        unverified: _Unverified,
        verified: VerifiedToken,
    ) -> None:
        place = unverified.place
        event = event_of(unverified.message, verified, producer=batch.producer)
        first = batch.first_of.setdefault(event.event_id, place)
        if first == place:
            events.append((place, event))
        else:
            batch.twins.append((place, first))

    async def _start_copies(self, batch: _Batch, events: Sequence[tuple[int, ReceivedEvent]]) -> None:
        known = await self._known(batch, [event.event_id for _, event in events])
        for place, event in events:
            if event.event_id in known:
                # Its receipt is committed, and that is enough (invariant 5).
                batch.results[place] = EventResult(
                    event_id=event.event_id, result="duplicate", reason="ok", detail=_DUPLICATE
                )
                continue
            await self._places.acquire()
            batch.copies.append(asyncio.create_task(self._copy(batch, place, event), name="partner event"))

    async def _known(self, batch: _Batch, event_ids: Sequence[UUID]) -> frozenset[UUID]:
        if not event_ids or batch.record_is_away or self._copies.is_away(RECEIPT):
            return frozenset()
        known = await self._record.known(event_ids)
        if known is None:
            batch.record_is_away = True
            return frozenset()
        return known

    async def _copy(self, batch: _Batch, place: int, event: ReceivedEvent) -> None:
        try:
            if batch.stores_are_away or not await self._copies.make(event):
                # Whoever comes after it in this request would wait for as long, one after the other.
                batch.stores_are_away = True
                batch.end(place, event.event_id, NoCopyMade())
                return
            self._on_accepted(event)
            batch.results[place] = EventResult(
                event_id=event.event_id, result="accepted", reason="ok", detail="it will be settled"
            )
        except Exception:  # noqa: BLE001 - logged with its traceback
            _log.exception("partner_event_failed", event_id=str(event.event_id))
            batch.end(place, event.event_id, Internal())
        finally:
            self._places.release()


def _id_of(item: object) -> UUID | None:
    token = item.get("token") if isinstance(item, dict) else None
    return event_id_of(token) if isinstance(token, str) and 0 < len(token) <= MAX_TOKEN_CHARS else None


def _as_its_twin(first: EventResult | None) -> EventResult | None:
    """Return the result of an event that stood in the same request before."""
    if first is None or first.result != "accepted":
        return first
    return first.model_copy(update={"result": "duplicate", "detail": "it stands in this request before"})
