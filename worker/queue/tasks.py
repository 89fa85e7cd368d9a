"""The Celery task `cashback.settle`: unpack the message, call the handler, take the step that it returns.

A task thread takes an event as far as its settlement. The request goes on from there: it has the accept sent,
and ends, or has the event sent again, when the answer is there. Decisions 5, 8 and 33.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog
from billiard.einfo import ExceptionWithTraceback
from celery import Signature, Task
from celery.app.task import Context
from celery.exceptions import Ignore
from celery.worker.request import Request
from celery.worker.state import task_ready
from kombu.utils.encoding import safe_repr
from pydantic import ValidationError

from cashback_client.contract import RETRY_QUEUE, TASK_NAME, SettleMessage
from cashback_client.summary import is_summary
from worker.domain.settlement import Done, RetryAt, Step
from worker.errors import BadMessage
from worker.handling.answering import Answering
from worker.handling.attempt import Answer
from worker.handling.counts import steps_of
from worker.handling.handler import Handler
from worker.metrics import MessageStep
from worker.producers import sent_again
from worker.quarantine.writer import Quarantine
from worker.queue.request_checks import (
    NOT_TAKEN_ALONG,
    advised,
    check_request,
    is_worth_waiting_for,
    not_the_arguments,
    quarantine_reason,
)
from worker.queue.summary import describe
from worker.queue.transport.channel import MAX_WAITING
from worker.queue.transport.held import is_partners
from worker.queue.transport.lease import Lease

_log = structlog.get_logger(__name__)


class GivenToAnother(Ignore):  # type: ignore[misc]  # Celery has no types
    """The worker has lost its lease while the message waited here: another one has it by now."""


@dataclass(slots=True)
class Run:
    """What a request and the task thread that runs it tell each other."""

    lease: Lease
    producer: str
    came_to: Step | Answer | None = None


@dataclass(frozen=True, slots=True)
class _Failure:
    """An end that nothing raised, as Celery describes one that something did."""

    exception: Exception
    traceback: str = ""
    exc_info: None = None


class SettleRequest(Request):  # type: ignore[misc]  # Celery has no types
    """A received `cashback.settle` as the worker sees it, whoever sent it.

    Flower and the logs get a readable line of what it is about and never the token. What would end the
    event in silence is not taken from a message: no expiry, no time limit, no revocation. A run that ends
    in nothing that is on record lets go of its message only when that is in quarantine.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the signature of Celery
        super().__init__(*args, **kwargs)
        check_request(self, embed=self._payload[2])
        if self.eta is not None and not is_worth_waiting_for(self.eta, has_room=self._may_wait()):
            self._eta: Any = None
        for name in NOT_TAKEN_ALONG:
            self._request_dict.pop(name, None)
        # Not the sender's word for it: Celery counts by it, and it can be anything.
        self.name = self._type
        entry = self.message.entry
        self._run = Run(entry.holder.lease, entry.producer)
        self._request_dict["run"] = self._run
        self._argsrepr = "()"
        sent = self._request_dict.get("kwargsrepr")
        self._kwargsrepr = sent if is_summary(sent) else describe(self._kwargs)
        self._request_dict.update(argsrepr=self._argsrepr, kwargsrepr=self._kwargsrepr, expires=None)
        self._expires = None
        self.time_limits = (None, None)

    def _may_wait(self) -> bool:
        # What waits is in hand: one of a partner's would shut out the next, as only a few of theirs may be.
        is_ours = not is_partners(self.message.entry.queue)
        return is_ours and bool(self.message.channel.qos.prefetch_count < MAX_WAITING)

    def __init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401 - whatever a class may be given
        """Celery makes a subclass with a shortcut of its own, past what follows from a run here."""
        super().__init_subclass__(**kwargs)
        if "on_success" in vars(cls):
            del cls.on_success

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: ARG002, FBT001, FBT002 - Celery's signature
        """Describe the request to remote control and Flower: always by its text, never by its arguments."""
        description: dict[str, Any] = super().info(safe=True)
        return description

    def revoked(self) -> bool:
        """Never: an event that was received ends in an answer or on record."""
        return False

    def on_success(self, failed__retval__runtime: tuple[bool, Any, float], **_: Any) -> None:  # noqa: ANN401
        """Go on from what a task thread came to."""
        failed, error, _runtime = failed__retval__runtime
        came_to = self._run.came_to
        if failed:
            self.on_failure(error, return_ok=True)
        elif isinstance(came_to, Answer):
            self.message.set_aside()
            self.task.answering().send(came_to, then=self._take)
        elif came_to is not None:
            self._take(came_to)

    def _take(self, step: Step) -> None:
        """Take the step that ends this request; for any thread."""
        self.task.count(self._run.producer, steps_of(self._run.came_to, step))
        if isinstance(step, Done):
            task_ready(self, successful=True)
            self.acknowledge()
            seconds = max(0.0, time.time() - (self.time_start or time.time()))
            self.send_event("task-succeeded", result=repr(str(step.state)), runtime=seconds)
        elif isinstance(step, RetryAt):
            self._send_again(step)
        else:
            _log.error("event_failed", task_id=self.id, error=safe_repr(step.error))
            self.on_failure(_Failure(step.error), return_ok=True)

    def _send_again(self, step: RetryAt) -> None:
        task_ready(self)
        try:
            self.task.publish_retry(self, delay_seconds=step.delay_seconds)
        except Exception:  # noqa: BLE001 - logged with its traceback
            _log.warning("retry_not_published", task_id=self.id, exc_info=True)
            self.reject(requeue=True)
            return
        self.acknowledge()
        self.send_event("task-retried", exception=safe_repr(step.error), traceback="")

    def on_failure(
        self,
        exc_info: Any,  # noqa: ANN401 - the signature of Celery, to the end of the list
        send_failed_event: bool = True,  # noqa: FBT001, FBT002
        return_ok: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        """End a failed run; a message that nothing else tells of goes into quarantine first."""
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if isinstance(error, GivenToAnother):
            # Neither acknowledged nor rejected: what is in Redis of it is not this worker's any more.
            task_ready(self)
            return
        fail = partial(super().on_failure, exc_info, send_failed_event, return_ok)
        reason = quarantine_reason(error)
        if reason is not None:
            why = advised(error, self.kwargs)
            self.task.quarantine().keep_message(self.message, reason=reason, error=why, then=fail)
            return
        fail()


class SettleTask(Task):  # type: ignore[misc]  # Celery has no types
    """Settles one event and answers BETCORE; retries on a queue of its own, so fresh credits go first."""

    name = TASK_NAME
    acks_late = True
    ignore_result = True
    max_retries = None
    typing = False
    Request: Final = "worker.queue.tasks:SettleRequest"

    def __init__(
        self,
        handler: Callable[[], Handler],
        quarantine: Callable[[], Quarantine],
        answering: Callable[[], Answering],
    ) -> None:
        self._handler = handler
        self.quarantine = quarantine
        self.answering = answering

    def run(self, *args: object, **kwargs: object) -> str:
        """Settle the event; its request goes on from there. Returns in a word what it came to."""
        run: Run = self.request.run
        if not run.lease.is_kept():
            raise GivenToAnother
        message = _unpack(args, kwargs)
        run.came_to = self._handler().handle(message, retries=self.request.retries, producer=run.producer)
        return type(run.came_to).__name__

    def count(self, producer: str, steps: Iterable[MessageStep]) -> None:
        """Count what became of a producer's message."""
        metrics = self._handler().metrics
        for step in steps:
            metrics.message(producer, step)

    def publish_retry(self, request: SettleRequest, *, delay_seconds: float) -> None:
        """Send the message of a request again, for one more attempt; raises what the broker does."""
        context = Context(request.request_dict)
        self.signature_from_request(
            context,
            (),
            request.kwargs,
            countdown=delay_seconds,
            retries=context.retries + 1,
            queue=RETRY_QUEUE,
        ).apply_async()

    def signature_from_request(self, request: Any, *args: Any, **options: Any) -> Signature:  # noqa: ANN401 - Celery's
        """Describe the message of a retry: what only this process knows is no header, but for the producer.

        Nor has it a priority: kombu would put it onto a list that nobody reads.
        """
        signature = super().signature_from_request(request, *args, **options)
        signature.options.pop("priority", None)
        headers = signature.options.get("headers") or {}
        others = {name: value for name, value in headers.items() if name != "run"}
        signature.options["headers"] = sent_again(others, producer=request.run.producer)
        return signature


def _unpack(args: tuple[object, ...], kwargs: dict[str, object]) -> SettleMessage:
    if args:
        raise BadMessage("cashback.settle takes keyword arguments only")
    try:
        return SettleMessage.model_validate(kwargs)
    except ValidationError as error:
        raise not_the_arguments(kwargs, error) from None
