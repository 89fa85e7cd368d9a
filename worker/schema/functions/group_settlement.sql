-- Settlement of many events in one call and one transaction.
--
-- Locks are taken in one order everywhere: receipts by event id, accounts by user id, business keys. A group
-- waits for no lock longer than settle_events' lock_timeout: somebody else (an import, an operator) may hold
-- many rows at once and in another order, and one row in somebody's hand must not hold up all members for
-- long. The group is then undone and its members settle one by one.

-- Lock the receipts of a group; those that are missing are made, and what a receipt does not say of what its event asks for is
-- written to it. A receipt that somebody else is just making does not undo the group: its message overtook it.
CREATE OR REPLACE FUNCTION lock_group_receipts(
    p_events json, p_event_ids uuid[], p_cutoff_seconds double precision, p_deadline_seconds double precision
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_locked bigint;
    v_unsaid bigint;
    v_made bigint;
BEGIN
    SELECT count(*), count(*) FILTER (WHERE (user_id, transaction_type, amount) IS NULL) INTO v_locked, v_unsaid
    FROM (
        SELECT user_id, transaction_type, amount
        FROM receipts WHERE event_id = ANY (p_event_ids) ORDER BY event_id FOR NO KEY UPDATE
    ) AS locked;
    IF v_unsaid > 0 THEN
        UPDATE receipts
        SET user_id = given.user_id, transaction_type = given.transaction_type, amount = given.amount
        FROM json_to_recordset(p_events) AS given (event_id uuid, user_id text, transaction_type integer, amount numeric)
        WHERE receipts.event_id = given.event_id
            AND (receipts.user_id, receipts.transaction_type, receipts.amount) IS NULL
            AND NOT (given.user_id, given.transaction_type, given.amount) IS NULL
            AND receipts.state <> ALL ('{answered,refused,expired}');
    END IF;
    IF v_locked = cardinality(p_event_ids) THEN
        RETURN;
    END IF;

    SELECT count(recorded) INTO v_made
    FROM (
        SELECT array_agg(event_id) AS event_ids, array_agg(token) AS tokens, array_agg(cashback_id) AS cashback_ids,
            array_agg((extract(epoch FROM received_at) * 1000)::bigint) AS received_ms, max(hold_seconds) AS hold_seconds,
            array_agg(producer) AS producers, array_agg(user_id) AS user_ids,
            array_agg(transaction_type) AS transaction_types, array_agg(amount) AS amounts
        FROM json_to_recordset(p_events) AS given (
            event_id uuid, token text, cashback_id bigint, received_at timestamptz, hold_seconds double precision,
            producer text, user_id text, transaction_type integer, amount numeric)
        WHERE NOT EXISTS (SELECT FROM receipts WHERE receipts.event_id = given.event_id)
    ) AS missing CROSS JOIN LATERAL record_receipts(
        event_ids, tokens, cashback_ids, received_ms, p_cutoff_seconds, p_deadline_seconds, missing.hold_seconds,
        producers, user_ids, transaction_types, amounts) AS recorded;
    -- The insert has waited for what others made in between. To lock it now is out of order, and what that can
    -- lead to ends by the lock_timeout of settle_events.
    IF v_locked + v_made <> cardinality(p_event_ids) THEN
        PERFORM FROM receipts WHERE event_id = ANY (p_event_ids) ORDER BY event_id FOR NO KEY UPDATE;
    END IF;
END $$;

-- What each member comes to. Left out is a cancel that is still to be decided. The receipts and the users' accounts
-- must have been locked by statements before this one.
CREATE OR REPLACE FUNCTION decide_group(p_requests group_request[]) RETURNS group_member[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN (
        SELECT array_agg(ROW(
            event_id, hold_seconds, code, standing_id, cashback_id, transaction_type, account_id, user_id, exponent,
            CASE WHEN standing_id IS NULL AND code = 200 THEN amount::bigint ELSE standing_amount END,
            CASE WHEN standing_id IS NULL AND code = 200 THEN tax::bigint ELSE standing_tax END
        )::group_member)
        FROM (
            SELECT
                receipts.event_id, asked.hold_seconds, standing.transaction_id AS standing_id, receipts.cashback_id,
                coalesce(standing.transaction_type, asked.transaction_type) AS transaction_type,
                account.account_id, account.user_id, account.exponent,
                asked.amount * account.scale AS amount, asked.tax * account.scale AS tax,
                standing.amount_minor AS standing_amount, standing.tax_minor AS standing_tax,
                coalesce(receipts.code, settlement_code(asked.event_id, asked.kind, standing.transaction_id, standing.event_id,
                    clock_timestamp() >= receipts.credit_cutoff_at, account.account_id, account.status,
                    -- The last is about cancels, and none is decided here.
                    asked.amount * account.scale, asked.tax * account.scale, false)) AS code
            FROM unnest(p_requests) AS asked
                JOIN receipts USING (event_id)
                LEFT JOIN LATERAL (
                    SELECT * FROM transactions WHERE transaction_id = receipts.transaction_id
                    UNION ALL
                    SELECT * FROM transactions
                    WHERE receipts.code IS NULL AND asked.kind IS NOT NULL
                        AND cashback_id = receipts.cashback_id AND transaction_type = asked.transaction_type
                ) AS standing ON true
                LEFT JOIN LATERAL (
                    SELECT account_id, user_id, status, exponent, power(10::numeric, exponent) AS scale
                    FROM (
                        SELECT * FROM accounts WHERE account_id = standing.account_id
                        UNION ALL
                        SELECT * FROM accounts WHERE standing.account_id IS NULL AND user_id = asked.user_id
                    ) AS whose JOIN currencies USING (currency)
                ) AS account ON true
            WHERE receipts.code IS NOT NULL OR asked.kind IS DISTINCT FROM 'cancel'
        ) AS decided
    );
END $$;

-- Post the payouts that are to be posted; returns their events, transactions and no more. A payout whose
-- business key is taken, by another event of the group or by another transaction, is left out.
CREATE OR REPLACE FUNCTION post_payouts(p_members group_member[], p_withhold_tax boolean)
RETURNS group_member[] LANGUAGE plpgsql AS $$
DECLARE
    v_posted group_member[];
BEGIN
    WITH posted AS (
        INSERT INTO transactions (kind, cashback_id, transaction_type, event_id, account_id, amount_minor, tax_minor)
        SELECT 'payout', cashback_id, transaction_type, event_id, account_id, amount_minor, tax_minor
        FROM unnest(p_members)
        WHERE code = 200 AND transaction_id IS NULL
        ORDER BY cashback_id, transaction_type, event_id
        ON CONFLICT (cashback_id, transaction_type) DO NOTHING
        RETURNING transaction_id, event_id, account_id, amount_minor, tax_minor
    ), entered AS (
        INSERT INTO entries (transaction_id, account_id, amount_minor)
        SELECT posted.transaction_id, line.account_id, line.amount_minor
        FROM posted JOIN accounts AS payee USING (account_id) CROSS JOIN LATERAL payout_entries(
            payee.account_id, payee.currency, posted.amount_minor,
            CASE WHEN p_withhold_tax THEN posted.tax_minor ELSE 0 END
        ) AS line
    )
    SELECT array_agg(ROW(
        event_id, NULL, 200, transaction_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::group_member)
    INTO v_posted FROM posted;
    RETURN v_posted;
END $$;

-- Settle several events and say how each stands: what settle_event decides, for all of them in one transaction
-- and so with one flush to disk. p_events: a list of objects with the members of group_request and token,
-- cashback_id, received_at and producer (null: our own receiver) beside them; no event id twice.
--
-- Left out, without a row and without an effect, is who must be settled alone: cancels, and a payout whose
-- business key another event is just taking. Any error undoes the whole group; settling one by one is then
-- right, whatever became of it.
CREATE OR REPLACE FUNCTION settle_events(
    p_events json, p_cutoff_seconds double precision, p_deadline_seconds double precision, p_withhold_tax boolean
) RETURNS TABLE (
    event_id uuid, state text, code integer, transaction_id bigint, cashback_id bigint, transaction_type integer,
    user_id text, amount_minor bigint, tax_minor bigint, exponent smallint, runs integer,
    seconds_to_cutoff double precision, seconds_to_deadline double precision
) LANGUAGE plpgsql ROWS 16
SET lock_timeout = '100ms' AS $$
#variable_conflict use_column
DECLARE
    v_requests group_request[];
    v_event_ids uuid[];
    v_user_ids text[];
    v_members group_member[];
    v_posted group_member[];
BEGIN
    PERFORM require_whole();
    SELECT array_agg(ROW(event_id, kind, transaction_type, user_id, amount, tax, hold_seconds)::group_request),
        array_agg(event_id), array_agg(user_id)
    INTO v_requests, v_event_ids, v_user_ids
    FROM json_to_recordset(p_events) AS asked (event_id uuid, kind text, transaction_type integer, user_id text,
        amount numeric, tax numeric, hold_seconds double precision);
    PERFORM lock_group_receipts(p_events, v_event_ids, p_cutoff_seconds, p_deadline_seconds);
    PERFORM FROM accounts WHERE user_id = ANY (v_user_ids) ORDER BY user_id FOR NO KEY UPDATE;
    v_members := decide_group(v_requests);
    v_posted := post_payouts(v_members, p_withhold_tax);

    RETURN QUERY
    WITH decided AS MATERIALIZED (
        SELECT member.*, coalesce(member.transaction_id, posted.transaction_id) AS final_id
        FROM unnest(v_members) AS member LEFT JOIN unnest(v_posted) AS posted USING (event_id)
        WHERE member.code <> 200 OR member.transaction_id IS NOT NULL OR posted.transaction_id IS NOT NULL
    ), touched AS (
        UPDATE receipts SET
            state = 'settled',
            code = decided.code,
            transaction_id = decided.final_id,
            settled_at = coalesce(receipts.settled_at, clock_timestamp()),
            runs = receipts.runs + 1,
            next_attempt_at = clock_timestamp() + make_interval(secs => decided.hold_seconds)
        FROM decided
        WHERE receipts.event_id = decided.event_id AND receipts.state <> ALL ('{answered,refused,expired}')
        RETURNING receipts.event_id
    )
    SELECT decided.event_id, CASE WHEN touched.event_id IS NULL THEN receipts.state ELSE 'settled' END,
        decided.code, decided.final_id, decided.cashback_id, decided.transaction_type, decided.user_id,
        decided.amount_minor, decided.tax_minor, decided.exponent,
        receipts.runs + CASE WHEN touched.event_id IS NULL THEN 0 ELSE 1 END,
        extract(epoch FROM receipts.credit_cutoff_at - clock_timestamp())::double precision,
        extract(epoch FROM receipts.deadline_at - clock_timestamp())::double precision
    FROM decided JOIN receipts USING (event_id) LEFT JOIN touched USING (event_id);

    -- What the commit would check is checked now, so that the cut-off is the last thing before it: a group with
    -- a credit that is late by now is undone by this error.
    SET CONSTRAINTS ALL IMMEDIATE;
    PERFORM FROM unnest(v_posted) AS posted JOIN receipts USING (event_id)
    WHERE clock_timestamp() >= receipts.credit_cutoff_at;
    IF FOUND THEN
        RAISE EXCEPTION 'the credit cut-off of an event passed' USING ERRCODE = 'CB001';
    END IF;
END $$;
