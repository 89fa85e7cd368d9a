"""Says of a failure what was being done: an error of a library often has no text, and never the occasion."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import psycopg
from redis.exceptions import RedisError

from deploy.local.errors import LocalError

FAILURES = (httpx.HTTPError, psycopg.Error, RedisError, OSError)
# What may end a command of the local stack, and is told in a sentence; the rest is a fault of the program.
FORESEEN = (LocalError, *FAILURES)


class StepFailed(LocalError):
    """A step of the run failed."""

    reason = "step_failed"


@contextmanager
def step(what: str, *, monotonic: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """Raise StepFailed where the block fails in a library: what was done, the kind of error, and its text.

    `what` is the step, such as "sending make 17 to the simulator".
    """
    begun = monotonic()
    try:
        yield
    except FAILURES as error:
        raise StepFailed(f"{what}: {described(error)}, after {monotonic() - begun:.1f} s") from error


def described(error: BaseException) -> str:
    """Return the kind of an error and its text, if it has one: a time-out of httpx has none.

    An error of our own tree says it all in its text.
    """
    if isinstance(error, LocalError):
        return str(error)
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
