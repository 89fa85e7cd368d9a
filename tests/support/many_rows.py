"""A database with many rows of each kind, what PostgreSQL knows of them, and what a call reads of them."""

from collections.abc import Callable
from typing import Any, Final

import psycopg

TABLES: Final = (
    "accounts",
    "transactions",
    "entries",
    "receipts",
    "tokens",
    "quarantine",
    "replay_orders",
    "replays",
)
# Events that were answered, that wait, that wait for their next attempt, that ended badly, by number.
# Every tenth cashback went to user 1.
_ACCOUNTS: Final = """
INSERT INTO accounts (kind, user_id, currency, balance_minor)
SELECT 'user', 'user ' || number, 'EUR', 10000000 FROM generate_series(1, %(rows)s) AS number
"""
_TRANSACTIONS: Final = """
INSERT INTO transactions (kind, cashback_id, transaction_type, event_id, account_id, amount_minor)
SELECT 'payout', number, 1, md5('answered ' || number)::uuid,
    first.account_id + CASE WHEN number % 10 = 0 THEN 0 ELSE number - 1 END, 100
FROM generate_series(1, %(rows)s) AS number,
    (SELECT account_id FROM accounts WHERE user_id = 'user 1') AS first
"""
_ENTRIES: Final = """
INSERT INTO entries (transaction_id, account_id, amount_minor)
SELECT transaction_id, line.account_id, line.amount_minor
FROM transactions, (SELECT account_id FROM accounts WHERE kind = 'cashback' AND currency = 'EUR') AS house,
    LATERAL (
        VALUES (transactions.account_id, 100), (house.account_id, -100)
    ) AS line (account_id, amount_minor)
ORDER BY transaction_id
"""
_RECEIPTS: Final = """
INSERT INTO receipts (event_id, cashback_id, received_at, credit_cutoff_at, deadline_at, next_attempt_at,
    state, code, transaction_id, settled_at, closed_at, unconfirmed)
"""
_ANSWERED: Final = """
SELECT md5('answered ' || number)::uuid, number, moment, moment + interval '25 seconds',
    moment + interval '30 seconds', moment,
    'answered', 200, transactions.transaction_id, moment, moment, false
FROM generate_series(1, %(rows)s) AS number JOIN transactions ON cashback_id = number,
    LATERAL (SELECT now() - interval '1 hour' - number * interval '1 second' AS moment) AS at
"""
_WAITING: Final = """
SELECT md5('waiting ' || number)::uuid, %(rows)s + number, moment, moment + interval '1 day',
    moment + interval '2 days', moment + interval '1 day', 'received', NULL, NULL, NULL, NULL, false
FROM generate_series(1, %(rows)s) AS number,
    LATERAL (SELECT now() - number * interval '1 millisecond' AS moment) AS at
"""
_UNANSWERED: Final = """
SELECT md5('unanswered ' || number)::uuid, 2 * %(rows)s + number, moment, moment + interval '1 day',
    moment + interval '2 days', moment + interval '1 day', 'settled', 102145, NULL, moment, NULL, false
FROM generate_series(1, %(rows)s / 10) AS number,
    LATERAL (SELECT now() - number * interval '1 millisecond' AS moment) AS at
"""
_ENDED: Final = """
SELECT md5('ended ' || number)::uuid, number, moment, moment + interval '25 seconds',
    moment + interval '30 seconds', moment, CASE WHEN number % 2 = 0 THEN 'refused' ELSE 'expired' END,
    200, transactions.transaction_id, moment, moment, true
FROM generate_series(1, %(rows)s / 10) AS number JOIN transactions ON cashback_id = number,
    LATERAL (SELECT now() - interval '1 hour' - number * interval '10 second' AS moment) AS at
"""
_DECLINED: Final = """
INSERT INTO receipts (event_id, cashback_id, received_at, credit_cutoff_at, deadline_at, next_attempt_at,
    state, code, settled_at, closed_at, user_id)
SELECT md5('declined ' || number)::uuid, 3 * %(rows)s + number, moment, moment + interval '25 seconds',
    moment + interval '30 seconds', moment, CASE WHEN number % 2 = 0 THEN 'answered' ELSE 'expired' END,
    CASE WHEN number % 1000 = 0 THEN 103753 ELSE 103779 END, moment, moment, 'user ' || number % 1000
FROM generate_series(1, %(rows)s / 10) AS number,
    LATERAL (SELECT now() - interval '1 hour' - number * interval '10 second' AS moment) AS at
"""
_TOKENS: Final = """
INSERT INTO tokens (slot, received_at, event_id, token)
SELECT token_slot(received_at), received_at, event_id, 'token'
FROM receipts WHERE state IN ('received', 'settled')
"""
_QUARANTINE: Final = """
INSERT INTO quarantine (digest, reason, detail, queue, headers, message, message_bytes)
SELECT sha256(number::text::bytea), CASE WHEN number % 100 = 0 THEN 'unknown_task' ELSE 'bad_message' END,
    '', 'cashback', '{}', '', 0
FROM generate_series(1, least(%(rows)s, 10000)) AS number
"""
# As many replays that ended as there are cashbacks, and an order that is open for what ended badly.
_ORDERS: Final = """
INSERT INTO replay_orders (person, reason, rate, next_due_at, ended_at)
VALUES ('anna', 'test', 10, now(), now()), ('anna', 'test', 200, now() - interval '1 hour', NULL)
"""
_REPLAYS: Final = """
INSERT INTO replays (order_id, event_id, state, tries, window_ends_at, ended_at)
SELECT 1, md5('answered ' || number)::uuid, 'answered', 1, now(), now()
FROM generate_series(1, %(rows)s) AS number
UNION ALL
SELECT 2, md5('ended ' || number)::uuid, 'open', 0, NULL, NULL
FROM generate_series(1, %(rows)s / 10) AS number
"""


def fill(connection: psycopg.Connection, *, rows: int) -> None:
    """Make `rows` users and cashbacks, as many events that wait, a tenth of each other kind, and quarantine.

    No vacuum and no statistics come by themselves.
    """
    for table in TABLES:
        if table != "tokens":
            connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
        # Past all guards, for speed.
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    receipts = (_RECEIPTS + kind for kind in (_ANSWERED, _WAITING, _UNANSWERED, _ENDED))
    others = (_DECLINED, _TOKENS, _QUARANTINE, _ORDERS, _REPLAYS)
    for statement in (_ACCOUNTS, _TRANSACTIONS, _ENTRIES, *receipts, *others):
        connection.execute(statement.replace(" % ", " %% "), {"rows": rows})
    for table in TABLES:
        connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")


def know(connection: psycopg.Connection, statistics: str) -> None:
    """Let PostgreSQL know nothing of the tables, or what was true when they were empty, or what is true."""
    if statistics == "fresh":
        connection.execute("ANALYZE")
        return
    connection.execute(
        "SELECT pg_clear_attribute_stats(schemaname, tablename, attname, inherited) FROM pg_stats"
        " WHERE tablename = ANY (%s) OR tablename LIKE 'tokens_%%'",
        (list(TABLES),),
    )
    connection.execute(
        "SELECT pg_clear_relation_stats(nspname, relname),"
        " CASE WHEN %(empty)s THEN pg_restore_relation_stats('schemaname', nspname::text,"
        " 'relname', relname::text, 'relpages', 0, 'reltuples', 0::real) END"
        " FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE nspname = current_schema() AND relkind IN ('r', 'p', 'i', 'I')",
        {"empty": statistics == "stale"},
    )


def buffers_of(observer: psycopg.Connection, reader: psycopg.Connection, work: Callable[[], Any]) -> int:
    """Count the buffers of tables and indexes that `work` reads on the session `reader`, up to its commit."""
    before = _buffers(observer, reader)
    work()
    return _buffers(observer, reader) - before


def _buffers(observer: psycopg.Connection, reader: psycopg.Connection) -> int:
    reader.execute("SELECT pg_stat_force_next_flush()")
    row = observer.execute(
        "SELECT sum(coalesce(hits, 0) + coalesce(reads, 0))::bigint FROM pg_stat_get_backend_io(%s)"
        " WHERE object = 'relation'",
        (reader.info.backend_pid,),
    ).fetchone()
    assert row is not None
    return int(row[0])
