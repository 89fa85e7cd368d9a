"""Receipts of the period against the ledger, and against what BETCORE acknowledged."""

from typing import Final, LiteralString

from worker.reconciliation.check import Check, Scope

_CREDITED: Final[LiteralString] = """
SELECT receipts.cashback_id, coalesce(receipts.transaction_type, made.transaction_type) AS transaction_type,
    receipts.transaction_id, receipts.event_id, receipts.user_id, receipts.amount::text AS ours,
    received_at AS at,
    CASE state WHEN 'answered' THEN 'answered ' ELSE 'decided ' END || code || ', and its transaction is '
        || CASE WHEN made.transaction_id IS NULL THEN 'missing' ELSE 'of another cashback or event' END
        AS detail
FROM receipts LEFT JOIN transactions AS made USING (transaction_id)
WHERE received_at >= %(since)s AND received_at < %(until)s AND code IN (200, 103804)
    AND (made.transaction_id IS NULL OR made.cashback_id <> receipts.cashback_id
        OR (code = 200 AND made.event_id IS DISTINCT FROM receipts.event_id))
"""
_WITHOUT_TRANSACTION: Final[LiteralString] = f"{_CREDITED} AND state <> 'answered'"
_ANSWERED_WITHOUT: Final[LiteralString] = f"{_CREDITED} AND state = 'answered'"
_UNLIKE: Final = """
SELECT receipts.cashback_id, made.transaction_type, made.transaction_id, receipts.event_id, accounts.user_id,
    accounts.currency, round(made.amount_minor / power(10::numeric, exponent), exponent)::text AS ours,
    receipts.amount::text AS theirs, received_at AS at,
    CASE WHEN receipts.user_id <> accounts.user_id THEN 'the event is for another user'
        WHEN receipts.transaction_type <> made.transaction_type THEN 'the event is of another type'
        ELSE 'the event asks for another amount' END AS detail
FROM receipts JOIN transactions AS made USING (transaction_id, event_id)
    JOIN accounts ON accounts.account_id = made.account_id
    JOIN currencies ON currencies.currency = accounts.currency
WHERE received_at >= %(since)s AND received_at < %(until)s AND code = 200
    AND (receipts.user_id <> accounts.user_id OR receipts.transaction_type <> made.transaction_type
        OR receipts.amount * power(10::numeric, exponent) <> made.amount_minor)
"""
_UNCONFIRMED: Final = """
SELECT receipts.cashback_id, made.transaction_type, receipts.transaction_id, receipts.event_id,
    accounts.user_id, accounts.currency,
    round(made.amount_minor / power(10::numeric, exponent), exponent)::text AS ours, received_at AS at,
    state || ' after the credit, BETCORE has acknowledged no event of it'
        || coalesce('; ' || left(last_error, 200), '') AS detail
FROM receipts LEFT JOIN transactions AS made USING (transaction_id)
    LEFT JOIN accounts ON accounts.account_id = made.account_id
    LEFT JOIN currencies ON currencies.currency = accounts.currency
WHERE received_at >= %(since)s AND received_at < %(until)s
    AND state IN ('refused', 'expired') AND code = 200 AND confirmed_by IS NULL
"""
_STUCK_SETTLED: Final = """
SELECT cashback_id, transaction_type, transaction_id, event_id, user_id, amount::text AS ours,
    received_at AS at,
    'decided ' || code || ', and neither answered nor closed though its deadline has passed' AS detail
FROM receipts
WHERE received_at >= %(since)s AND received_at < %(until)s
    AND state = 'settled' AND deadline_at < %(stuck_before)s
"""
_PENDING_SETTLED: Final = """
SELECT count(*) FROM receipts
WHERE received_at >= %(since)s AND received_at < %(until)s
    AND state = 'settled' AND deadline_at >= %(stuck_before)s
"""
_STUCK_RECEIVED: Final = """
SELECT cashback_id, transaction_type, event_id, user_id, amount::text AS ours, received_at AS at,
    'received and not decided though its credit cut-off has passed' AS detail
FROM receipts
WHERE received_at >= %(since)s AND received_at < %(until)s
    AND state = 'received' AND credit_cutoff_at < %(stuck_before)s
"""
_PENDING_RECEIVED: Final = """
SELECT count(*) FROM receipts
WHERE received_at >= %(since)s AND received_at < %(until)s
    AND state = 'received' AND credit_cutoff_at >= %(stuck_before)s
"""

RECEIPTS: Final = (
    Check(
        name="answered_without_transaction",
        what="BETCORE was told of no credit that is not there",
        scope=Scope.RECEIPTS,
        differences=_ANSWERED_WITHOUT,
    ),
    Check(
        name="receipt_without_transaction",
        what="each event decided as credited has its transaction",
        scope=Scope.RECEIPTS,
        differences=_WITHOUT_TRANSACTION,
    ),
    Check(
        name="credit_unlike_event",
        what="what was credited is what the event asks for",
        scope=Scope.RECEIPTS,
        differences=_UNLIKE,
    ),
    Check(
        name="unconfirmed",
        what="BETCORE has acknowledged each credit",
        scope=Scope.RECEIPTS,
        differences=_UNCONFIRMED,
    ),
    Check(
        name="stuck_settled",
        what="what was decided has ended by its deadline",
        scope=Scope.RECEIPTS,
        differences=_STUCK_SETTLED,
        pending=_PENDING_SETTLED,
    ),
    Check(
        name="stuck_received",
        what="what was received was decided by its credit cut-off",
        scope=Scope.RECEIPTS,
        differences=_STUCK_RECEIVED,
        pending=_PENDING_RECEIVED,
    ),
)
"""What is asked of receipts."""
