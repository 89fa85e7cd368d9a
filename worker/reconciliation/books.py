"""The books against themselves: all of them, or what was posted in the period."""

from typing import Final

from worker.reconciliation.check import Check, Scope, Weight

_CURRENCY_SUMS: Final = """
SELECT accounts.currency,
    round(sum(entries.amount_minor) / power(10::numeric, exponent), exponent)::text AS ours,
    'all its entries come to ' || sum(entries.amount_minor) || ' minor units and not to zero' AS detail
FROM entries JOIN accounts USING (account_id) JOIN currencies USING (currency)
GROUP BY accounts.currency, exponent
HAVING sum(entries.amount_minor) <> 0
"""
_BALANCES: Final = """
SELECT user_id, accounts.currency,
    round(balance_minor / power(10::numeric, exponent), exponent)::text AS ours,
    'the balance is ' || balance_minor || ' minor units, its entries come to '
        || coalesce(posted.sum, 0) AS detail
FROM accounts JOIN currencies USING (currency) LEFT JOIN (
    SELECT account_id, sum(amount_minor) FROM entries GROUP BY account_id
) AS posted USING (account_id)
WHERE kind = 'user' AND balance_minor IS DISTINCT FROM coalesce(posted.sum, 0)
"""
_ORPHANS: Final = """
SELECT entries.transaction_id,
    count(*) || ' entries of ' || CASE
        WHEN bool_or(transactions.transaction_id IS NULL) THEN 'a transaction'
        ELSE 'an account' END || ' that is not there' AS detail
FROM entries LEFT JOIN transactions USING (transaction_id)
    LEFT JOIN accounts ON accounts.account_id = entries.account_id
WHERE transactions.transaction_id IS NULL OR accounts.account_id IS NULL
GROUP BY entries.transaction_id
"""
_KEYS: Final = """
SELECT cashback_id, transaction_type, min(transaction_id) AS transaction_id,
    count(*) || ' transactions have this CashbackId and type, the last one is '
        || max(transaction_id) AS detail
FROM transactions
WHERE cashback_id IS NOT NULL
GROUP BY cashback_id, transaction_type
HAVING count(*) > 1
"""
# As post_entries of trigger_functions/books.sql has it, for rows that it may not have seen. What a cancel did
# to the user follows its payout and not its own tax: `cancels` looks at it.
_POSTINGS: Final = """
SELECT cashback_id, transaction_type, line.transaction_id, event_id, payee.user_id, payee.currency,
    round(line.amount_minor / power(10::numeric, exponent), exponent)::text AS ours, line.created_at AS at,
    CASE WHEN entries = 0 THEN 'it has no entries'
        WHEN sum <> 0 THEN 'its entries come to ' || sum || ' minor units and not to zero'
        WHEN known <> entries OR least_currency <> greatest_currency
            THEN 'its entries are not in one currency'
        ELSE 'its entries are not what it says: ' || to_account || ' minor units for the account of '
            || line.amount_minor END AS detail
FROM (
    SELECT made.*, count(entries.entry_id) AS entries, coalesce(sum(entries.amount_minor), 0) AS sum,
        count(touched.account_id) AS known,
        min(touched.currency) AS least_currency, max(touched.currency) AS greatest_currency,
        coalesce(sum(entries.amount_minor) FILTER (WHERE entries.account_id = made.account_id), 0)
            AS to_account,
        coalesce(-sum(entries.amount_minor) FILTER (WHERE touched.kind IN ('cashback', 'opening')), 0)
            AS from_house
    FROM (
        SELECT transaction_id, kind, cashback_id, transaction_type, event_id, account_id, amount_minor,
            tax_minor, created_at
        FROM transactions WHERE created_at >= %(since)s AND created_at < %(until)s
    ) AS made LEFT JOIN entries USING (transaction_id)
        LEFT JOIN accounts AS touched ON touched.account_id = entries.account_id
    GROUP BY made.transaction_id, made.kind, made.cashback_id, made.transaction_type, made.event_id,
        made.account_id, made.amount_minor, made.tax_minor, made.created_at
) AS line LEFT JOIN accounts AS payee ON payee.account_id = line.account_id
    LEFT JOIN currencies ON currencies.currency = payee.currency
WHERE entries = 0 OR sum <> 0 OR known <> entries OR least_currency <> greatest_currency
    OR NOT CASE line.kind
        WHEN 'payout' THEN from_house = amount_minor
            AND to_account IN (amount_minor, amount_minor - tax_minor)
        WHEN 'cancel' THEN from_house = -amount_minor
        ELSE to_account = amount_minor END
"""
_CANCELS: Final = """
SELECT cancel.cashback_id, cancel.transaction_type, cancel.transaction_id, cancel.event_id, user_id,
    accounts.currency, round(cancel.amount_minor / power(10::numeric, exponent), exponent)::text AS ours,
    cancel.created_at AS at,
    CASE WHEN payout.transaction_id IS NULL THEN 'it reverses no payout that is there'
        WHEN twice.reverses IS NOT NULL THEN 'its payout is reversed more than once'
        WHEN unlike.transaction_id IS NOT NULL THEN 'its entries are not the reverse of those of its payout'
        ELSE 'it is of another cashback, account or amount than its payout' END AS detail
FROM transactions AS cancel
    LEFT JOIN transactions AS payout ON payout.transaction_id = cancel.reverses AND payout.kind = 'payout'
    LEFT JOIN (
        SELECT reverses FROM transactions WHERE reverses IS NOT NULL GROUP BY reverses HAVING count(*) > 1
    ) AS twice ON twice.reverses = cancel.reverses
    LEFT JOIN (
        SELECT DISTINCT transaction_id FROM (
            SELECT made.transaction_id FROM transactions AS made
                JOIN entries ON entries.transaction_id IN (made.transaction_id, made.reverses)
            WHERE made.kind = 'cancel' AND made.created_at >= %(since)s AND made.created_at < %(until)s
            GROUP BY made.transaction_id, entries.account_id HAVING sum(entries.amount_minor) <> 0
        ) AS line
    ) AS unlike ON unlike.transaction_id = cancel.transaction_id
    LEFT JOIN accounts ON accounts.account_id = cancel.account_id
    LEFT JOIN currencies ON currencies.currency = accounts.currency
WHERE cancel.kind = 'cancel' AND cancel.created_at >= %(since)s AND cancel.created_at < %(until)s
    AND (payout.transaction_id IS NULL OR twice.reverses IS NOT NULL OR unlike.transaction_id IS NOT NULL
        OR (payout.cashback_id, payout.account_id, payout.amount_minor)
            IS DISTINCT FROM (cancel.cashback_id, cancel.account_id, cancel.amount_minor))
"""
_WITHOUT_RECEIPT: Final = """
SELECT made.cashback_id, made.transaction_type, made.transaction_id, made.event_id, accounts.user_id,
    accounts.currency, round(made.amount_minor / power(10::numeric, exponent), exponent)::text AS ours,
    made.created_at AS at, 'the receipt of its event is missing, or says something else' AS detail
FROM transactions AS made LEFT JOIN receipts
        ON receipts.event_id = made.event_id AND code = 200 AND receipts.transaction_id = made.transaction_id
    LEFT JOIN accounts ON accounts.account_id = made.account_id
    LEFT JOIN currencies ON currencies.currency = accounts.currency
WHERE made.kind IN ('payout', 'cancel') AND made.created_at >= %(since)s AND made.created_at < %(until)s
    AND made.created_at >= %(pruned_before)s AND receipts.event_id IS NULL
"""
_CANCELLED: Final = """
SELECT made.cashback_id, made.transaction_type, made.transaction_id, made.event_id, user_id,
    accounts.currency, round(made.amount_minor / power(10::numeric, exponent), exponent)::text AS ours,
    made.created_at AS at,
    'reverses the payout of ' || to_char(payout.created_at, 'YYYY-MM-DD HH24:MI:SS') || ' UTC' AS detail
FROM transactions AS made JOIN transactions AS payout ON payout.transaction_id = made.reverses
    JOIN accounts ON accounts.account_id = made.account_id
    JOIN currencies ON currencies.currency = accounts.currency
WHERE made.kind = 'cancel' AND made.created_at >= %(since)s AND made.created_at < %(until)s
"""
_ADJUSTMENTS: Final = """
SELECT off.transaction_id, user_id, accounts.currency,
    round(off.amount_minor / power(10::numeric, exponent), exponent)::text AS ours, off.at, off.detail
FROM (
    SELECT transaction_id, account_id, amount_minor, created_at AS at,
        'nobody asked for this adjustment, or for another amount or account' AS detail
    FROM transactions AS made
    WHERE kind = 'adjustment' AND created_at >= %(since)s AND created_at < %(until)s AND NOT EXISTS (
        SELECT FROM adjustments WHERE state = 'posted' AND adjustments.transaction_id = made.transaction_id
            AND (adjustments.account_id, adjustments.amount_minor) = (made.account_id, made.amount_minor))
    UNION ALL
    SELECT transaction_id, account_id, amount_minor, decided_at,
        'the adjustment ' || adjustment_key || ' was posted, and its transaction is not there'
    FROM adjustments AS asked
    WHERE state = 'posted' AND decided_at >= %(since)s AND decided_at < %(until)s AND NOT EXISTS (
        SELECT FROM transactions WHERE transactions.transaction_id = asked.transaction_id
            AND kind = 'adjustment')
) AS off LEFT JOIN accounts USING (account_id) LEFT JOIN currencies USING (currency)
"""

BOOKS: Final = (
    Check(
        name="currency_sums",
        what="all entries of a currency sum to zero",
        scope=Scope.ENTRIES,
        differences=_CURRENCY_SUMS,
    ),
    Check(
        name="balances",
        what="each user's balance is the sum of its entries",
        scope=Scope.ACCOUNTS,
        differences=_BALANCES,
    ),
    Check(
        name="orphan_entries",
        what="each entry has its transaction and its account",
        scope=Scope.ENTRIES,
        differences=_ORPHANS,
    ),
    Check(
        name="business_keys",
        what="one transaction for a CashbackId and type",
        scope=Scope.BUSINESS_KEYS,
        differences=_KEYS,
    ),
    Check(
        name="postings",
        what="the entries of a transaction sum to zero and are what it says",
        scope=Scope.TRANSACTIONS,
        differences=_POSTINGS,
    ),
    Check(
        name="cancels",
        what="each cancel reverses one payout, exactly and once",
        scope=Scope.CANCELS,
        differences=_CANCELS,
    ),
    Check(
        name="adjustments",
        what="what was adjusted is what was asked for, and the other way round",
        scope=Scope.ADJUSTMENTS,
        differences=_ADJUSTMENTS,
    ),
    Check(
        name="posting_without_receipt",
        what="each payout and cancel has the receipt of its event",
        scope=Scope.POSTINGS,
        differences=_WITHOUT_RECEIPT,
    ),
    Check(
        name="cancelled_after_credit",
        what="payouts that were taken back",
        scope=Scope.CANCELS,
        differences=_CANCELLED,
        weight=Weight.INFORMATION,
    ),
)
"""What is asked of the books alone."""
