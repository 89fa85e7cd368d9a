"""The statement that records receipts, and what stands in it for each event."""

from collections.abc import Sequence
from typing import Final

from cashback_client.contract import OWN_PRODUCER
from producer.copies.event import ReceivedEvent
from producer.protocol.asked import read_asked
from producer.shared.postgres.prepared import (
    PreparedStatement,
    float8,
    int8_array,
    number_array_text,
    text_array,
    uuid_array,
)

_RECORD: Final = "SELECT count(*) FROM record_receipts($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
_RECORD_TYPES: Final = (
    *("uuid[]", "text[]", "int8[]", "int8[]", "float8", "float8", "float8", "text[]"),
    *("text[]", "int4[]", "numeric[]"),
)
_RECORD_TEXTS: Final = (9, 10)


def record_statement() -> PreparedStatement:
    """Return the statement; each connection prepares it once."""
    return PreparedStatement("record_receipts", _RECORD, _RECORD_TYPES, texts=_RECORD_TEXTS)


def record_parameters(events: Sequence[ReceivedEvent], seconds: Sequence[float]) -> list[bytes | None]:
    """Return its parameters; `seconds` are cut-off, deadline and next attempt, counted from receipt."""
    asked = [read_asked(event.data) for event in events]
    return [
        uuid_array([event.event_id for event in events]),
        text_array([event.message.token for event in events]),
        int8_array([event.cashback_id for event in events]),
        int8_array([event.message.received_at_ms for event in events]),
        *(float8(each) for each in seconds),
        _producers(events),
        text_array([each.user_id for each in asked]),
        number_array_text([each.transaction_type for each in asked]),
        number_array_text([each.amount for each in asked]),
    ]


def _producers(events: Sequence[ReceivedEvent]) -> bytes | None:
    # Null where all are our own: nothing is sent and nothing is read then.
    if all(event.producer == OWN_PRODUCER for event in events):
        return None
    return text_array([event.producer for event in events])
