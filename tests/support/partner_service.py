"""A partner service: it has tokens of BETCORE's, and puts them onto the queue past the receiver.

In both ways that are documented: as an entry that it writes itself, by LPUSH, and by Celery's send_task.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final, Self

import httpx
import redis
from celery import Celery

from cashback_client.contract import QUEUE, TASK_NAME, SettleMessage, celery_options
from cashback_client.envelope import EntryWriter
from cashback_client.summary import summary_of

_TIMEOUT_SECONDS: Final = 60.0
_NOTHING: Final[Mapping[str, Any]] = {}


class PartnerService:
    """Signs at the simulated BETCORE and puts onto the queue, inside a `with` block; for one thread.

    `redis_url` has the login of a user that may LPUSH onto the queue and no more.
    """

    def __init__(self, *, simulator_url: str, redis_url: str) -> None:
        self._stack = ExitStack()
        self._writer = EntryWriter(origin="shop", sender="shop")
        self._celery = Celery("shop", broker=redis_url, set_as_current=False)
        self._client = redis.Redis.from_url(redis_url, socket_timeout=_TIMEOUT_SECONDS)
        self._betcore = httpx.Client(base_url=simulator_url, timeout=_TIMEOUT_SECONDS, trust_env=False)

    def __enter__(self) -> Self:
        self._stack.enter_context(self._betcore)
        self._stack.callback(self._client.close)
        self._stack.callback(self._celery.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def sign(self, order: Mapping[str, object]) -> str:
        """Return a token for this make; raises httpx.HTTPError."""
        reply = self._betcore.post("/sim/tokens", json=order).raise_for_status()
        return str(reply.json()["token"])

    def put(self, tokens: Sequence[str]) -> dict[str, int]:
        """Put a message for each token onto the queue, every other one by Celery.

        Returns by the token's digest when Redis said that it has it, in Unix milliseconds. Raises what the
        clients do.
        """
        queued = self._push(tokens[::2])
        for token in tokens[1::2]:
            message = _message(token)
            options = celery_options(message, _NOTHING)
            self._celery.send_task(TASK_NAME, kwargs=message.model_dump(), **options)
            queued |= _at([token])
        return queued

    def _push(self, tokens: Sequence[str]) -> dict[str, int]:
        messages = [_message(token) for token in tokens]
        entries = [
            self._writer.entry(message, event_id=message.event_id, summary=summary_of(_NOTHING))
            for message in messages
        ]
        if entries:
            self._client.lpush(QUEUE, *entries)
        return _at(tokens)


def digest_of(token: str) -> str:
    """Return a token's digest, as the simulator's log has it."""
    return hashlib.sha256(token.encode()).hexdigest()


def _message(token: str) -> SettleMessage:
    return SettleMessage(token=token, received_at_ms=int(time.time() * 1000))


def _at(tokens: Iterable[str]) -> dict[str, int]:
    now_ms = round(time.time() * 1000)
    return {digest_of(token): now_ms for token in tokens}
