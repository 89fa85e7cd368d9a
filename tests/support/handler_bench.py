"""The handler on real parts: PostgreSQL, signed tokens and their keys, and a BETCORE that answers as told."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import uvloop

from cashback_client.contract import OWN_PRODUCER, SettleMessage
from producer.protocol.claims import ClaimRules
from producer.protocol.keys import KeySet
from producer.protocol.verifier import Verifier
from producer.shared.outgoing import Caller, http_client
from tests.support.betcore import cashback, signer
from tests.support.books import CANCEL_TYPES, CUTOFF_SECONDS, DEADLINE_SECONDS, add_user, policy, pool_of
from tests.support.raw_betcore import Answering, Peer, by_path, reply, serving
from tests.support.verifiers import RULES
from worker.betcore.accept import AcceptClient, BearerSource
from worker.betcore.static_bearer import StaticBearer
from worker.domain.deadline import Backoff
from worker.domain.settlement import Step
from worker.handling.answering import Answering as Answers
from worker.handling.attempt import Answer
from worker.handling.handler import Handler, Timing
from worker.ledger.answered_marks import AnsweredMarks
from worker.ledger.ledger import Ledger
from worker.metrics import Metrics

USER = "188509"
WORKER = "bench:1"
BACKOFF = Backoff(base_seconds=0.5, cap_seconds=5.0)


@dataclass(frozen=True)
class Bench:
    """A handler, BETCORE, and a view of the database past all of the worker's code."""

    handler: Handler
    answering: Answers
    peer: Peer
    connection: psycopg.Connection

    def accepts(self) -> list[Any]:
        """Return the bodies of the accepts that BETCORE got."""
        return self.peer.bodies("accept")

    def await_accepts(self, count: int) -> None:
        """Wait until BETCORE has got so many accepts."""
        while len(self.accepts()) < count:
            time.sleep(0.01)

    def message(
        self, data: dict[str, object] | None = None, *, age_seconds: float = 0.0, key: int = 1
    ) -> SettleMessage:
        """Return the message of a make that BETCORE signed `age_seconds` ago, at the moment of receipt."""
        received_at = time.time() - age_seconds
        token = signer(key).token(at=received_at, data=data or cashback())
        return SettleMessage(token=token, received_at_ms=int(received_at * 1000))

    def handle(self, message: SettleMessage, *, retries: int = 0, producer: str = OWN_PRODUCER) -> Step:
        """Run one attempt, and wait for what follows from BETCORE's answer."""
        came_to = self.handler.handle(message, retries=retries, producer=producer)
        if not isinstance(came_to, Answer):
            return came_to
        step: Future[Step] = Future()
        self.answering.send(came_to, then=step.set_result)
        return step.result()

    def close_answered_marks(self) -> None:
        """Have all marks written."""
        self.handler.answered_marks.close(timeout_seconds=30)

    def receipt(self, message: SettleMessage) -> tuple[Any, ...] | None:
        """Return state, code, whether it is unconfirmed, and the last error."""
        return self.connection.execute(
            "SELECT state, code, unconfirmed, last_error FROM receipts WHERE event_id = %s",
            (message.event_id,),
        ).fetchone()

    def balance(self) -> int:
        """Return the user's balance in minor units."""
        row = self.connection.execute(
            "SELECT balance_minor FROM accounts WHERE user_id = %s", (USER,)
        ).fetchone()
        assert row is not None
        return int(row[0])


def let_an_hour_go_by(connection: psycopg.Connection) -> int:
    """Move all receipts into the past, past their guard."""
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        moved = connection.execute(
            "UPDATE receipts SET received_at = received_at - interval '1 hour', "
            "credit_cutoff_at = credit_cutoff_at - interval '1 hour', "
            "deadline_at = deadline_at - interval '1 hour'"
        )
    return moved.rowcount


def jwks(*keys: int) -> Answering:
    """Publish these keys."""
    return reply(200, json.dumps({"keys": [signer(key).jwk() for key in keys]}).encode())


@contextmanager
def bench(  # noqa: PLR0913 - what a test may want to be otherwise, keyword-only
    database_url: str,
    accept: Answering,
    *,
    keys: Answering | None = None,
    ledger_url: str | None = None,
    cutoff_seconds: float = CUTOFF_SECONDS,
    deadline_seconds: float = DEADLINE_SECONDS,
    ledger_timeout_seconds: float = 30.0,
    hold_seconds: float = 5.0,
    max_in_flight: int = 100,
    monotonic: Callable[[], float] = time.monotonic,
    bearers: BearerSource | None = None,
    rules: ClaimRules | None = None,
) -> Iterator[Bench]:
    """Build a handler on `database_url`; its ledger may take another way there, `ledger_url`.

    `monotonic` is the clock of the accepts in flight.
    """
    with ExitStack() as stack:
        peer = stack.enter_context(serving(by_path(accept=accept, jwks=keys or jwks(1))))
        client = stack.enter_context(http_client())
        connection = stack.enter_context(psycopg.connect(database_url, autocommit=True))
        pool = stack.enter_context(pool_of(ledger_url or database_url))
        ledger = Ledger(
            pool,
            policy=policy(cutoff_seconds=cutoff_seconds, deadline_seconds=deadline_seconds),
            timeout_seconds=ledger_timeout_seconds,
        )
        answered_marks = AnsweredMarks(ledger, random=lambda: 0.5)
        answered_marks.start()
        stack.callback(answered_marks.close, timeout_seconds=30)
        handler = Handler(
            verifier=Verifier(_key_set(peer.url, client), rules=rules or RULES),
            ledger=ledger,
            answered_marks=answered_marks,
            timing=Timing(
                cutoff_seconds=cutoff_seconds,
                deadline_seconds=deadline_seconds,
                hold_seconds=hold_seconds,
                backoff=BACKOFF,
            ),
            cancel_types=CANCEL_TYPES,
            metrics=Metrics(),
            random=lambda: 0.5,
        )
        client_of_accept = AcceptClient(Caller(), base_url=peer.url, bearers=bearers or StaticBearer("x"))
        answering = Answers(
            handler=handler,
            accept=client_of_accept,
            max_in_flight=max_in_flight,
            worker=WORKER,
            loop_factory=uvloop.new_event_loop,
            monotonic=monotonic,
        )
        answering.start()
        stack.callback(answering.close, timeout_seconds=0)
        add_user(connection, USER)
        yield Bench(handler, answering, peer, connection)


def _key_set(betcore_url: str, client: httpx.Client) -> KeySet:
    return KeySet(
        betcore_url=betcore_url,
        client=client,
        refresh_seconds=300,
        unknown_key_seconds=0,
        timeout_seconds=60,
        retired_key_seconds=30,
        max_age_seconds=86_400,
    )
