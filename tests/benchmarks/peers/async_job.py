"""The peers' job with coroutines: httpx.AsyncClient and psycopg's asynchronous pool. See job.py."""

from typing import Any, Final, Self

import httpx
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from cashback_client.contract import SettleMessage
from tests.benchmarks.peers.environment import PeerSettings
from tests.benchmarks.peers.job import (
    POLICY,
    TIMEOUT_SECONDS,
    Reader,
    check_acknowledged,
    client_options,
    connection_options,
    quiet_logs,
    session,
)
from worker.betcore.accept import ACCEPT_PATH
from worker.betcore.accept_body import accept_body
from worker.domain.settlement import Instruction, PostedTransaction, Settlement, State
from worker.ledger.ledger import OVERDUE_SECONDS, VerifiedEvent

_SETTLE: Final = """
    SELECT state, code, transaction_id, cashback_id, transaction_type, user_id, amount_minor, tax_minor,
        exponent, runs, seconds_to_cutoff, seconds_to_deadline
    FROM settle_event(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_MARK: Final = "SELECT mark_answered(%s)"
# Jobs beyond this many wait for a connection in the process, which costs less than it would in PostgreSQL.
_MOST_CONNECTIONS: Final = 20


async def _configure(connection: AsyncConnection[Any]) -> None:
    await connection.wait(session().opening(connection))


class AsyncJob:
    """The job with coroutines, for one event loop."""

    def __init__(self, settings: PeerSettings, *, reader: Reader) -> None:
        quiet_logs()
        self._reader = reader
        connections = min(settings.concurrency, _MOST_CONNECTIONS)
        self._pool = AsyncConnectionPool(
            settings.database_url,
            connection_class=AsyncConnection[Any],
            kwargs=connection_options(settings),
            configure=_configure,
            min_size=connections,
            max_size=connections,
            open=False,
        )
        self._client = httpx.AsyncClient(**client_options(settings))

    @classmethod
    async def open(cls, settings: PeerSettings) -> Self:
        """Build the job with its keys and connections; on return it is ready to work."""
        job = cls(settings, reader=Reader(betcore_url=settings.betcore_url))
        await job._pool.open(wait=True)
        return job

    async def run(self, token: str, received_at_ms: int) -> None:
        """Bring one event to its end; raises what did not work."""
        message = SettleMessage(token=token, received_at_ms=received_at_ms)
        event, instruction = self._reader.read(message)
        settlement = await self._settle(event, instruction)
        if settlement.is_closed:
            return
        response = await self._client.post(ACCEPT_PATH, content=accept_body(settlement, instruction))
        check_acknowledged(response)
        async with self._pool.connection() as connection:
            await connection.execute(_MARK, ([event.event_id],))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()
        await self._pool.close()

    async def _settle(self, event: VerifiedEvent, instruction: Instruction) -> Settlement:
        parameters = (
            event.event_id,
            event.token,
            event.cashback_id,
            event.received_at,
            POLICY.cutoff_seconds,
            POLICY.deadline_seconds,
            TIMEOUT_SECONDS + OVERDUE_SECONDS,
            instruction.kind,
            instruction.transaction_type,
            instruction.user_id,
            instruction.amount,
            instruction.tax,
            POLICY.withhold_tax,
            POLICY.allow_negative,
            POLICY.cancel_blocked,
        )
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_SETTLE, parameters)).fetchone()
        if row is None:
            raise LookupError("settle_event returned no row")
        return _settlement(row)


def _settlement(row: tuple[Any, ...]) -> Settlement:
    state, code, transaction_id, cashback_id, *transaction, runs, to_cutoff, to_deadline = row
    transaction_type, user_id, amount_minor, tax_minor, exponent = transaction
    return Settlement(
        state=State(state),
        cashback_id=cashback_id,
        code=code,
        transaction=None
        if transaction_id is None
        else PostedTransaction(
            transaction_id=transaction_id,
            cashback_id=cashback_id,
            transaction_type=transaction_type,
            user_id=user_id,
            amount_minor=amount_minor,
            tax_minor=tax_minor,
            exponent=exponent,
        ),
        runs=runs,
        seconds_to_cutoff=to_cutoff,
        seconds_to_deadline=to_deadline,
    )
