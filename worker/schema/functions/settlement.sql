-- Settlement: the whole ledger decision about one event in one call, in one short transaction. What an event comes
-- to, and what a payout posts, is said here for groups as well (group_settlement.sql).
--
-- Locks are taken in one order everywhere: the receipt, the user's account, the transaction's unique key.
-- Called again for the same event, settle_event returns what it decided the first time.
-- ErrorCodes are those of BETCORE's accept; producer/client/cashback_client/contract.py names them.

-- Whether an amount and its tax, in minor units, can be posted.
CREATE OR REPLACE FUNCTION are_payable(p_amount numeric, p_tax numeric) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT p_amount > 0 AND p_amount < 1e15 AND p_amount = trunc(p_amount)
        AND p_tax >= 0 AND p_tax <= p_amount AND p_tax = trunc(p_tax)
$$;

-- What an event that is not decided yet comes to, by the first reason that holds; 200 also where it is still to be
-- posted (a cancel is then held against its payout). The one place that knows, for an event alone and in a group:
-- PostgreSQL puts its body where it is called.
--
-- p_kind is 'payout', 'cancel', or null where the data could not be read. p_standing_id is the transaction that has the
-- business key, p_standing_event_id the event behind it: another one, or this one where its receipt was pruned since.
-- p_is_late: the credit cut-off has passed. Account and status are null where the user has none, and the amounts, in minor units,
-- where they are no usable decimals. p_cancel_blocked: a cancel takes money back from a blocked user, too.
CREATE OR REPLACE FUNCTION settlement_code(
    p_event_id uuid, p_kind text, p_standing_id bigint, p_standing_event_id uuid, p_is_late boolean,
    p_account_id bigint, p_status text, p_amount numeric, p_tax numeric, p_cancel_blocked boolean
) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_kind IS NULL THEN 103753
        -- Before the cut-off is looked at: what stands is told at any time, or a late re-submission of a cashback
        -- that was paid would hear that it was not.
        WHEN p_standing_event_id = p_event_id THEN 200
        WHEN p_standing_id IS NOT NULL THEN 103804
        WHEN p_is_late THEN 102823
        WHEN p_account_id IS NULL THEN 102145
        WHEN p_status = 'blocked' AND NOT (p_kind = 'cancel' AND p_cancel_blocked) THEN 103779
        WHEN are_payable(p_amount, p_tax) THEN 200
        ELSE 103801
    END
$$;

-- The entries of a payout: from the house to the user, and what is withheld of the tax to the tax account. The one
-- place that knows, as above.
CREATE OR REPLACE FUNCTION payout_entries(
    p_account_id bigint, p_currency char(3), p_amount_minor bigint, p_withheld_minor bigint
) RETURNS TABLE (account_id bigint, amount_minor bigint) LANGUAGE sql STABLE ROWS 3 AS $$
    SELECT line.account_id, line.amount_minor
    FROM (
        VALUES
            (p_account_id, p_amount_minor - p_withheld_minor),
            ((SELECT accounts.account_id FROM accounts WHERE kind = 'cashback' AND currency = p_currency),
                -p_amount_minor),
            (CASE WHEN p_withheld_minor > 0 THEN
                (SELECT accounts.account_id FROM accounts WHERE kind = 'tax' AND currency = p_currency) END,
                p_withheld_minor)
    ) AS line (account_id, amount_minor)
    WHERE line.amount_minor <> 0
$$;

-- Post one payout and return its transaction; null where its business key was just taken.
CREATE OR REPLACE FUNCTION post_payout(
    p_event_id uuid, p_cashback_id bigint, p_transaction_type integer, p_account accounts,
    p_amount_minor bigint, p_tax_minor bigint, p_withhold_tax boolean
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_transaction_id bigint;
BEGIN
    INSERT INTO transactions (kind, cashback_id, transaction_type, event_id, account_id, amount_minor, tax_minor)
    VALUES ('payout', p_cashback_id, p_transaction_type, p_event_id, p_account.account_id, p_amount_minor, p_tax_minor)
    ON CONFLICT (cashback_id, transaction_type) DO NOTHING
    RETURNING transaction_id INTO v_transaction_id;
    IF FOUND THEN
        INSERT INTO entries (transaction_id, account_id, amount_minor)
        SELECT v_transaction_id, line.account_id, line.amount_minor
        FROM payout_entries(p_account.account_id, p_account.currency, p_amount_minor,
            CASE WHEN p_withhold_tax THEN p_tax_minor ELSE 0 END) AS line;
    END IF;
    RETURN v_transaction_id;
END $$;

-- Reverse the payout of the same CashbackId, entry by entry. A null code: its payout is not here yet.
CREATE OR REPLACE FUNCTION post_cancel(
    p_event_id uuid, p_cashback_id bigint, p_transaction_type integer, p_account accounts,
    p_amount_minor bigint, p_tax_minor bigint, p_allow_negative boolean
) RETURNS decision LANGUAGE plpgsql AS $$
DECLARE
    v_payout transactions;
    v_transaction_id bigint;
BEGIN
    SELECT * INTO v_payout FROM transactions WHERE cashback_id = p_cashback_id AND kind = 'payout';
    IF NOT FOUND THEN
        RETURN ROW(NULL, NULL, false)::decision;
    ELSIF v_payout.account_id <> p_account.account_id THEN
        RETURN ROW(102823, NULL, false)::decision;
    ELSIF v_payout.amount_minor <> p_amount_minor THEN
        RETURN ROW(103801, NULL, false)::decision;
    END IF;

    -- Another cancel type may have reversed it before: money comes back once.
    SELECT transaction_id INTO v_transaction_id FROM transactions WHERE reverses = v_payout.transaction_id;
    IF FOUND THEN
        RETURN ROW(103804, v_transaction_id, false)::decision;
    ELSIF NOT p_allow_negative AND p_account.balance_minor < (
            -- Not by the account's index as well: it may hold many entries.
            SELECT sum(amount_minor) FILTER (WHERE account_id = p_account.account_id) FROM entries
            WHERE transaction_id = v_payout.transaction_id) THEN
        RETURN ROW(102823, NULL, false)::decision;
    END IF;

    INSERT INTO transactions
        (kind, cashback_id, transaction_type, event_id, account_id, amount_minor, tax_minor, reverses)
    VALUES ('cancel', p_cashback_id, p_transaction_type, p_event_id, p_account.account_id,
        p_amount_minor, p_tax_minor, v_payout.transaction_id)
    RETURNING transaction_id INTO v_transaction_id;
    INSERT INTO entries (transaction_id, account_id, amount_minor)
    SELECT v_transaction_id, account_id, -amount_minor FROM entries WHERE transaction_id = v_payout.transaction_id;
    RETURN ROW(200, v_transaction_id, true)::decision;
END $$;

-- Decide an event alone, and post what it comes to. p_amount and p_tax are major units.
CREATE OR REPLACE FUNCTION decide(
    p_receipt receipts, p_kind text, p_transaction_type integer, p_user_id text, p_amount numeric, p_tax numeric,
    p_withhold_tax boolean, p_allow_negative boolean, p_cancel_blocked boolean
) RETURNS decision LANGUAGE plpgsql AS $$
DECLARE
    v_is_late boolean := clock_timestamp() >= p_receipt.credit_cutoff_at;
    v_standing transactions;
    v_account accounts;
    v_amount numeric;
    v_tax numeric;
    v_code integer;
    v_posted bigint;
BEGIN
    IF p_kind IS NOT NULL THEN
        SELECT * INTO v_standing FROM transactions
        WHERE cashback_id = p_receipt.cashback_id AND transaction_type = p_transaction_type;
        -- Nobody's account is locked for what is decided without it.
        IF NOT FOUND AND NOT v_is_late THEN
            SELECT * INTO v_account FROM accounts WHERE user_id = p_user_id FOR NO KEY UPDATE;
            -- Seen again under the lock: whoever held it may have been the first with this business key.
            SELECT * INTO v_standing FROM transactions
            WHERE cashback_id = p_receipt.cashback_id AND transaction_type = p_transaction_type;
            SELECT p_amount * power(10::numeric, exponent), p_tax * power(10::numeric, exponent)
            INTO v_amount, v_tax
            FROM currencies WHERE currency = v_account.currency;
        END IF;
    END IF;

    v_code := settlement_code(p_receipt.event_id, p_kind, v_standing.transaction_id, v_standing.event_id,
        v_is_late, v_account.account_id, v_account.status, v_amount, v_tax, p_cancel_blocked);
    IF v_code <> 200 OR v_standing.transaction_id IS NOT NULL THEN
        RETURN ROW(v_code, v_standing.transaction_id, false)::decision;
    ELSIF p_kind = 'cancel' THEN
        RETURN post_cancel(p_receipt.event_id, p_receipt.cashback_id, p_transaction_type, v_account,
            v_amount::bigint, v_tax::bigint, p_allow_negative);
    END IF;
    v_posted := post_payout(p_receipt.event_id, p_receipt.cashback_id, p_transaction_type, v_account,
        v_amount::bigint, v_tax::bigint, p_withhold_tax);
    IF v_posted IS NOT NULL THEN
        RETURN ROW(200, v_posted, true)::decision;
    END IF;
    SELECT * INTO v_standing FROM transactions
    WHERE cashback_id = p_receipt.cashback_id AND transaction_type = p_transaction_type;
    IF NOT FOUND THEN
        RETURN ROW(NULL, NULL, false)::decision;
    END IF;
    v_code := settlement_code(p_receipt.event_id, p_kind, v_standing.transaction_id, v_standing.event_id,
        v_is_late, v_account.account_id, v_account.status, v_amount, v_tax, p_cancel_blocked);
    RETURN ROW(v_code, v_standing.transaction_id, false)::decision;
END $$;

-- Settle one event and say how it stands. p_hold_seconds: how long the caller may take for the answer
-- before the event counts as overdue. p_producer: who handed in an event whose receipt is made here; null: our own receiver.
CREATE OR REPLACE FUNCTION settle_event(
    p_event_id uuid, p_token text, p_cashback_id bigint, p_received_at timestamptz,
    p_cutoff_seconds double precision, p_deadline_seconds double precision, p_hold_seconds double precision,
    p_kind text, p_transaction_type integer, p_user_id text, p_amount numeric, p_tax numeric,
    p_withhold_tax boolean, p_allow_negative boolean, p_cancel_blocked boolean, p_producer text DEFAULT NULL
) RETURNS settlement LANGUAGE plpgsql AS $$
DECLARE
    v_receipt receipts;
    v_decision decision;
BEGIN
    PERFORM require_whole();
    SELECT * INTO v_receipt FROM receipts WHERE event_id = p_event_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM record_receipt(p_event_id, p_token, p_cashback_id, p_received_at,
            p_cutoff_seconds, p_deadline_seconds, p_hold_seconds, p_producer);
        SELECT * INTO v_receipt FROM receipts WHERE event_id = p_event_id FOR NO KEY UPDATE;
    END IF;

    IF v_receipt.state = 'received' THEN
        v_decision := decide(v_receipt, p_kind, p_transaction_type, p_user_id, p_amount, p_tax,
            p_withhold_tax, p_allow_negative, p_cancel_blocked);
        v_receipt.code := v_decision.code;
        v_receipt.transaction_id := v_decision.transaction_id;
    END IF;
    IF v_receipt.state IN ('received', 'settled') THEN
        UPDATE receipts SET
            state = CASE WHEN v_receipt.code IS NULL THEN 'received' ELSE 'settled' END,
            code = v_receipt.code,
            transaction_id = v_receipt.transaction_id,
            settled_at = CASE WHEN v_receipt.code IS NOT NULL THEN coalesce(settled_at, clock_timestamp()) END,
            runs = runs + 1,
            next_attempt_at = clock_timestamp() + make_interval(secs => p_hold_seconds),
            -- The receipt may have been made here, or by who did not say so.
            user_id = coalesce(user_id, p_user_id),
            transaction_type = coalesce(transaction_type, p_transaction_type),
            amount = coalesce(amount, p_amount)
        WHERE event_id = p_event_id
        RETURNING * INTO v_receipt;
    END IF;

    -- The last thing before the commit: a credit that is late by now is undone by this error, and the
    -- next call decides 102823.
    IF v_decision.is_new AND clock_timestamp() >= v_receipt.credit_cutoff_at THEN
        RAISE EXCEPTION 'the credit cut-off of event % passed', p_event_id USING ERRCODE = 'CB001';
    END IF;
    RETURN settlement_of(v_receipt);
END $$;

-- How the event of a receipt stands.
CREATE OR REPLACE FUNCTION settlement_of(p_receipt receipts) RETURNS settlement LANGUAGE sql STABLE AS $$
    SELECT
        p_receipt.state, p_receipt.code, p_receipt.transaction_id, p_receipt.cashback_id,
        transactions.transaction_type, accounts.user_id, transactions.amount_minor, transactions.tax_minor,
        currencies.exponent, p_receipt.runs,
        extract(epoch FROM p_receipt.credit_cutoff_at - clock_timestamp())::double precision,
        extract(epoch FROM p_receipt.deadline_at - clock_timestamp())::double precision
    FROM (SELECT) AS one_row
        LEFT JOIN transactions ON transactions.transaction_id = p_receipt.transaction_id
        LEFT JOIN accounts USING (account_id)
        LEFT JOIN currencies USING (currency)
$$;
