"""What a worker has taken off the queues: it stays in Redis, in a hash of its own, until it is let go.

A worker has what it took for as long as it keeps up its lease. Whoever finds that a lease has ended gives the
entries back. Decision 20.
"""

import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from cashback_client.contract import PARTNER_QUEUE_PREFIX, QUEUE
from worker.queue.transport.lease import Lease, LeaseLost
from worker.queue.transport.multi import Command
from worker.queue.transport.script import Script

LEASES: Final = "cashback.leases"
"""Sorted set: the workers, and when the lease of each ends (Unix milliseconds, by the clock of Redis)."""
GONE: Final = "cashback.leases.gone"
RETURNED: Final = "cashback.returned"
"""List: the entries that were given back; every worker asks it as it does a queue."""
HELD: Final = "cashback.held."
LANDING: Final = "cashback.landing."

# More fields in one call than Lua has room for on its stack would fail.
MAX_LET_GO: Final = 1_000
MAX_GIVEN_BACK: Final = 100


def is_partners(queue: str) -> bool:
    """Whether a queue is a partner service's."""
    return queue.startswith(PARTNER_QUEUE_PREFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One entry that was taken: its field in the hash of its worker, and its bytes.

    `deliveries` counts the workers that had it before and are gone.
    """

    field: str
    deliveries: int
    queue: str
    raw: bytes

    @classmethod
    def of(cls, field: str, raw: bytes) -> "Taken":
        """Read the parts of a field: 'number deliveries queue'."""
        _, deliveries, queue = field.split(" ", 2)
        return cls(field=field, deliveries=int(deliveries), queue=queue, raw=raw)


_TAKE: Final = Script("take.lua")
_GIVE_BACK: Final = Script("give_back.lua")
_GIVE_BACK_ONE: Final = Script("give_back_one.lua")


class Holder:
    """The commands by which one worker takes entries and lets go of them; it waits at the first of `queues`.

    Numbers the entries. For one thread. `weights` says how often a queue comes its turn where several have
    something (1 for those that it lacks); what was given back, and the queues of our own, have that of QUEUE.
    """

    def __init__(
        self,
        queues: Sequence[str],
        *,
        lease_seconds: float,
        weights: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.lease = Lease()
        self._waits_at = queues[0]
        self._queues: Sequence[str] = ()
        self._weights = weights
        self._keys: Sequence[str] = ()
        self._shares: Sequence[int] = ()
        self._lease_ms = round(lease_seconds * 1000)
        self._name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}@{self._waits_at}"
        self._next_number = 1
        self._is_new = True
        self.ask(queues)

    @property
    def key(self) -> str:
        """The hash of what it has."""
        return HELD + self._name

    @property
    def _landing(self) -> str:
        return LANDING + self._name

    def ask(self, queues: Sequence[str]) -> None:
        """Take from these queues from now on. Without the one that it waits at the lease ends."""
        if queues == self._queues:
            return
        if self._waits_at not in queues:
            self.lease.end()
        self._queues = queues
        others = [queue for queue in queues if queue != self._waits_at]
        partners = [queue for queue in others if is_partners(queue)]
        own = [queue for queue in others if not is_partners(queue)]
        self._keys = (LEASES, self.key, self._landing, RETURNED, self._waits_at, *own, *partners)
        weights = [self._weights.get(queue, 1) for queue in (QUEUE, *partners)]
        self._shares = (len(partners), *weights)

    def wait(self, timeout_seconds: float) -> Command:
        """Return the command that moves the next entry onto the landing list, once there is one.

        A take must come between two of them.
        """
        return ("BLMOVE", self._waits_at, self._landing, "RIGHT", "LEFT", timeout_seconds)

    def pause(self, timeout_seconds: float) -> Command:
        """Return a command that waits for nothing, where `wait` is refused: BLMOVE may need memory."""
        return ("BLPOP", f"{self._landing}.never", timeout_seconds)

    def landed(self, raw: bytes) -> Taken:
        """Return the entry that BLMOVE brought; the next take is to be told its field."""
        return Taken.of(f"{self._numbers(1)} 0 {self._waits_at}", raw)

    @property
    def is_new(self) -> bool:
        """Whether Redis has not been heard of yet: only a take by which entries come may begin a lease."""
        return self._is_new

    def keep(self, seconds: float) -> Command:
        """Return the command that has the lease last for so long from now on; its reply is a take's."""
        keys = (LEASES, self.key, self._landing, RETURNED, self._waits_at)
        return _TAKE.call(keys, (self._name, round(seconds * 1000), 0, 0, 0, "", 0, 0, 1), is_known=False)

    def take(
        self,
        *,
        room: int,
        partners_room: int | None = None,
        landed: str = "",
        let_go: Sequence[str] = (),
        is_known: bool,
    ) -> Command:
        """Return the command that takes at most `room` entries, notes what landed, and lets go of fields.

        Of partners' entries it takes at most `partners_room` (None: as many as there is room for). It keeps
        up the lease. `let_go`: at most MAX_LET_GO. `is_known`: the server has run the script before.
        """
        of_partners = room if partners_room is None else partners_room
        head = (self._name, self._lease_ms, int(self._is_new), room, self._numbers(room), landed, of_partners)
        return _TAKE.call(self._keys, [*head, *self._shares, *let_go], is_known=is_known)

    def read_taken(self, reply: Sequence[Any], *, sent_at: float) -> list[Taken]:
        """Return what a `take` took that was sent at `sent_at`; raises LeaseLost."""
        if reply[0] < 0:
            self.lease.end()
            raise LeaseLost("Redis has given the worker's entries to others")
        self._is_new = False
        self.lease.extend(sent_at=sent_at, seconds=reply[0] / 1000)
        return [Taken.of(field.decode(), raw) for field, raw in zip(reply[1::2], reply[2::2], strict=True)]

    def let_go(self, fields: Sequence[str]) -> Command:
        """Return the command that lets go of at most MAX_LET_GO entries."""
        return ("HDEL", self.key, *fields)

    def give_back_one(self, taken: Taken) -> Command:
        """Return the command that gives one entry back."""
        head = f"{taken.deliveries} {taken.queue}\n"
        return _GIVE_BACK_ONE.call((self.key, RETURNED), (taken.field, head), is_known=False)

    def give_back(self) -> Command:
        """Return the command that gives back all that it has, see `read_given_back`."""
        return _give_back(self._name)

    def _numbers(self, count: int) -> int:
        first, self._next_number = self._next_number, self._next_number + count
        return first


@dataclass(frozen=True, slots=True)
class GivenBack:
    """How many entries of `owner` went back, and how many it still has; no owner: there was none."""

    owner: str
    entries: int
    left: int


def give_back_of_the_gone() -> Command:
    """Return the command that gives back what a worker has whose lease has ended, see `read_given_back`."""
    return _give_back("")


def read_given_back(reply: Sequence[Any]) -> GivenBack:
    """Return what became of a `give_back`; where entries are left it is to be sent again."""
    owner, entries, left = reply
    return GivenBack(owner.decode(), entries, left)


def _give_back(owner: str) -> Command:
    arguments = (owner, MAX_GIVEN_BACK, HELD, LANDING)
    return _GIVE_BACK.call((LEASES, GONE, RETURNED), arguments, is_known=False)
