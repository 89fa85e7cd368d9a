"""A received event: what both of its copies are made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from cashback_client.contract import OWN_PRODUCER, SettleMessage


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """A verified make. What is derived from the message stands here because deriving it costs time.

    `event_id` is the message's, `data` is what its token carries, and `producer` is who handed it in.
    """

    message: SettleMessage
    event_id: UUID
    cashback_id: int
    data: Mapping[str, Any]
    producer: str = OWN_PRODUCER
