-- Retention: what has come to its good end is kept for a time, the rest for ever. A pruned receipt takes no
-- money and no protection with it: the transaction and its unique business key stay.

-- Delete answered receipts that were received more than p_keep_seconds ago, at most p_limit at a time. Returns
-- how many. Several callers at once do not wait for each other.
CREATE FUNCTION prune_receipts(p_keep_seconds double precision, p_limit integer) RETURNS bigint LANGUAGE sql AS $$
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
