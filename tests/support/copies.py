"""Servers of copies that do as a test says, without a socket, and makes that keep their own time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from cashback_client.contract import OWN_PRODUCER, SettleMessage
from producer.copies.errors import CopyFailed, CopyTimedOut
from producer.copies.event import ReceivedEvent
from producer.copies.group_commit import GroupCommit, Member, OnEnd

TIMEOUT_SECONDS = 2.0


def event(number: int, *, received_at_ms: int = 0, producer: str = OWN_PRODUCER) -> ReceivedEvent:
    """Return an event of its own for each number."""
    message = SettleMessage(token=f"head.payload.{number}", received_at_ms=received_at_ms)
    return ReceivedEvent(message, message.event_id, number, {"CashbackId": number}, producer)


@dataclass
class Store:
    """Takes copies in groups, as the real ones do, while `is_there`; silent where it is not, or else refuses.

    `takes_seconds` is how long it takes for a group, `spoilt` are CashbackIds whose copies it never takes.
    """

    is_there: bool = True
    refuses: CopyFailed | None = None
    takes_seconds: float = 0.001
    spoilt: frozenset[int] = frozenset()
    groups: list[list[int]] = field(default_factory=list)
    taken: list[ReceivedEvent] = field(default_factory=list)
    checks: int = 0

    def __post_init__(self) -> None:
        self._groups: GroupCommit[ReceivedEvent] = GroupCommit(
            self._serve,
            what="The server",
            at_once=2,
            max_size=100,
            max_waiting=1000,
            timeout_seconds=TIMEOUT_SECONDS,
        )

    @property
    def numbers(self) -> list[int]:
        """The CashbackIds of what it has taken."""
        return [each.cashback_id for each in self.taken]

    def copy(self, event: ReceivedEvent, on_end: OnEnd) -> None:
        """Take one copy."""
        self._groups.join(event, on_end)

    record = publish = copy

    async def check(self, *, timeout_seconds: float) -> None:
        """Answer, if it is there."""
        self.checks += 1
        if not self.is_there:
            await asyncio.sleep(timeout_seconds)
            raise CopyTimedOut("The server did not answer in time")

    async def _serve(self, group: Sequence[Member[ReceivedEvent]]) -> None:
        self.groups.append([member.item.cashback_id for member in group])
        if self.refuses:
            raise self.refuses
        if not self.is_there:
            # Cut by the client, as a connection is that nobody answers on.
            until = max(member.until for member in group)
            await asyncio.sleep(until - asyncio.get_running_loop().time())
            raise CopyTimedOut("The server did not answer in time")
        await asyncio.sleep(self.takes_seconds)
        for member in group:
            if member.item.cashback_id in self.spoilt:
                member.end(CopyFailed("The server cannot store it"))
            else:
                self.taken.append(member.item)
                member.end()
