"""What a partner hands in over HTTP: the body of many events, and each of them."""

import json
from typing import Final

from cashback_client.contract import MAX_TOKEN_CHARS
from producer.receiver.events.errors import EventRefused, RequestRefused
from producer.receiver.events.models import MAX_EVENTS
from producer.receiver.events.reading import event_in, events_in
from producer.receiver.events.taking.times import ReceiptTimes
from tests.fuzz.samples import TOKEN
from tests.fuzz.target import NOTHING, Target, demand_named, unambiguous

_NOW_MS: Final = 1_795_386_237_585
_TIMES: Final = ReceiptTimes(ahead_ms=5_000, deadline_ms=30_000)


def check_events(data: bytes) -> None:
    """Demand that each event of a body is read as it stands there, or refused by itself."""
    try:
        items = events_in(data)
    except RequestRefused as error:
        demand_named(error)
        return
    assert 1 <= len(items) <= MAX_EVENTS
    document = unambiguous(data)
    if document is not NOTHING:
        assert len(document["events"]) == len(items)
    for place, item in enumerate(items):
        try:
            event = event_in(item)
            received_at_ms = _TIMES.received_at_ms(event.received_at_ms, now_ms=_NOW_MS)
        except EventRefused as error:
            demand_named(error)
            continue
        assert 0 < len(event.token) <= MAX_TOKEN_CHARS
        assert _NOW_MS - 30_000 < received_at_ms <= _NOW_MS
        if document is not NOTHING:
            said = document["events"][place]
            assert said["token"] == event.token
            assert set(said) <= {"token", "received_at_ms"}


_EVENT: Final = {"token": TOKEN, "received_at_ms": _NOW_MS - 1_000}

TARGETS: Final = (
    Target(
        name="partner-events",
        check=check_events,
        seeds=(
            json.dumps({"events": [_EVENT]}).encode(),
            json.dumps({"events": [_EVENT, {"token": "a.b.c"}, 1, None, {}, [], "a.b.c"]}).encode(),
            b'{"events": [{"token": "a.b.c", "token": "d.e.f", "received_at_ms": 1795386237}]}',
            b'{"events": [{"token": "\\ud800", "received_at_ms": NaN}]}',
            b'{"events": ' + b"[" * 300,
        ),
        words=(
            b'"events":',
            b'"token":',
            b'"received_at_ms":',
            b"[",
            b"]",
            b"{",
            b"}",
            b",",
            b"1e400",
            b"\xff",
        ),
        names=("events", "token", "received_at_ms", "producer"),
    ),
)
