-- Retention: what has come to its good end is kept for a time, the rest for ever. A pruned receipt takes no money
-- and no protection with it: the transaction and its unique business key stay.

-- Delete answered receipts that were received more than p_keep_seconds ago, at most p_limit at a time. Returns
-- how many. Several callers at once do not wait for each other.
CREATE OR REPLACE FUNCTION prune_receipts(p_keep_seconds double precision, p_limit integer) RETURNS bigint LANGUAGE sql AS $$
    WITH deleted AS (
        DELETE FROM receipts
        WHERE event_id IN (
            SELECT event_id FROM receipts
            WHERE state = 'answered'
                AND received_at < clock_timestamp() - make_interval(secs => p_keep_seconds)
            ORDER BY received_at
            LIMIT p_limit
            FOR UPDATE SKIP LOCKED
        )
        RETURNING 1
    )
    SELECT count(*) FROM deleted
$$;

-- Delete messages that nothing has happened to for p_keep_seconds, and of the rest the oldest ones beyond
-- p_keep_rows, at most p_limit at a time. Returns how many were deleted; call it again while that is p_limit.
-- Several callers at once do not wait for each other, and a message that is just being put back stays.
CREATE OR REPLACE FUNCTION prune_quarantine(p_keep_seconds double precision, p_keep_rows bigint, p_limit integer)
RETURNS bigint LANGUAGE sql AS $$
    WITH surplus AS (
        SELECT greatest(0, count(*) - p_keep_rows) AS rows FROM quarantine
    ), old AS (
        SELECT oldest.quarantine_id
        FROM (
            SELECT
                quarantine_id,
                greatest(last_seen_at, requeued_at) AS touched_at,
                row_number() OVER (ORDER BY greatest(last_seen_at, requeued_at), quarantine_id) AS place
            FROM quarantine
            ORDER BY greatest(last_seen_at, requeued_at), quarantine_id
            LIMIT p_limit
        ) AS oldest, surplus
        WHERE oldest.place <= surplus.rows
            OR oldest.touched_at < clock_timestamp() - make_interval(secs => p_keep_seconds)
    ), deleted AS (
        DELETE FROM quarantine
        WHERE quarantine_id IN (
            SELECT quarantine.quarantine_id FROM quarantine JOIN old USING (quarantine_id)
            FOR UPDATE OF quarantine SKIP LOCKED
        )
        RETURNING 1
    )
    SELECT count(*) FROM deleted
$$;
