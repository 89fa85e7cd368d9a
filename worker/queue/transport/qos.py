"""What a channel has in hand: kombu's window over it, and Redis' hash behind it.

Decisions 13 and 20.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from kombu.transport import redis as redis_transport
from redis.exceptions import ResponseError

from worker.queue.entry import QueueEntry
from worker.queue.transport.held import (
    MAX_LET_GO,
    Holder,
    give_back_of_the_gone,
    is_partners,
    read_given_back,
)
from worker.queue.transport.lease import LeaseLost, seconds_running
from worker.queue.transport.multi import Command, RedisMulti

_log = structlog.get_logger(__name__)

# Less is not worth the round trips; what waits in the worker meanwhile keeps its threads busy.
_WORTH_TAKING: Final = 4
# What partners' messages may have of the window: beyond it they wait in Redis, so that what our own receiver
# took finds room and threads, whatever lies there. What only waits for BETCORE's answer does not count.
PARTNERS_SHARE: Final = 0.25
# Of the lease: takes keep it up, and where the window is full, this does.
_KEEP_SHARE: Final = 0.4
MAX_TOLD: Final = 100
# Of one look at what others left behind, which holds up the event loop.
_GIVE_BACKS_AT_ONCE: Final = 10


class HoldingQoS(redis_transport.QoS):  # type: ignore[misc]  # kombu has no types
    """The window of messages in hand, and letting go of them, many in one round trip. For one thread."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the signature of kombu
        super().__init__(*args, **kwargs)
        self.holder: Holder | None = None
        # The field of an entry that BLMOVE brought, until a take has noted it.
        self.landed = ""
        self._acknowledged: list[str] = []
        # The fields of those that only wait for BETCORE's answer: they are in hand and hold nobody up.
        self._aside: set[str] = set()
        # The fields of partners' entries that the window counts.
        self._of_partners: set[str] = set()
        # What else is to be told: entries given back, and those of a channel that is closed by now.
        self._to_tell: list[Command] = []
        self._kept_at = 0.0
        # A channel that closes disconnects its pool, and this connection with it.
        self._redis = RedisMulti(self._own_connection)

    def hold(self, queues: Sequence[str], *, lease_seconds: float, weights: Mapping[str, int]) -> Holder:
        """Return who takes for this channel, from these queues, by these weights; raises LeaseLost."""
        if self.holder is None:
            self.holder = Holder(queues, lease_seconds=lease_seconds, weights=weights)
            self._kept_at = seconds_running()
        self.holder.ask(queues)
        if not self.holder.lease.is_kept():
            raise LeaseLost("the worker has not kept up its lease")
        return self.holder

    def can_consume(self) -> bool:
        """Say whether so few messages are in hand that it is worth to take more."""
        room = self.room()
        return room is None or room >= max(1, min(_WORTH_TAKING, self.prefetch_count // 4))

    def room(self) -> int | None:
        """Return how many messages more may be taken in hand; None without a limit."""
        in_hand = len(self._delivered) - len(self._dirty) - len(self._aside)
        return max(0, self.prefetch_count - in_hand) if self.prefetch_count else None

    def partners_room(self) -> int | None:
        """Return how many messages of partners more may be taken in hand; None without a limit."""
        if not self.prefetch_count:
            return None
        return max(0, max(1, int(PARTNERS_SHARE * self.prefetch_count)) - len(self._of_partners))

    def note(self, entry: QueueEntry) -> None:
        """Count an entry as in hand."""
        if self._dirty:
            self._flush()
        if is_partners(entry.queue):
            self._of_partners.add(entry.taken.field)
        self._quick_append(entry.taken.field, entry)

    def append(self, message: Any, delivery_tag: str) -> None:  # noqa: ANN401 - the signature of kombu
        """Take note of a message on its way to Celery; `note` has counted it."""
        self._quick_append(delivery_tag, message)

    def set_aside(self, entry: QueueEntry) -> None:
        """Have the window not count an entry any more that stays in hand; for any thread."""
        if entry.taken.field in self._delivered:
            self._aside.add(entry.taken.field)
            self._of_partners.discard(entry.taken.field)

    def ack(self, delivery_tag: str) -> None:
        """Let go of it with the next `write_acknowledged` or take; there is room for another one at once."""
        self._acknowledged.append(delivery_tag)
        self._out_of_hand(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - of kombu
        """Let go of it, or give it back, with the next `write_acknowledged`."""
        if requeue:
            self.give_back(self._delivered[delivery_tag].entry)
            self._out_of_hand(delivery_tag)
        else:
            self.ack(delivery_tag)

    def _out_of_hand(self, delivery_tag: str) -> None:
        self._aside.discard(delivery_tag)
        self._of_partners.discard(delivery_tag)
        self._quick_ack(delivery_tag)

    def let_go_for(self, entry: QueueEntry) -> None:
        """Let go of what a channel has that is closed by now."""
        self._to_tell.append(entry.holder.let_go([entry.taken.field]))

    def give_back(self, entry: QueueEntry) -> None:
        """Have an entry taken again, by whomever, if it is still where this process has it."""
        self._to_tell.append(entry.holder.give_back_one(entry.taken))

    def acknowledged(self) -> Sequence[str]:
        """Hand over what was acknowledged, for a take to let go of; see `not_let_go`."""
        fields, self._acknowledged = self._acknowledged[:MAX_LET_GO], self._acknowledged[MAX_LET_GO:]
        return fields

    def not_let_go(self, fields: Sequence[str]) -> None:
        """Take back what a take was to let go of, as nobody knows whether it did."""
        self._acknowledged.extend(fields)

    def write_acknowledged(self) -> None:
        """Tell Redis what was acknowledged, in one round trip.

        Raises the errors of Redis; what is not written is written by the next call.
        """
        # What landed is let go of by the take that notes it, or it would be noted afterwards.
        fields = [field for field in self._acknowledged[:MAX_LET_GO] if field != self.landed]
        commands = self._to_tell[:MAX_TOLD]
        if self.holder is not None and fields:
            commands.append(self.holder.let_go(fields))
        if not commands:
            return
        self._redis.run(commands)
        written = set(fields)
        self._acknowledged = [field for field in self._acknowledged if field not in written]
        del self._to_tell[:MAX_TOLD]

    def keep_lease(self) -> None:
        """Keep up the lease where no take does; raises LeaseLost."""
        holder = self.holder
        if holder is None:
            return
        if not holder.lease.is_kept():
            raise LeaseLost("the worker has not kept up its lease")
        if not holder.is_new and seconds_running() - self._kept_at > _KEEP_SHARE * self.channel.lease_seconds:
            self._keep(holder, self.channel.lease_seconds)

    def outlast_stop(self) -> None:
        """Have the lease last until the worker has stopped: nobody keeps it up meanwhile."""
        if self.holder is not None and not self.holder.is_new:
            self._keep(self.holder, self.channel.lease_seconds + self.channel.stop_seconds)

    def _keep(self, holder: Holder, seconds: float) -> None:
        sent_at = seconds_running()
        [reply] = self._redis.run([holder.keep(seconds)])
        holder.read_taken(reply, sent_at=sent_at)
        self._kept_at = sent_at

    def kept(self, at: float) -> None:
        """Take note that a take has kept up the lease."""
        self._kept_at = at

    def restore_visible(self, *_args: Any, **_kwargs: Any) -> None:  # noqa: ANN401 - the signature of kombu
        """Give back what workers have that are gone."""
        try:
            self._give_back_of_the_gone()
        except ResponseError:
            # kombu tells nobody of it.
            _log.warning("entries_of_lost_workers_not_given_back", exc_info=True)
            raise

    def _give_back_of_the_gone(self) -> None:
        for _ in range(_GIVE_BACKS_AT_ONCE):
            [reply] = self._redis.run([give_back_of_the_gone()])
            given_back = read_given_back(reply)
            if not given_back.owner:
                return
            if given_back.entries:
                _log.warning("entries_of_a_lost_worker", owner=given_back.owner, entries=given_back.entries)

    def restore_unacked_once(self, stderr: Any = None) -> None:  # noqa: ANN401, ARG002 - the signature of kombu
        """Let go of what was acknowledged, and give back the rest, when the channel closes."""
        self._on_collect.cancel()
        self._delivered.clear()
        self._aside.clear()
        self._of_partners.clear()
        holder, self.holder = self.holder, None
        if holder is None and not self._to_tell:
            return
        # A channel is also closed because its server is gone. What is not given back now goes back when its
        # lease has ended.
        try:
            self._let_go_of_all(holder)
        except Exception:  # noqa: BLE001 - logged with its traceback
            _log.warning("entries_not_given_back", exc_info=True)
        finally:
            if holder is not None:
                holder.lease.end()
            self._redis.close()

    def _own_connection(self) -> Any:  # noqa: ANN401 - redis-py's connection
        return self.channel.pool.get_connection()

    def _let_go_of_all(self, holder: Holder | None) -> None:
        while self._to_tell:
            self.write_acknowledged()
        if holder is None:
            return
        while self._acknowledged:
            fields = self.acknowledged()
            self._redis.run([holder.let_go(fields)])
        left = 1
        while left:
            [reply] = self._redis.run([holder.give_back()])
            left = read_given_back(reply).left
