"""A statement of BETCORE's side against the ledger, by (CashbackId, TransactionType).

A transaction of ours belongs to the period that it was posted in, a row of theirs to the one of its time.
Each is looked for among all of the other side, so that what stands at the border of a day is found.
"""

from typing import Final, LiteralString

from worker.reconciliation.check import Check, Scope

_OURS: Final[LiteralString] = """
SELECT made.cashback_id, made.transaction_type, made.transaction_id, made.event_id, accounts.user_id,
    accounts.currency, round(made.amount_minor / power(10::numeric, exponent), exponent)::text AS ours,
"""
_MATCHED: Final[LiteralString] = """
FROM transactions AS made
    JOIN pg_temp.betcore_statement AS theirs USING (cashback_id, transaction_type)
    JOIN accounts ON accounts.account_id = made.account_id
    JOIN currencies ON currencies.currency = accounts.currency
"""
_MISSING: Final[LiteralString] = f"""
{_OURS}    made.created_at AS at, 'credited or taken back, and not in their statement' AS detail
FROM transactions AS made
    LEFT JOIN pg_temp.betcore_statement AS theirs USING (cashback_id, transaction_type)
    LEFT JOIN accounts ON accounts.account_id = made.account_id
    LEFT JOIN currencies ON currencies.currency = accounts.currency
WHERE made.kind IN ('payout', 'cancel') AND (made.kind = 'payout' OR %(has_types)s::boolean)
    AND made.created_at >= %(since)s AND made.created_at < %(until)s AND theirs.line_number IS NULL
    AND made.created_at < greatest(%(end)s::timestamptz, (SELECT max(at) FROM pg_temp.betcore_statement))
        - %(grace)s::interval
"""  # noqa: S608 - texts of ours
_MISSING_PENDING: Final = """
SELECT count(*)
FROM transactions AS made
    LEFT JOIN pg_temp.betcore_statement AS theirs USING (cashback_id, transaction_type)
WHERE made.kind IN ('payout', 'cancel') AND (made.kind = 'payout' OR %(has_types)s::boolean)
    AND made.created_at >= %(since)s AND made.created_at < %(until)s AND theirs.line_number IS NULL
    AND made.created_at >= greatest(%(end)s::timestamptz, (SELECT max(at) FROM pg_temp.betcore_statement))
        - %(grace)s::interval
"""
_NOT_CREDITED: Final = """
SELECT theirs.cashback_id, theirs.transaction_type, heard.event_id, theirs.user_id, theirs.currency,
    theirs.amount::text AS theirs, theirs.at, theirs.line_number,
    'confirmed by them and not credited: the event is ' || heard.state
        || coalesce(', decided ' || heard.code, '') AS detail
FROM pg_temp.betcore_statement AS theirs
    LEFT JOIN transactions AS made USING (cashback_id, transaction_type)
    CROSS JOIN LATERAL (
        SELECT event_id, state, code, deadline_at FROM receipts
        WHERE receipts.cashback_id = theirs.cashback_id
            AND coalesce(receipts.transaction_type, theirs.transaction_type) = theirs.transaction_type
        ORDER BY received_at DESC LIMIT 1
    ) AS heard
WHERE theirs.status = 'confirmed' AND made.transaction_id IS NULL
    AND (theirs.at IS NULL OR theirs.at >= %(since)s AND theirs.at < %(until)s)
    AND NOT (heard.state IN ('received', 'settled') AND heard.deadline_at >= %(stuck_before)s)
"""
_NOT_CREDITED_PENDING: Final = """
SELECT count(*)
FROM pg_temp.betcore_statement AS theirs
    LEFT JOIN transactions AS made USING (cashback_id, transaction_type)
    CROSS JOIN LATERAL (
        SELECT state, deadline_at FROM receipts
        WHERE receipts.cashback_id = theirs.cashback_id
            AND coalesce(receipts.transaction_type, theirs.transaction_type) = theirs.transaction_type
        ORDER BY received_at DESC LIMIT 1
    ) AS heard
WHERE theirs.status = 'confirmed' AND made.transaction_id IS NULL
    AND (theirs.at IS NULL OR theirs.at >= %(since)s AND theirs.at < %(until)s)
    AND heard.state IN ('received', 'settled') AND heard.deadline_at >= %(stuck_before)s
"""
_NEVER_SEEN: Final = """
SELECT theirs.cashback_id, theirs.transaction_type, theirs.user_id, theirs.currency,
    theirs.amount::text AS theirs, theirs.at, theirs.line_number,
    theirs.status || ' with them, and no event of it ever came' AS detail
FROM pg_temp.betcore_statement AS theirs
    LEFT JOIN transactions AS made USING (cashback_id, transaction_type)
WHERE theirs.status <> 'cancelled' AND made.transaction_id IS NULL
    AND (theirs.at IS NULL OR theirs.at >= %(since)s AND theirs.at < %(until)s
        AND theirs.at < %(settled_before)s)
    AND NOT EXISTS (
        SELECT FROM receipts WHERE receipts.cashback_id = theirs.cashback_id
            AND coalesce(receipts.transaction_type, theirs.transaction_type) = theirs.transaction_type)
"""
_NEVER_SEEN_PENDING: Final = """
SELECT count(*)
FROM pg_temp.betcore_statement AS theirs
    LEFT JOIN transactions AS made USING (cashback_id, transaction_type)
WHERE theirs.status <> 'cancelled' AND made.transaction_id IS NULL
    AND theirs.at >= %(since)s AND theirs.at < %(until)s AND theirs.at >= %(settled_before)s
    AND NOT EXISTS (
        SELECT FROM receipts WHERE receipts.cashback_id = theirs.cashback_id
            AND coalesce(receipts.transaction_type, theirs.transaction_type) = theirs.transaction_type)
"""
# A cancel is written with a minus by some.
_AMOUNT: Final[LiteralString] = f"""
{_OURS}    theirs.amount::text AS theirs, made.created_at AS at, theirs.line_number,
    'the amounts differ' AS detail
{_MATCHED}WHERE made.created_at >= %(since)s AND made.created_at < %(until)s
    AND CASE made.kind WHEN 'cancel' THEN abs(theirs.amount) ELSE theirs.amount END
        * power(10::numeric, exponent) <> made.amount_minor
"""
_CURRENCY: Final = """
SELECT made.cashback_id, made.transaction_type, made.transaction_id, made.event_id, accounts.user_id,
    accounts.currency AS ours, theirs.currency AS theirs, made.created_at AS at, theirs.line_number,
    'the currencies differ' AS detail
FROM transactions AS made
    JOIN pg_temp.betcore_statement AS theirs USING (cashback_id, transaction_type)
    JOIN accounts ON accounts.account_id = made.account_id
WHERE made.created_at >= %(since)s AND made.created_at < %(until)s
    AND theirs.currency <> accounts.currency::text
"""
_USER: Final = """
SELECT made.cashback_id, made.transaction_type, made.transaction_id, made.event_id,
    accounts.user_id AS ours, theirs.user_id AS theirs, made.created_at AS at, theirs.line_number,
    'the users differ' AS detail
FROM transactions AS made
    JOIN pg_temp.betcore_statement AS theirs USING (cashback_id, transaction_type)
    JOIN accounts ON accounts.account_id = made.account_id
WHERE made.created_at >= %(since)s AND made.created_at < %(until)s
    AND theirs.user_id <> accounts.user_id
"""
_CANCELLED: Final[LiteralString] = f"""
{_OURS}    made.created_at AS at, theirs.line_number, 'cancelled with them, and it stands with us' AS detail
{_MATCHED}    LEFT JOIN transactions AS back ON back.reverses = made.transaction_id
WHERE made.kind = 'payout' AND made.created_at >= %(since)s AND made.created_at < %(until)s
    AND theirs.status = 'cancelled' AND back.transaction_id IS NULL
"""
_OPEN: Final[LiteralString] = f"""
{_OURS}    made.created_at AS at, theirs.line_number, 'still open with them, and it stands with us' AS detail
{_MATCHED}WHERE made.created_at >= %(since)s AND made.created_at < least(%(until)s, %(settled_before)s)
    AND theirs.status = 'open'
"""
_OPEN_PENDING: Final = """
SELECT count(*)
FROM transactions AS made
    JOIN pg_temp.betcore_statement AS theirs USING (cashback_id, transaction_type)
WHERE made.created_at >= %(since)s AND made.created_at < %(until)s
    AND made.created_at >= %(settled_before)s AND theirs.status = 'open'
"""
_DUPLICATES: Final = """
SELECT cashback_id, transaction_type, min(line_number) AS line_number, min(at) AS at,
    'stands ' || count(*) || ' times in their statement, last on line ' || max(line_number) AS detail
FROM pg_temp.betcore_statement
GROUP BY cashback_id, transaction_type
HAVING count(*) > 1 AND (min(at) IS NULL OR bool_or(at >= %(since)s AND at < %(until)s))
"""


def _check(name: str, what: str, scope: Scope, differences: str, pending: str | None = None) -> Check:
    return Check(name=f"statement_{name}", what=what, scope=scope, differences=differences, pending=pending)


STATEMENT: Final = (
    _check("missing", "what we credited or took back is in it", Scope.POSTINGS, _MISSING, _MISSING_PENDING),
    _check(
        "not_credited",
        "what they confirmed is credited",
        Scope.STATEMENT,
        _NOT_CREDITED,
        _NOT_CREDITED_PENDING,
    ),
    _check("never_seen", "what is in it came to us", Scope.STATEMENT, _NEVER_SEEN, _NEVER_SEEN_PENDING),
    _check("amount", "amounts are the same", Scope.STATEMENT, _AMOUNT),
    _check("currency", "currencies are the same", Scope.STATEMENT, _CURRENCY),
    _check("user", "users are the same", Scope.STATEMENT, _USER),
    _check("cancelled", "what they cancelled is taken back", Scope.STATEMENT, _CANCELLED),
    _check("open", "what stands with us is no longer open with them", Scope.STATEMENT, _OPEN, _OPEN_PENDING),
    _check("duplicates", "a CashbackId and type stands in it once", Scope.STATEMENT, _DUPLICATES),
)
"""What is asked where a statement is given."""
