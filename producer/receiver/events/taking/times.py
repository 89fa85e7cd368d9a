"""When an event was received, as its sender says: bounded on both sides. Pure."""

from dataclasses import dataclass
from typing import Final

from producer.receiver.events.errors import ReceivedAhead, TooLate

# The units in which whole numbers below these are a moment of our days; milliseconds are right.
_UNITS: Final = ((10**11, "seconds"), (10**14, ""), (10**17, "microseconds"), (10**20, "nanoseconds"))
_LEAST_SECONDS: Final = 10**8


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptTimes:
    """How far what a sender says may lie from our clock, in milliseconds.

    `ahead_ms` is the clock skew that tokens are allowed, `deadline_ms` BETCORE's time from receipt.
    """

    ahead_ms: int
    deadline_ms: int

    def received_at_ms(self, said_ms: int | None, *, now_ms: int) -> int:
        """Return the moment of receipt, which is never ahead of now; raises ReceivedAhead or TooLate."""
        if said_ms is None:
            return now_ms
        if said_ms > now_ms + self.ahead_ms:
            ahead = f"received_at_ms lies {said_ms - now_ms} ms ahead of the receiver's clock"
            raise ReceivedAhead(_looks_like(said_ms) or f"{ahead}: set the sender's by NTP")
        if said_ms <= now_ms - self.deadline_ms:
            late = f"received_at_ms lies {now_ms - said_ms} ms back"
            raise TooLate(_looks_like(said_ms) or f"{late}, and BETCORE waits for {self.deadline_ms} ms")
        return min(said_ms, now_ms)


def _looks_like(said_ms: int) -> str:
    if said_ms < _LEAST_SECONDS:
        return ""
    unit = next((unit for below, unit in _UNITS if said_ms < below), "")
    return f"received_at_ms looks like {unit}: it counts milliseconds" if unit else ""
