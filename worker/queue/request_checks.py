"""What a received `cashback.settle` must look like to be run, and which failures go into quarantine.

Whoever reads why a message is there is told what its sender is to change. Decisions 8 and 41.
"""

import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from celery.exceptions import InvalidTaskError, TaskPredicate
from pydantic import ValidationError

from cashback_client.contract import MESSAGE_VERSION, TASK_NAME
from producer.protocol.errors import NotAToken, TokenExpired, TokenNotYetValid, VerificationError
from worker.errors import BadMessage, DeadlineExceeded, FutureVersion, RefusedByBetcore, WorkerError

# Our own retries wait for a minute at most.
MAX_ETA_SECONDS: Final = 120.0
CANVAS: Final = ("callbacks", "errbacks", "chain", "chord")
"""What would have Celery send other messages after the task: a settlement carries none."""

NOT_TAKEN_ALONG: Final = (*CANVAS, "shadow", "stamps", "stamped_headers", "headers", "timelimit")
"""What Celery would read of the headers when it describes the retry: a sender can write anything there."""

_MAX_ID_CHARS: Final = 255
_JSON: Final = "application/json"
# The units in which whole numbers below these are a moment of our days; milliseconds are right.
_UNITS: Final = ((10**11, "seconds"), (10**14, ""), (10**17, "microseconds"), (10**20, "nanoseconds"))
_LEAST_SECONDS: Final = 10**8
# Clocks of servers differ by less.
_CLOCK_SECONDS: Final = 60
# No token has any of it.
_AROUND: Final = re.compile(r"[\s\"']")


def check_request(request: Any, *, embed: object) -> None:  # noqa: ANN401 - Celery's
    """Raise InvalidTaskError for what would make Celery drop the message, or the task fail half-way."""
    if not isinstance(request.id, str) or not 0 < len(request.id) <= _MAX_ID_CHARS:
        raise InvalidTaskError("the task id (header id) is no text of a usual length")
    if not isinstance(request.args, list | tuple) or not isinstance(request.kwargs, dict):
        raise InvalidTaskError("the arguments are not a list and an object")
    if embed and (not isinstance(embed, dict) or not set(embed) <= set(CANVAS) or any(embed.values())):
        raise InvalidTaskError("callbacks, chains and chords are not supported: send each by itself")
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


def not_the_arguments(kwargs: Mapping[str, object], error: ValidationError) -> BadMessage:
    """Return what is wrong with arguments that are not those of the message, for whoever sends them."""
    version = kwargs.get("version")
    if isinstance(version, int) and version > MESSAGE_VERSION:
        return FutureVersion(f"message of version {version}: this worker takes up to {MESSAGE_VERSION}")
    faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
    unit = _looks_like(kwargs.get("received_at_ms"))
    if unit:
        faults.insert(0, f"received_at_ms looks like {unit}: it counts milliseconds")
    return BadMessage(f"not the arguments of {TASK_NAME}: {'; '.join(faults)}")


def advised(error: BaseException, kwargs: object) -> BaseException | str:
    """Return the error, or where its sender can do something about it, that and what to do."""
    arguments = kwargs if isinstance(kwargs, dict) else {}
    token, received_at_ms = arguments.get("token"), arguments.get("received_at_ms")
    if isinstance(error, NotAToken) and isinstance(token, str) and _AROUND.search(token):
        advice = "around the token is a space, a line end, a quote or a word: send the token alone"
    elif isinstance(error, TokenExpired | TokenNotYetValid) and isinstance(received_at_ms, int):
        advice = _on_time(received_at_ms)
    else:
        return error
    return f"{advice} ({type(error).__name__}: {error})"


def _on_time(received_at_ms: int) -> str:
    if unit := _looks_like(received_at_ms):
        return f"received_at_ms looks like {unit}: it counts milliseconds"
    seconds_off = round(received_at_ms / 1000 - time.time())
    if abs(seconds_off) <= _CLOCK_SECONDS:
        return "received_at_ms is when make came in, and not when it is sent on"
    where = "ahead of" if seconds_off > 0 else "behind"
    return f"received_at_ms lies {abs(seconds_off)} s {where} this worker's clock: it is when make came in"


def why_malformed(headers: Mapping[str, object], content_type: object, error: Exception) -> str:
    """Say what is wrong with a message that Celery cannot make a request of."""
    if "id" not in headers:
        return "no id header: it is the task id, of the event where the sender can make it"
    if not isinstance(headers.get("task"), str):
        return f"the task (header task) is no text: it is {TASK_NAME}"
    if content_type != _JSON:
        return f"content-type is {content_type!r}: it is {_JSON}"
    return f"the body is no list of three, [[], the message, {{}}] ({type(error).__name__}: {error})"


def _looks_like(value: object) -> str:
    if not isinstance(value, int) or value < _LEAST_SECONDS:
        return ""
    return next((unit for below, unit in _UNITS if value < below), "")
