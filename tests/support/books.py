"""The real ledger on a test's own database, and what must hold of its books at any moment."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg_pool import ConnectionPool

from cashback_client.contract import event_id_of
from deploy.local.postgres import PostgresServer
from tests.support.roles import as_role
from worker.accounts.importing import ImportNote
from worker.domain.settlement import Instruction, Kind
from worker.ledger.database import DeadlineConnection, open_pool
from worker.ledger.ledger import Ledger, LedgerPolicy, VerifiedEvent
from worker.schema.roles import WORKER

# So long that no test ever waits for them or runs into them by being slow.
CUTOFF_SECONDS = 600.0
DEADLINE_SECONDS = 900.0
CANCEL_TYPES = frozenset({-1, -2})

IMPORT_NOTE = ImportNote(file_name="accounts.csv", person="the tests")

_numbers = itertools.count(1)


def new_event(
    cashback_id: int, *, age_seconds: float = 0.0, token: str | None = None, name: str = "event"
) -> VerifiedEvent:
    """Return an event of its own, received `age_seconds` ago; the same token is the same event."""
    text = token or f"{name}-{cashback_id}-{next(_numbers)}"
    received_at = datetime.now(UTC) - timedelta(seconds=age_seconds)
    return VerifiedEvent(
        event_id=event_id_of(text), token=text, cashback_id=cashback_id, received_at=received_at
    )


def payout(cashback_id: int, user_id: str, amount: str, *, tax: str = "0") -> Instruction:
    """Return a payout as `read_instruction` reads it."""
    return _instruction(cashback_id, Kind.PAYOUT, 1, user_id, (amount, tax))


def cancel(cashback_id: int, user_id: str, amount: str, *, cancel_type: int = -1) -> Instruction:
    """Return a cancel as `read_instruction` reads it."""
    return _instruction(cashback_id, Kind.CANCEL, cancel_type, user_id, (amount, "0"))


def _instruction(
    cashback_id: int, kind: Kind, transaction_type: int, user_id: str, amounts: tuple[str, str]
) -> Instruction:
    return Instruction(
        cashback_id=cashback_id,
        kind=kind,
        transaction_type=transaction_type,
        user_id=user_id,
        amount=Decimal(amounts[0]),
        tax=Decimal(amounts[1]),
    )


def policy(
    *,
    withhold_tax: bool = False,
    allow_negative: bool = True,
    cancel_blocked: bool = True,
    cutoff_seconds: float = CUTOFF_SECONDS,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> LedgerPolicy:
    """Return a policy."""
    return LedgerPolicy(
        cutoff_seconds=cutoff_seconds,
        deadline_seconds=deadline_seconds,
        withhold_tax=withhold_tax,
        allow_negative=allow_negative,
        cancel_blocked=cancel_blocked,
    )


@contextmanager
def database_of(server: PostgresServer, template: str) -> Iterator[str]:
    """Make a database for several tests, with the program's schema and no data; gives its URL."""
    name = f"shared_{uuid4().hex}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        identifiers = sql.Identifier(name), sql.Identifier(template)
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(*identifiers))
    yield server.url_of(name)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def pool_of(
    database_url: str, *, size: int = 2, timeout_seconds: float = 120.0
) -> Iterator[ConnectionPool[DeadlineConnection]]:
    """Open the worker's own kind of pool on a database, with the worker's role."""
    pool = open_pool(as_role(database_url, WORKER), size=size, statement_timeout_seconds=timeout_seconds)
    try:
        yield pool
    finally:
        pool.close()


@contextmanager
def ledger_on(
    database_url: str, *, size: int = 2, timeout_seconds: float = 120.0, **options: bool
) -> Iterator[Ledger]:
    """Open the ledger on a database; the options are those of `policy`."""
    with pool_of(database_url, size=size, timeout_seconds=timeout_seconds) as pool:
        yield Ledger(pool, policy=policy(**options), timeout_seconds=timeout_seconds)


def add_user(
    connection: psycopg.Connection,
    user_id: str,
    currency: str = "EUR",
    *,
    status: str = "active",
    balance_minor: int = 0,
) -> int:
    """Open a user's account with a balance; returns its account_id."""
    row = connection.execute(
        "INSERT INTO accounts (kind, user_id, currency, status, balance_minor) "
        "VALUES ('user', %s, %s, %s, 0) RETURNING account_id",
        (user_id, currency, status),
    ).fetchone()
    assert row is not None
    if balance_minor:
        move(connection, user_id, balance_minor)
    return int(row[0])


def move(connection: psycopg.Connection, user_id: str, amount_minor: int) -> None:
    """Put money onto a user's account, or take it, past the ledger's own calls: as other business would."""
    connection.execute(
        "WITH account AS (SELECT account_id, currency FROM accounts WHERE user_id = %(user)s), "
        "made AS (INSERT INTO transactions (kind, account_id, amount_minor) "
        "SELECT 'opening', account_id, %(amount)s FROM account RETURNING transaction_id) "
        "INSERT INTO entries (transaction_id, account_id, amount_minor) "
        "SELECT transaction_id, account_id, %(amount)s::bigint FROM made, account UNION ALL "
        "SELECT transaction_id, accounts.account_id, -%(amount)s::bigint FROM made, account "
        "JOIN accounts USING (currency) WHERE accounts.kind = 'opening'",
        {"user": user_id, "amount": amount_minor},
    )


def balances(connection: psycopg.Connection, *user_ids: str) -> dict[str, int]:
    """Return the kept balances of users, in minor units."""
    rows = connection.execute(
        "SELECT user_id, balance_minor FROM accounts WHERE user_id = ANY(%s)", (list(user_ids),)
    )
    return dict(rows.fetchall())


@dataclass(frozen=True, slots=True)
class Audit:
    """What is wrong with the books; all zero where nothing is."""

    sum_minor: int
    unbalanced_transactions: int
    wrong_balances: int
    payouts_reversed_twice: int
    empty_transactions: int
    untrue_successes: int
    stray_adjustments: int


def audit(connection: psycopg.Connection) -> Audit:
    """Look through all of the books, with queries that trust none of the schema's own protections."""
    queries = (
        "SELECT coalesce(sum(amount_minor), 0) FROM entries",
        (
            "SELECT count(*) FROM (SELECT FROM entries GROUP BY transaction_id "
            "HAVING sum(amount_minor) <> 0) AS t"
        ),
        (
            "SELECT count(*) FROM accounts WHERE kind = 'user' AND balance_minor <> "
            "(SELECT coalesce(sum(amount_minor), 0) FROM entries "
            "WHERE entries.account_id = accounts.account_id)"
        ),
        (
            "SELECT count(*) FROM (SELECT FROM transactions WHERE reverses IS NOT NULL "
            "GROUP BY reverses HAVING count(*) > 1) AS t"
        ),
        (
            "SELECT count(*) FROM transactions WHERE NOT EXISTS "
            "(SELECT FROM entries WHERE entries.transaction_id = transactions.transaction_id)"
        ),
        (
            "SELECT count(*) FROM receipts LEFT JOIN transactions USING (transaction_id) "
            "WHERE code = 200 AND transactions.event_id IS DISTINCT FROM receipts.event_id"
        ),
        (
            "SELECT count(*) FROM (SELECT transaction_id, account_id, amount_minor FROM transactions "
            "WHERE kind = 'adjustment') AS made FULL JOIN (SELECT * FROM adjustments WHERE state = 'posted') "
            "AS asked USING (transaction_id, account_id, amount_minor) "
            "WHERE made IS NULL OR adjustment_key IS NULL"
        ),
    )
    found = []
    for query in queries:
        row = connection.execute(query).fetchone()
        assert row is not None
        found.append(int(row[0]))
    return Audit(*found)


SOUND = Audit(0, 0, 0, 0, 0, 0, 0)
