-- Settlement: the whole ledger decision about one event in one call, in one short transaction.
--
-- Locks are taken in one order everywhere: the receipt, the user's account, the transaction's unique key.
-- Called again for the same event, settle_event returns what it decided the first time.
-- ErrorCodes are those of BETCORE's accept; producer/client/contract.py names them.

-- The transaction that already stands under this business key, if any: another event's, or this event's own
-- where its receipt was pruned since.
CREATE OR REPLACE FUNCTION existing_transaction(p_event_id uuid, p_cashback_id bigint, p_transaction_type integer)
RETURNS decision LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN event_id = p_event_id THEN 200 ELSE 103804 END, transaction_id, false FROM transactions
    WHERE cashback_id = p_cashback_id AND transaction_type = p_transaction_type
$$;

-- Post one payout, unless its business key was just taken.
CREATE OR REPLACE FUNCTION post_payout(
    p_event_id uuid, p_cashback_id bigint, p_transaction_type integer, p_account accounts,
    p_amount_minor bigint, p_tax_minor bigint, p_withheld_minor bigint
) RETURNS decision LANGUAGE plpgsql AS $$
DECLARE
    v_transaction_id bigint;
BEGIN
    INSERT INTO transactions (kind, cashback_id, transaction_type, event_id, account_id, amount_minor, tax_minor)
    VALUES ('payout', p_cashback_id, p_transaction_type, p_event_id, p_account.account_id, p_amount_minor, p_tax_minor)
    ON CONFLICT (cashback_id, transaction_type) DO NOTHING
    RETURNING transaction_id INTO v_transaction_id;
    IF NOT FOUND THEN
        RETURN existing_transaction(p_event_id, p_cashback_id, p_transaction_type);
    END IF;

    INSERT INTO entries (transaction_id, account_id, amount_minor)
    SELECT v_transaction_id, account_id, amount_minor
    FROM (
        SELECT p_account.account_id, p_amount_minor - p_withheld_minor
        UNION ALL
        SELECT account_id, -p_amount_minor FROM accounts WHERE kind = 'cashback' AND currency = p_account.currency
        UNION ALL
        SELECT account_id, p_withheld_minor FROM accounts WHERE kind = 'tax' AND currency = p_account.currency
    ) AS lines (account_id, amount_minor)
    WHERE amount_minor <> 0;
    RETURN ROW(200, v_transaction_id, true)::decision;
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
            SELECT sum(amount_minor) FROM entries
            WHERE transaction_id = v_payout.transaction_id AND account_id = p_account.account_id) THEN
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

-- What the event comes to. p_kind is 'payout', 'cancel', or null where the data could not be read;
-- p_amount and p_tax are major units, null where they are no usable decimals.
CREATE OR REPLACE FUNCTION decide(
    p_receipt receipts, p_kind text, p_transaction_type integer, p_user_id text, p_amount numeric, p_tax numeric,
    p_withhold_tax boolean, p_allow_negative boolean
) RETURNS decision LANGUAGE plpgsql AS $$
DECLARE
    v_existing decision;
    v_account accounts;
    v_amount numeric;
    v_tax numeric;
BEGIN
    IF p_kind IS NULL THEN
        RETURN ROW(103753, NULL, false)::decision;
    END IF;
    -- Before the cut-off is looked at: what stands is told at any time, or a late re-submission of a
    -- cashback that was paid would hear that it was not.
    v_existing := existing_transaction(p_receipt.event_id, p_receipt.cashback_id, p_transaction_type);
    IF v_existing.code IS NOT NULL THEN
        RETURN v_existing;
    ELSIF clock_timestamp() >= p_receipt.credit_cutoff_at THEN
        RETURN ROW(102823, NULL, false)::decision;
    END IF;

    SELECT * INTO v_account FROM accounts WHERE user_id = p_user_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN ROW(102145, NULL, false)::decision;
    END IF;
    -- Seen again under the lock: whoever held it may have been the first with this business key.
    v_existing := existing_transaction(p_receipt.event_id, p_receipt.cashback_id, p_transaction_type);
    IF v_existing.code IS NOT NULL THEN
        RETURN v_existing;
    ELSIF v_account.status = 'blocked' THEN
        RETURN ROW(103779, NULL, false)::decision;
    END IF;

    SELECT p_amount * power(10::numeric, exponent), p_tax * power(10::numeric, exponent)
    INTO v_amount, v_tax
    FROM currencies WHERE currency = v_account.currency;
    IF (v_amount > 0 AND v_amount < 1e15 AND v_amount = trunc(v_amount)
            AND v_tax >= 0 AND v_tax <= v_amount AND v_tax = trunc(v_tax)) IS NOT TRUE THEN
        RETURN ROW(103801, NULL, false)::decision;
    ELSIF p_kind = 'cancel' THEN
        RETURN post_cancel(p_receipt.event_id, p_receipt.cashback_id, p_transaction_type, v_account,
            v_amount::bigint, v_tax::bigint, p_allow_negative);
    END IF;
    RETURN post_payout(p_receipt.event_id, p_receipt.cashback_id, p_transaction_type, v_account,
        v_amount::bigint, v_tax::bigint, CASE WHEN p_withhold_tax THEN v_tax::bigint ELSE 0 END);
END $$;

-- Settle one event and say how it stands. p_hold_seconds: how long the caller may take for the answer
-- before the event counts as overdue.
CREATE OR REPLACE FUNCTION settle_event(
    p_event_id uuid, p_token text, p_cashback_id bigint, p_received_at timestamptz,
    p_cutoff_seconds double precision, p_deadline_seconds double precision, p_hold_seconds double precision,
    p_kind text, p_transaction_type integer, p_user_id text, p_amount numeric, p_tax numeric,
    p_withhold_tax boolean, p_allow_negative boolean
) RETURNS settlement LANGUAGE plpgsql AS $$
DECLARE
    v_receipt receipts;
    v_decision decision;
BEGIN
    SELECT * INTO v_receipt FROM receipts WHERE event_id = p_event_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM record_receipt(p_event_id, p_token, p_cashback_id, p_received_at,
            p_cutoff_seconds, p_deadline_seconds, p_hold_seconds);
        SELECT * INTO v_receipt FROM receipts WHERE event_id = p_event_id FOR NO KEY UPDATE;
    END IF;

    IF v_receipt.state = 'received' THEN
        v_decision := decide(v_receipt, p_kind, p_transaction_type, p_user_id, p_amount, p_tax,
            p_withhold_tax, p_allow_negative);
        v_receipt.code := v_decision.code;
        v_receipt.transaction_id := v_decision.transaction_id;
    END IF;
    IF v_receipt.state IN ('received', 'settled') THEN
        UPDATE receipts SET
            state = CASE WHEN v_receipt.code IS NULL THEN 'received' ELSE 'settled' END,
            code = v_receipt.code,
            transaction_id = v_receipt.transaction_id,
            settled_at = CASE WHEN v_receipt.code IS NOT NULL THEN coalesce(settled_at, clock_timestamp()) END,
            attempts = attempts + 1,
            next_attempt_at = clock_timestamp() + make_interval(secs => p_hold_seconds)
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
        currencies.exponent, p_receipt.attempts,
        extract(epoch FROM p_receipt.credit_cutoff_at - clock_timestamp())::double precision,
        extract(epoch FROM p_receipt.deadline_at - clock_timestamp())::double precision
    FROM (SELECT) AS one_row
        LEFT JOIN transactions ON transactions.transaction_id = p_receipt.transaction_id
        LEFT JOIN accounts USING (account_id)
        LEFT JOIN currencies USING (currency)
$$;
