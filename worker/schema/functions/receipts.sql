-- Receipts are made: one, or many in one statement.

-- Record that an event was received; true if it is new. The times count from the earlier of the
-- receiver's stamp and this server's clock: a receiver whose clock runs ahead gains no time by it.
CREATE OR REPLACE FUNCTION record_receipt(
    p_event_id uuid,
    p_token text,
    p_cashback_id bigint,
    p_received_at timestamptz,
    p_cutoff_seconds double precision,
    p_deadline_seconds double precision,
    p_next_attempt_seconds double precision
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_received_at timestamptz := least(p_received_at, clock_timestamp());
BEGIN
    INSERT INTO receipts (event_id, token, cashback_id, received_at, credit_cutoff_at, deadline_at, next_attempt_at)
    VALUES (
        p_event_id, p_token, p_cashback_id, v_received_at,
        v_received_at + make_interval(secs => p_cutoff_seconds),
        v_received_at + make_interval(secs => p_deadline_seconds),
        v_received_at + make_interval(secs => p_next_attempt_seconds)
    )
    ON CONFLICT (event_id) DO NOTHING;
    RETURN FOUND;
END $$;

-- Record that several events were received, in one statement and so with one flush to disk. Returns the ids of
-- those that are new. The arrays stand side by side, one element for each event; p_received_ms is Unix time in
-- milliseconds. The times of each count as in record_receipt. All or none: a row that cannot be stored fails
-- the statement, and the caller then records one by one.
CREATE OR REPLACE FUNCTION record_receipts(
    p_event_ids uuid[],
    p_tokens text[],
    p_cashback_ids bigint[],
    p_received_ms bigint[],
    p_cutoff_seconds double precision,
    p_deadline_seconds double precision,
    p_next_attempt_seconds double precision
) RETURNS SETOF uuid LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_cutoff interval := make_interval(secs => p_cutoff_seconds);
    v_deadline interval := make_interval(secs => p_deadline_seconds);
    v_next_attempt interval := make_interval(secs => p_next_attempt_seconds);
BEGIN
    RETURN QUERY
    INSERT INTO receipts (event_id, token, cashback_id, received_at, credit_cutoff_at, deadline_at, next_attempt_at)
    SELECT event_id, token, cashback_id, received_at,
        received_at + v_cutoff, received_at + v_deadline, received_at + v_next_attempt
    FROM (
        SELECT event_id, token, cashback_id, least(to_timestamp(received_ms / 1000::double precision), v_now) AS received_at
        FROM unnest(p_event_ids, p_tokens, p_cashback_ids, p_received_ms)
            AS made (event_id, token, cashback_id, received_ms)
    ) AS made
    -- In one order for all, so that no two groups can each hold what the other waits for.
    ORDER BY event_id, received_at
    ON CONFLICT (event_id) DO NOTHING
    RETURNING receipts.event_id;
END $$;
