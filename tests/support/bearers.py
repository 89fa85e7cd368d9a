"""Sources of access tokens as several processes would have them: a real Token endpoint, a real Valkey."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from kombu import Connection

from producer.shared.outgoing import http_client
from tests.support.event_loop import LoopThread, loop_thread
from tests.support.raw_betcore import Answering, Peer, Request, reply, serving
from worker.betcore.bearer import BELIEVED_SECONDS, CachedBearer
from worker.betcore.shared_tokens import RedisTokens
from worker.betcore.token_endpoint import TokenEndpoint
from worker.domain.deadline import Deadline
from worker.metrics import Metrics

CREDENTIALS = {"PartnerClientId": "7", "Secret": "s"}
LIFETIME_SECONDS = 100
NAME = "7"
KEY = f"cashback:bearer:{NAME}"
THREADS = 12


@dataclass
class Clock:
    """A wall clock that stands still, however slow the machine is, and how far it was put ahead."""

    ahead_seconds: float = 0.0
    _started_at: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self._started_at + self.ahead_seconds


@dataclass
class TokenSource:
    """Gives out token-1, token-2, …, each only after a moment in which all others can pile up."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    given: int = 0
    lifetime_seconds: float = LIFETIME_SECONDS

    def __call__(self, peer: Peer, connection: socket.socket, request: Request) -> None:
        with self.lock:
            self.given += 1
            number = self.given
        peer.closing.wait(0.1)
        body = {"AccessToken": f"token-{number}", "ExpiresIn": self.lifetime_seconds}
        reply(200, json.dumps(body).encode())(peer, connection, request)


def soon(seconds: float = 120.0) -> Deadline:
    return Deadline(time.monotonic() + seconds)


class Blocking:
    """A source of tokens as a thread sees it that waits for them."""

    def __init__(self, bearers: CachedBearer, loop: LoopThread) -> None:
        self._bearers = bearers
        self._loop = loop

    def bearer(self, deadline: Deadline) -> str:
        return self._loop.run(self._bearers.bearer(deadline))

    def rejected(self, bearer: str) -> bool:
        return self._loop.call(self._bearers.rejected, bearer)


@contextmanager
def instances(  # noqa: PLR0913 - what a test may want to be otherwise, keyword-only
    answer: Answering,
    redis_url: str,
    *,
    count: int = 1,
    clock: Clock | None = None,
    unanswered_seconds: float = 120.0,
    believed_seconds: float = BELIEVED_SECONDS,
    secret: str = CREDENTIALS["Secret"],
) -> Iterator[tuple[list[Blocking], Peer]]:
    """Build as many bearers as `count` processes would have, each with its own connections."""
    with ExitStack() as stack:
        peer = stack.enter_context(serving(answer))
        bearers = []
        for _ in range(count):
            client = stack.enter_context(http_client())
            options = {"socket_timeout": 120, "socket_connect_timeout": 120}
            connection = stack.enter_context(Connection(redis_url, transport_options=options))
            pool = connection.Pool(THREADS)
            stack.callback(pool.force_close_all)
            shared = RedisTokens(pool, name=NAME, secret=secret, timeout_seconds=120)
            endpoint = TokenEndpoint(
                client,
                base_url=peer.url,
                credentials=CREDENTIALS,
                timeout_seconds=120,
                clock=clock or time.time,
            )
            bearer = CachedBearer(
                endpoint,
                shared,
                metrics=Metrics(),
                random=lambda: 0.5,
                unanswered_seconds=unanswered_seconds,
                believed_seconds=believed_seconds,
                clock=clock or time.time,
            )
            # The servers that it may wait for end before.
            stack.callback(bearer.close)
            stack.callback(peer.closing.set)
            bearers.append(Blocking(bearer, stack.enter_context(loop_thread())))
        yield bearers, peer


def until_there(is_there: Callable[[], bool], bearer: Blocking) -> str:
    """Use the token until something has happened in the background; returns the last one that was given."""
    while not is_there():
        bearer.bearer(soon())
        time.sleep(0.01)
    return bearer.bearer(soon())
