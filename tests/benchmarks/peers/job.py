"""The job that the peers do: verify, settle, send accept, mark. Here for threads; see async_job.py.

It takes from this program what has nothing to do with the engine: the verifier, the ledger and the body of
accept. The rest is what a competent team writes first: one kept-alive HTTP client and one pool of connections
per process, and the mark at the end of the job. A job that fails raises, and the engine runs it again.
"""

import logging
from typing import Any, Final, Self

import httpx
from psycopg_pool import ConnectionPool

from cashback_client.contract import SettleMessage, cashback_id_of, read_data
from deploy.local.simulator.settings import DEFAULT_CLIENT_ID
from producer.protocol.claims import ClaimRules
from producer.protocol.keys import KeySet
from producer.protocol.verifier import Verifier
from producer.shared.postgres.session import Session
from tests.benchmarks.peers.environment import PeerSettings, application_name
from tests.benchmarks.tokens import LIFETIME_SECONDS
from worker.betcore.accept import ACCEPT_PATH, Verdict, read_accept_reply
from worker.betcore.accept_body import accept_body
from worker.domain.settlement import Instruction, read_instruction
from worker.ledger.database import DeadlineConnection
from worker.ledger.ledger import Ledger, LedgerPolicy, VerifiedEvent

# The defaults of this program's settings.
POLICY: Final = LedgerPolicy(
    cutoff_seconds=25.0,
    deadline_seconds=30.0,
    withhold_tax=False,
    allow_negative=True,
    cancel_blocked=True,
)
TIMEOUT_SECONDS: Final = 3.0
_TIMEOUT_MS: Final = 3_000
# As the measured receiver and worker have them.
_RULES: Final = ClaimRules(
    client_ids=frozenset({DEFAULT_CLIENT_ID}), leeway_seconds=5.0, max_life_seconds=LIFETIME_SECONDS
)
_CANCEL_TYPES: Final = frozenset({-1, -2})
# No refresh falls into a measurement.
_REFRESH_SECONDS: Final = 3600.0
_MAX_AGE_SECONDS: Final = 86_400.0


class NotAnswerable(Exception):
    """The message is verified, but without a CashbackId."""


class NotAcknowledged(Exception):
    """BETCORE did not acknowledge the accept; the engine is to run the job again."""


class Reader:
    """Verifies messages and reads them, with keys that are fetched once, when it is built."""

    def __init__(self, *, betcore_url: str) -> None:
        with httpx.Client() as client:
            keys = KeySet(
                betcore_url=betcore_url,
                client=client,
                refresh_seconds=_REFRESH_SECONDS,
                unknown_key_seconds=_REFRESH_SECONDS,
                timeout_seconds=TIMEOUT_SECONDS,
                retired_key_seconds=_REFRESH_SECONDS,
                max_age_seconds=_MAX_AGE_SECONDS,
            )
            keys.fetch()
        self._verifier = Verifier(keys, rules=_RULES)

    def read(self, message: SettleMessage) -> tuple[VerifiedEvent, Instruction]:
        """Return what a message asks for; raises VerificationError, DataError, NotAnswerable."""
        verified = self._verifier.verify_with_known_keys(message.token, at=message.received_at)
        data = read_data(verified.data)
        cashback_id = cashback_id_of(data)
        if cashback_id is None:
            raise NotAnswerable
        event = VerifiedEvent(
            event_id=message.event_id,
            token=message.token,
            cashback_id=cashback_id,
            received_at=message.received_at,
        )
        return event, read_instruction(data, cashback_id=cashback_id, cancel_types=_CANCEL_TYPES)


class Job:
    """The job with threads; safe for use by many of them. `close` lets go of the connections."""

    def __init__(self, settings: PeerSettings, *, reader: Reader) -> None:
        quiet_logs()
        self._reader = reader
        self._pool = ConnectionPool(
            settings.database_url,
            connection_class=DeadlineConnection,
            kwargs={"session": session(), **connection_options(settings)},
            min_size=settings.concurrency,
            max_size=settings.concurrency,
            open=False,
        )
        self._ledger = Ledger(self._pool, policy=POLICY, timeout_seconds=TIMEOUT_SECONDS)
        self._client = httpx.Client(**client_options(settings))

    @classmethod
    def open(cls, settings: PeerSettings) -> Self:
        """Build the job with its keys and connections; on return it is ready to work."""
        job = cls(settings, reader=Reader(betcore_url=settings.betcore_url))
        job._pool.open(wait=True)
        return job

    def run(self, token: str, received_at_ms: int) -> None:
        """Bring one event to its end; raises what did not work."""
        message = SettleMessage(token=token, received_at_ms=received_at_ms)
        event, instruction = self._reader.read(message)
        settlement = self._ledger.settle(event, instruction)
        if settlement.is_closed:
            return
        response = self._client.post(ACCEPT_PATH, content=accept_body(settlement, instruction))
        check_acknowledged(response)
        self._ledger.mark_answered([event.event_id])

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
        self._pool.close()


def check_acknowledged(response: httpx.Response) -> None:
    """Raise NotAcknowledged where BETCORE's answer is no acknowledgement."""
    answer = read_accept_reply(response.status_code, response.content)
    if answer.verdict is not Verdict.ACKNOWLEDGED:
        raise NotAcknowledged(answer.detail)


def session() -> Session:
    """Return what a session of a peer has: what one of this program's has."""
    return Session(application_name=application_name(), statement_timeout_ms=_TIMEOUT_MS)


def connection_options(settings: PeerSettings) -> dict[str, Any]:
    """Return how the peers' connections are opened: as this program's, statements prepared at first use."""
    url, milliseconds = settings.database_url, _TIMEOUT_MS
    options = session().connect_options(url, connect_seconds=int(TIMEOUT_SECONDS), unanswered_ms=milliseconds)
    return {"autocommit": True, "prepare_threshold": 1, **options}


def client_options(settings: PeerSettings) -> dict[str, Any]:
    """Return the options of the peers' HTTP client: as many kept-alive connections as jobs."""
    return {
        "base_url": settings.betcore_url,
        "headers": {"Authorization": f"Bearer {settings.bearer}", "Content-Type": "application/json"},
        "timeout": TIMEOUT_SECONDS,
        "limits": httpx.Limits(
            max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency
        ),
    }


def quiet_logs() -> None:
    """Keep httpx from writing a line for each request, which at INFO it does."""
    logging.getLogger("httpx").setLevel(logging.WARNING)
