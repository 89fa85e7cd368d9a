"""What a received `cashback.settle` must look like to be run, and which failures go into quarantine.

Decision 8.
"""

import time
from datetime import datetime
from typing import Any, Final

from celery.exceptions import InvalidTaskError, TaskPredicate

from producer.protocol.errors import VerificationError
from worker.errors import DeadlineExceeded, RefusedByBetcore, WorkerError

# Our own retries wait for a minute at most.
MAX_ETA_SECONDS: Final = 120.0
CANVAS: Final = ("callbacks", "errbacks", "chain", "chord")
"""What would have Celery send other messages after the task: a settlement carries none."""

_MAX_ID_CHARS: Final = 255


def check_request(request: Any, *, embed: object) -> None:  # noqa: ANN401 - Celery's
    """Raise InvalidTaskError for what would make Celery drop the message, or the task fail half-way."""
    if not isinstance(request.id, str) or not 0 < len(request.id) <= _MAX_ID_CHARS:
        raise InvalidTaskError("the task id is no text of a usual length")
    if not isinstance(request.args, list | tuple) or not isinstance(request.kwargs, dict):
        raise InvalidTaskError("the arguments are not a list and an object")
    if embed and (not isinstance(embed, dict) or not set(embed) <= set(CANVAS) or any(embed.values())):
        raise InvalidTaskError("callbacks, chains and chords are not supported")
    retries = request.request_dict.get("retries")
    if retries is not None and (isinstance(retries, bool) or not isinstance(retries, int) or retries < 0):
        raise InvalidTaskError("the count of retries is no count")


def is_worth_waiting_for(eta: datetime, *, has_room: bool) -> bool:
    """Whether a message is to wait for its ETA: not for longer than a retry does, nor where many wait."""
    try:
        wait_seconds = eta.timestamp() - time.time()
    except (OverflowError, ValueError, OSError):
        return False
    return has_room and wait_seconds <= MAX_ETA_SECONDS


def quarantine_reason(error: BaseException) -> str | None:
    """Return why a message whose run ended in `error` is to be kept, or None where that is not called for.

    What became of an event that expired or was refused stands in its receipt. Everything else that ends
    a run, foreseen or not, may leave nothing but the message. Celery's own signals (retry, reject, ignore)
    are no end.
    """
    if isinstance(error, DeadlineExceeded | RefusedByBetcore | TaskPredicate):
        return None
    return error.reason if isinstance(error, WorkerError | VerificationError) else "unexpected_error"
