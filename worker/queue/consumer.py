"""The worker's consumer: what Celery would delete, and log with its token, goes into quarantine instead.

Decisions 8 and 13.
"""

import logging
import time
import warnings
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Final

from celery.exceptions import CPendingDeprecationWarning
from celery.worker.consumer import Consumer
from celery.worker.consumer.control import Control
from celery.worker.control import Panel

from cashback_client.contract import QUEUE, RETRY_QUEUE, TASK_NAME
from worker.handling.answering import Answering
from worker.metrics import MessageStep
from worker.quarantine.description import describe_bytes
from worker.quarantine.writer import Quarantine
from worker.queue.broadcasts import Questions
from worker.queue.entry import UNREADABLE
from worker.queue.reconnects import Reconnects
from worker.queue.request_checks import why_malformed
from worker.queue.transport.with_kombu import holding

# What a message of the wrong shape makes Celery raise on its way to the pool.
_MALFORMED: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

# Nobody waits for an acknowledgement or for what Flower is told, and both cost less for many at once.
PAUSE_SECONDS: Final = 0.02
WORTH_WAKING: Final = 8
# Beyond it the thread that sends one more event would write them all, and wait for Redis.
MAX_EVENTS: Final = 100_000
# An entry that this many workers had in hand when they went is not given to another one.
MAX_LOST_WORKERS: Final = 3

_logger: Final = logging.getLogger(__name__)


class SettlingConsumer(Consumer):  # type: ignore[misc]  # Celery has no types
    """Celery's consumer, whose bad messages are kept, and which waits for answers when it ends.

    A message is acknowledged after its row is committed, in the thread of the event loop, as Celery
    acknowledges those of its tasks.
    """

    quarantine: ClassVar[Callable[[], Quarantine]]
    able_to_take: ClassVar[Callable[[], None]]
    answering: ClassVar[Callable[[], Answering]]
    answers_seconds: ClassVar[float]

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the signature of Celery
        super().__init__(*args, **kwargs)
        # A server that refuses a command is as good as away: Celery would end the worker.
        self.connection_errors: tuple[type[Exception], ...] = (
            *self.conninfo.connection_errors,
            *self.channel_errors,
        )
        for step in self.steps:
            if isinstance(step, Control):
                step.box.node.handlers = Questions(Panel.data)
        # A small window would stand empty until eight are done.
        self._worth_waking = max(1, min(WORTH_WAKING, self.initial_prefetch_count // 2))
        self._reconnects = Reconnects()
        # As many as messages are in hand, at most.
        self._acknowledgements: deque[Callable[[], object]] = deque()
        self._set_aside = 0

    def connection_for_read(self, heartbeat: float | None = None) -> Any:  # noqa: ANN401 - Celery has no types
        """Connect with the channels of `worker.queue.transport`."""
        return self.ensure_connected(holding(self.app.connection_for_read(heartbeat=heartbeat)))

    def connection_for_write(
        self,
        url: str | None = None,
        heartbeat: float | None = None,
    ) -> Any:  # noqa: ANN401 - Celery has no types
        """Connect with the same channels: they keep their client of Redis, where kombu's make one anew."""
        return self.ensure_connected(holding(self.app.connection_for_write(url=url, heartbeat=heartbeat)))

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Connect anew, after a pause where one loss follows another."""
        super().on_connection_error_before_connected(exc)
        time.sleep(self._reconnects.pause_seconds(time.monotonic()))

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Connect anew, after a pause where one loss follows another."""
        # What Celery will do one day is told with each of them.
        with warnings.catch_warnings(action="ignore", category=CPendingDeprecationWarning):
            super().on_connection_error_after_connected(exc)
        time.sleep(self._reconnects.pause_seconds(time.monotonic()))

    def register_with_event_loop(self, hub: Any) -> None:  # noqa: ANN401 - Celery has no types
        """Have what waits for the event loop done together."""
        super().register_with_event_loop(hub)
        if self.event_dispatcher:
            self.event_dispatcher.buffer_limit = MAX_EVENTS
        hub.call_repeatedly(PAUSE_SECONDS, self._catch_up)

    def call_soon_ack(self, p: Callable[..., object], *args: object, **kwargs: object) -> None:
        """Have a message acknowledged soon, together with others.

        Celery's own wakes the event loop for each one, and with the loop its thread.
        """
        self._acknowledgements.append(partial(p, *args, **kwargs))
        if len(self._acknowledgements) >= self._worth_waking:
            self.hub.call_soon(self._acknowledge)

    def room_made(self) -> None:
        """Have the window looked at soon, when several were set aside; for any thread."""
        # Counted without a lock: one that is missed waits for the next look.
        self._set_aside += 1
        if self._set_aside >= self._worth_waking:
            self._set_aside = 0
            self.hub.call_soon(self._acknowledge)

    def on_send_event_buffered(self) -> None:
        """Leave task events to `_catch_up`; Celery's own wakes the event loop for each one."""

    def stop(self) -> None:
        """Stop; what runs may come to its end, and nobody else runs it meanwhile."""
        channel = self._current_channel()
        if channel is not None:
            try:
                channel.qos.outlast_stop()
            except self.connection_errors:
                _logger.warning("the lease was not made to last until the worker has stopped", exc_info=True)
        super().stop()

    def shutdown(self) -> None:
        """Wait for answers, so that what they end is acknowledged; the rest is given back."""
        type(self).answering().close(timeout_seconds=type(self).answers_seconds)
        super().shutdown()

    def perform_pending_operations(self) -> None:
        """Acknowledge what is waiting before the consumer ends."""
        super().perform_pending_operations()
        try:
            self._acknowledge()
        except self.connection_errors:
            # They are still in Redis, and when they come again they find that their event has ended.
            _logger.warning("the last acknowledgements are lost", exc_info=True)

    def _catch_up(self) -> None:
        channel = self._current_channel()
        if channel is not None:
            # First: what is asked here waits for Redis.
            channel.check()
            if channel.is_able_to_take(QUEUE):
                type(self).able_to_take()
        self._acknowledge()
        self._flush_events()

    def _acknowledge(self) -> None:
        while self._acknowledgements:
            self._acknowledgements.popleft()()
        channel = self._current_channel()
        if channel is not None:
            channel.qos.write_acknowledged()

    def update_strategies(self) -> None:
        """Leave out Celery's own tasks: nobody asks for them here, and celery.map and its like run others."""
        super().update_strategies()
        for name in [name for name in self.strategies if name.startswith("celery.")]:
            del self.strategies[name]

    def create_task_handler(self) -> Callable[[Any], None]:
        """Return what is called with each message."""
        receive = super().create_task_handler()

        def on_task_received(message: Any) -> None:  # noqa: ANN401 - kombu has no types
            message.current_channel = self._current_channel
            message.room_made = self.room_made
            if UNREADABLE in message.headers:
                self._quarantine_unreadable(message)
                return
            if message.entry.queue != RETRY_QUEUE:
                metrics = type(self).answering().handler.metrics
                metrics.message(message.entry.producer, MessageStep.TAKEN)
            lost_workers = message.entry.taken.deliveries
            if lost_workers >= MAX_LOST_WORKERS:
                self._quarantine(message, "lost_workers", f"{lost_workers} workers that had it are gone")
                return
            try:
                receive(message)
            except _MALFORMED as error:
                why = why_malformed(message.headers, message.content_type, error)
                self._quarantine(message, "malformed_task", why)

        return on_task_received

    def on_decode_error(self, message: Any, exc: Exception) -> None:  # noqa: ANN401 - kombu has no types
        """Keep a message whose body cannot be read."""
        self._quarantine(
            message, "undecodable", f"the body is no JSON in UTF-8 ({type(exc).__name__}: {exc})"
        )

    def on_unknown_message(self, _body: object, message: Any) -> None:  # noqa: ANN401 - the same
        """Keep a message that is none of Celery's."""
        self._quarantine(message, "unknown_message", f"no task header: it is {TASK_NAME}")

    def on_unknown_task(self, _body: object, message: Any, _exc: Exception) -> None:  # noqa: ANN401 - the same
        """Keep a message of a task that is not known here."""
        self._quarantine(message, "unknown_task", f"no worker here runs this task: it is {TASK_NAME}")

    def on_invalid_task(self, _body: object, message: Any, exc: Exception) -> None:  # noqa: ANN401 - the same
        """Keep a message whose arguments or content type are not taken."""
        self._quarantine(message, "invalid_task", exc)

    def _current_channel(self) -> Any:  # noqa: ANN401 - the same
        return self.task_consumer and self.task_consumer.channel

    def _quarantine(self, message: Any, reason: str, error: object) -> None:  # noqa: ANN401 - the same
        then = self._acknowledging(message)
        type(self).quarantine().keep_message(message, reason=reason, error=error, then=then)

    def _quarantine_unreadable(self, message: Any) -> None:  # noqa: ANN401 - the same
        rejected = describe_bytes(
            message.entry.raw,
            reason="unreadable",
            detail=str(message.headers[UNREADABLE]),
            queue=message.entry.queue,
            producer=message.entry.producer,
        )
        type(self).quarantine().keep(rejected, then=self._acknowledging(message))

    def _acknowledging(self, message: Any) -> Callable[[], object]:  # noqa: ANN401 - the same
        return lambda: self.call_soon(message.ack_log_error, _logger, self.connection_errors)


def settling_consumer(
    *,
    quarantine: Callable[[], Quarantine],
    able_to_take: Callable[[], None],
    answering: Callable[[], Answering],
    answers_seconds: float,
) -> type[SettlingConsumer]:
    """Return Celery's `worker_consumer`: it keeps its bad messages in `quarantine()`.

    It calls `able_to_take`, many times a second, while it can take from the queue. When it ends it waits for
    answers to what `answering()` has sent, for at most `answers_seconds`.
    """
    members = {
        "quarantine": staticmethod(quarantine),
        "able_to_take": staticmethod(able_to_take),
        "answering": staticmethod(answering),
        "answers_seconds": answers_seconds,
    }
    return type("SettlingConsumer", (SettlingConsumer,), members)
