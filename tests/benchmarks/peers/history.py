"""Ledgers with a history: payouts made and answered before a measurement begins, as template databases."""

from typing import Final

import psycopg
from psycopg import sql

from tests.benchmarks.errors import BenchmarkFailed
from tests.benchmarks.rig import TEMPLATE, Rig
from tests.benchmarks.tokens import AMOUNT_MINOR

_AGE: Final = "interval '1 day'"
# Transactions and receipts of one another are found by their number; the accounts take turns.
_PLAN: Final = """
    CREATE TEMPORARY TABLE users AS
    SELECT account_id, row_number() OVER (ORDER BY account_id) - 1 AS turn FROM accounts WHERE kind = 'user'
"""
_TRANSACTIONS: Final = """
    INSERT INTO transactions
        (transaction_id, kind, cashback_id, transaction_type, event_id, account_id, amount_minor, tax_minor)
    OVERRIDING SYSTEM VALUE
    SELECT number, 'payout', number, 1, gen_random_uuid(), account_id, %(amount)s, 0
    FROM generate_series(1, %(size)s::bigint) AS number
        JOIN users ON turn = number * 7919 %% (SELECT count(*) FROM users)
    ORDER BY number
"""
_ENTRIES: Final = """
    INSERT INTO entries (transaction_id, account_id, amount_minor)
    SELECT transaction_id, line.account_id, line.amount_minor
    FROM transactions CROSS JOIN LATERAL (
        VALUES
            (transactions.account_id, transactions.amount_minor),
            ((SELECT account_id FROM accounts WHERE kind = 'cashback' AND currency = 'EUR'),
                -transactions.amount_minor)
    ) AS line (account_id, amount_minor)
    ORDER BY transaction_id
"""
_BALANCES: Final = """
    UPDATE accounts SET balance_minor = total FROM (
        SELECT account_id, sum(amount_minor) AS total FROM entries GROUP BY account_id
    ) AS moved
    WHERE accounts.account_id = moved.account_id AND kind = 'user'
"""
_RECEIPTS: Final = f"""
    INSERT INTO receipts (event_id, cashback_id, received_at, credit_cutoff_at, deadline_at, state,
        code, transaction_id, runs, attempts, next_attempt_at, settled_at, closed_at)
    SELECT event_id, cashback_id, at, at + interval '25 s',
        at + interval '30 s', 'answered', 200, transaction_id, 1, 1, at + interval '3 s', at, at
    FROM transactions CROSS JOIN LATERAL (
        SELECT now() - {_AGE} + transaction_id * interval '1 ms' AS at
    ) AS moment
    ORDER BY transaction_id
"""  # noqa: S608 -- its parts are constants
# What the triggers would have refused.
_FAULTS: Final = """
    SELECT
        (SELECT sum(amount_minor) <> 0 FROM entries),
        (SELECT count(*) <> %(size)s FROM transactions),
        (SELECT count(*) <> %(size)s FROM receipts),
        EXISTS (SELECT FROM entries GROUP BY transaction_id HAVING sum(amount_minor) <> 0 OR count(*) <> 2),
        EXISTS (
            SELECT FROM accounts LEFT JOIN entries USING (account_id) WHERE kind = 'user'
            GROUP BY account_id HAVING balance_minor <> coalesce(sum(amount_minor), 0))
"""


def template(size: int) -> str:
    """Return the name of the template database with a history of `size` payouts."""
    return f"bench_ledger_{size}"


def make_template(rig: Rig, size: int) -> None:
    """Make the template; raises BenchmarkFailed where its books are not what they have to be."""
    rig.copy_database(TEMPLATE, template(size))
    with psycopg.connect(rig.postgres.url_of(template(size)), autocommit=True) as connection:
        # Row by row the triggers would take an hour for what is checked as a whole below.
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET work_mem = '256MB'")
        connection.execute(_PLAN)
        connection.execute(_TRANSACTIONS, {"size": size, "amount": AMOUNT_MINOR})
        connection.execute(
            "SELECT setval(pg_get_serial_sequence('transactions', 'transaction_id'), %s)", (size,)
        )
        for statement in (_ENTRIES, _BALANCES, _RECEIPTS):
            connection.execute(sql.SQL(statement))
        connection.execute("VACUUM ANALYZE")
        faults = connection.execute(_FAULTS, {"size": size}).fetchone()
    if faults is None or any(faults):
        raise BenchmarkFailed(f"the history of {size} payouts is not consistent: {faults}")
