"""What takes the copies of an event, as those see it who use it."""

from collections.abc import Awaitable
from typing import Protocol

from producer.copies.event import ReceivedEvent
from producer.copies.group_commit import OnEnd


class ReceiptStore(Protocol):
    """What records receipts; `Receipts` does."""

    def record(self, event: ReceivedEvent, on_end: OnEnd, /) -> None:
        """Record that an event was received; tell `on_end` how that ended."""

    def check(self, *, timeout_seconds: float) -> Awaitable[None]:
        """Return if a receipt could be recorded; raise CopyFailed if not."""


class MessageStore(Protocol):
    """What takes messages; `Publisher` does."""

    def publish(self, event: ReceivedEvent, on_end: OnEnd, /) -> None:
        """Put an event's message onto the queue; tell `on_end` how that ended."""

    def check(self, *, timeout_seconds: float) -> Awaitable[None]:
        """Return if a message could be published; raise CopyFailed if not."""
