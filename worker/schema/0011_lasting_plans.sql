-- Plans that stay right. A connection keeps the plans that it made while the tables were small, and where all
-- ways cost the same the planner may have taken any of them.

-- Without the event's id, as PostgreSQL 18 can look for a later column of an index alone: by walking all of its
-- entries, and on an empty table that costs no more than the primary key.
DROP INDEX receipts_by_state;
CREATE INDEX receipts_by_state ON receipts (state, received_at);

-- As before, but a receipt that somebody else is just making does not undo the group: its message overtook it.
CREATE OR REPLACE FUNCTION lock_group_receipts(
    p_events json, p_event_ids uuid[], p_cutoff_seconds double precision, p_deadline_seconds double precision
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_locked bigint;
    v_made bigint;
BEGIN
    PERFORM FROM receipts WHERE event_id = ANY (p_event_ids) ORDER BY event_id FOR NO KEY UPDATE;
    GET DIAGNOSTICS v_locked = ROW_COUNT;
    IF v_locked = cardinality(p_event_ids) THEN
        RETURN;
    END IF;

    INSERT INTO receipts (event_id, token, cashback_id, received_at, credit_cutoff_at, deadline_at, next_attempt_at)
    SELECT event_id, token, cashback_id, received_at,
        received_at + make_interval(secs => p_cutoff_seconds),
        received_at + make_interval(secs => p_deadline_seconds),
        received_at + make_interval(secs => hold_seconds)
    FROM (
        SELECT event_id, token, cashback_id, least(received_at, v_now) AS received_at, hold_seconds
        FROM json_to_recordset(p_events) AS made (
            event_id uuid, token text, cashback_id bigint, received_at timestamptz, hold_seconds double precision)
        WHERE NOT EXISTS (SELECT FROM receipts WHERE receipts.event_id = made.event_id)
    ) AS made
    ORDER BY event_id
    ON CONFLICT (event_id) DO NOTHING;
    GET DIAGNOSTICS v_made = ROW_COUNT;
    -- The insert has waited for what others made in between. To lock it now is out of order, and what that can
    -- lead to ends by the lock_timeout of settle_events.
    IF v_locked + v_made <> cardinality(p_event_ids) THEN
        PERFORM FROM receipts WHERE event_id = ANY (p_event_ids) ORDER BY event_id FOR NO KEY UPDATE;
    END IF;
END $$;

-- From here on as before, but for the states that an update applies to: they are said by what they are not, which
-- no index can look for. How the planner is to choose is told to the connection (producer/shared/session.py), as the
-- checks of foreign keys keep plans, too.
CREATE OR REPLACE FUNCTION mark_answered(p_event_ids uuid[]) RETURNS bigint LANGUAGE sql AS $$
    WITH marked AS (
        UPDATE receipts
        SET state = 'answered', closed_at = clock_timestamp(), unconfirmed = false, last_error = NULL
        WHERE event_id = ANY (p_event_ids) AND state <> ALL ('{received,answered}')
        RETURNING 1
    )
    SELECT count(*) FROM marked
$$;

CREATE OR REPLACE FUNCTION close_event(p_event_id uuid, p_state text, p_error text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF p_state NOT IN ('refused', 'expired') THEN
        RAISE EXCEPTION '% is no bad end', p_state USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE receipts SET
        state = p_state,
        closed_at = clock_timestamp(),
        unconfirmed = (code = 200),
        last_error = left(p_error, 500)
    WHERE event_id = p_event_id AND state <> ALL ('{received,answered,refused,expired}');
    RETURN FOUND;
END $$;

CREATE OR REPLACE FUNCTION postpone_event(p_event_id uuid, p_delay_seconds double precision, p_error text)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE receipts SET
        next_attempt_at = clock_timestamp() + make_interval(secs => p_delay_seconds),
        last_error = left(p_error, 500)
    WHERE event_id = p_event_id AND state <> ALL ('{answered,refused,expired}');
    RETURN FOUND;
END $$;

CREATE OR REPLACE FUNCTION settle_events(
    p_events json, p_cutoff_seconds double precision, p_deadline_seconds double precision, p_withhold_tax boolean
) RETURNS TABLE (
    event_id uuid, state text, code integer, transaction_id bigint, cashback_id bigint, transaction_type integer,
    user_id text, amount_minor bigint, tax_minor bigint, exponent smallint, attempts integer,
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
            attempts = receipts.attempts + 1,
            next_attempt_at = clock_timestamp() + make_interval(secs => decided.hold_seconds)
        FROM decided
        WHERE receipts.event_id = decided.event_id AND receipts.state <> ALL ('{answered,refused,expired}')
        RETURNING receipts.event_id
    )
    SELECT decided.event_id, CASE WHEN touched.event_id IS NULL THEN receipts.state ELSE 'settled' END,
        decided.code, decided.final_id, decided.cashback_id, decided.transaction_type, decided.user_id,
        decided.amount_minor, decided.tax_minor, decided.exponent,
        receipts.attempts + CASE WHEN touched.event_id IS NULL THEN 0 ELSE 1 END,
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
