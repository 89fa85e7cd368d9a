"""A received event: what both of its copies are made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from producer.client.contract import DataError, SettleMessage, cashback_id_of, read_data
from producer.protocol.verifier import VerifiedToken
from producer.receiver.answers import DataUnreadable, NoCashbackId


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """A verified make. What is derived from the message stands here because deriving it costs time.

    `event_id` is the message's, and `data` is what its token carries.
    """

    message: SettleMessage
    event_id: UUID
    cashback_id: int
    data: Mapping[str, Any]


def received_event(message: SettleMessage, verified: VerifiedToken) -> ReceivedEvent:
    """Return the event of a verified make; raise DataUnreadable or NoCashbackId where it carries none."""
    try:
        data = read_data(verified.data)
    except DataError as error:
        raise DataUnreadable(str(error)) from error
    cashback_id = cashback_id_of(data)
    if cashback_id is None:
        raise NoCashbackId
    return ReceivedEvent(message, message.event_id, cashback_id, data)
