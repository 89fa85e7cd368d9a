"""The Celery task `cashback.settle`: unpack the message, call the handler, take the step that it returns.

Decisions 5 and 8.
"""

import base64
import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from billiard.einfo import ExceptionWithTraceback
from celery import Signature, Task
from celery.exceptions import Ignore, Reject
from celery.worker.request import Request
from celery.worker.state import task_ready
from pydantic import ValidationError

from producer.client.contract import RETRY_QUEUE, TASK_NAME, DataError, SettleMessage, read_data
from producer.client.summary import is_summary, summary_of
from worker.domain.settlement import GiveUp, RetryAt
from worker.errors import BadMessage
from worker.handling.handler import Handler
from worker.quarantine.writer import Quarantine
from worker.queue.request_checks import CANVAS, check_request, quarantine_reason


class GivenToAnother(Ignore):  # type: ignore[misc]  # Celery has no types
    """The worker has lost its lease while the message waited here: another one has it by now."""


class SettleRequest(Request):  # type: ignore[misc]  # Celery has no types
    """A received `cashback.settle` as the worker sees it, whoever sent it.

    Flower and the logs get a readable line of what it is about and never the token. What would end the
    event in silence is not taken from a message: no expiry, no time limit, no revocation. A run that ends
    in nothing that is on record lets go of its message only when that is in quarantine.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the signature of Celery
        super().__init__(*args, **kwargs)
        check_request(self, embed=self._payload[2], eta=self._eta)
        for name in CANVAS:
            self._request_dict.pop(name, None)
        self._request_dict["lease"] = self.message.entry.holder.lease
        self._argsrepr = "()"
        sent = self._request_dict.get("kwargsrepr")
        self._kwargsrepr = sent if is_summary(sent) else describe(self._kwargs)
        self._request_dict.update(argsrepr=self._argsrepr, kwargsrepr=self._kwargsrepr, expires=None)
        self._expires = None
        self.time_limits = (None, None)

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: ARG002, FBT001, FBT002 - Celery's signature
        """Describe the request to remote control and Flower: always by its text, never by its arguments."""
        description: dict[str, Any] = super().info(safe=True)
        return description

    def revoked(self) -> bool:
        """Never: an event that was received ends in an answer or on record."""
        return False

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
            self.task.quarantine().keep_message(self.message, reason=reason, error=error, then=fail)
            return
        if isinstance(error, Reject):
            # Celery's retry rejects the message when it cannot publish the next one: take it back instead.
            error.requeue = True
        fail()


def describe(kwargs: object) -> str:
    """Say in one line what a message is about. Nothing is verified here: it is for people's eyes only."""
    token = kwargs.get("token") if isinstance(kwargs, dict) else None
    try:
        payload = str(token).split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return summary_of(read_data(claims["data"]))
    except (IndexError, KeyError, TypeError, ValueError, RecursionError, DataError):
        return "(unreadable)"


class SettleTask(Task):  # type: ignore[misc]  # Celery has no types
    """Settles one event and answers BETCORE; retries on a queue of its own, so fresh credits go first."""

    name = TASK_NAME
    acks_late = True
    ignore_result = True
    max_retries = None
    typing = False
    Request: Final = "worker.queue.tasks:SettleRequest"

    def __init__(self, handler: Callable[[], Handler], quarantine: Callable[[], Quarantine]) -> None:
        self._handler = handler
        self.quarantine = quarantine

    def run(self, *args: object, **kwargs: object) -> str:
        """Take the event one attempt further; returns the state that it came to."""
        if not self.request.lease.is_kept():
            raise GivenToAnother
        message = _unpack(args, kwargs)
        step = self._handler().handle(message, retries=self.request.retries)
        if isinstance(step, RetryAt):
            raise self.retry(exc=step.error, countdown=step.delay_seconds, queue=RETRY_QUEUE)
        if isinstance(step, GiveUp):
            raise step.error
        return step.state

    def signature_from_request(self, *args: Any, **options: Any) -> Signature:  # noqa: ANN401 - Celery's
        """Describe the message of a retry: what only this process knows is no header of it."""
        signature = super().signature_from_request(*args, **options)
        headers = signature.options.get("headers") or {}
        signature.options["headers"] = {name: value for name, value in headers.items() if name != "lease"}
        return signature


def _unpack(args: tuple[object, ...], kwargs: dict[str, object]) -> SettleMessage:
    if args:
        raise BadMessage("cashback.settle takes keyword arguments only")
    try:
        return SettleMessage.model_validate(kwargs)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise BadMessage(f"not the arguments of cashback.settle: {faults}") from None
