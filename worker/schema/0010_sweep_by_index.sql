-- The sweep costs what is overdue, not what is waiting: in a deep backlog each question it asks finds its rows
-- through an index of its own, and walks past none that are left to the queue. The time is asked for in a
-- sub-select, once: a volatile function on its own would keep the planner from the index.

DROP INDEX receipts_open;
CREATE INDEX receipts_undecided_by_time ON receipts (received_at) WHERE state = 'received';
CREATE INDEX receipts_undecided_by_cutoff ON receipts (credit_cutoff_at) WHERE state = 'received';
CREATE INDEX receipts_unanswered_by_attempt ON receipts (next_attempt_at) WHERE state = 'settled';
CREATE INDEX receipts_unanswered_by_deadline ON receipts (deadline_at) WHERE state = 'settled';

CREATE OR REPLACE FUNCTION give_up_overdue(p_limit integer) RETURNS bigint LANGUAGE sql AS $$
    WITH late AS (
        SELECT event_id FROM receipts
        WHERE state = 'received' AND credit_cutoff_at <= (SELECT clock_timestamp())
            AND (deadline_at <= (SELECT clock_timestamp())
                OR NOT EXISTS (SELECT FROM transactions WHERE transactions.cashback_id = receipts.cashback_id))
        ORDER BY credit_cutoff_at
        LIMIT p_limit
        FOR NO KEY UPDATE SKIP LOCKED
    ), given_up AS (
        UPDATE receipts
        SET state = 'settled', code = 102823, settled_at = clock_timestamp(), next_attempt_at = clock_timestamp()
        FROM late
        WHERE receipts.event_id = late.event_id
        RETURNING 1
    )
    SELECT count(*) FROM given_up
$$;

CREATE OR REPLACE FUNCTION expire_overdue(p_limit integer, OUT expired bigint, OUT unconfirmed bigint)
LANGUAGE sql AS $$
    WITH late AS (
        SELECT event_id FROM receipts
        WHERE state = 'settled' AND deadline_at <= (SELECT clock_timestamp())
        ORDER BY deadline_at
        LIMIT p_limit
        FOR NO KEY UPDATE SKIP LOCKED
    ), closed AS (
        UPDATE receipts
        SET state = 'expired', closed_at = clock_timestamp(), unconfirmed = (code = 200),
            last_error = coalesce(last_error, 'no attempt reached BETCORE before the deadline')
        FROM late
        WHERE receipts.event_id = late.event_id
        RETURNING receipts.unconfirmed
    )
    SELECT count(*), count(*) FILTER (WHERE closed.unconfirmed) FROM closed
$$;

-- As before; the three reasons to claim an event are asked for one by one, because no index serves an OR of
-- them. The row is looked at once more under its lock.
CREATE OR REPLACE FUNCTION claim_overdue(
    p_limit integer, p_hold_seconds double precision, p_hurry_seconds double precision, p_lost_before timestamptz
) RETURNS TABLE (event_id uuid, token text, received_at timestamptz, attempts integer) LANGUAGE sql AS $$
    WITH candidates AS (
        (SELECT receipts.event_id FROM receipts
        WHERE state = 'settled' AND next_attempt_at <= (SELECT clock_timestamp()) AND deadline_at > (SELECT clock_timestamp())
        ORDER BY next_attempt_at LIMIT p_limit)
        UNION
        (SELECT receipts.event_id FROM receipts
        WHERE state = 'received' AND receipts.received_at < coalesce(p_lost_before, 'infinity')
            AND next_attempt_at <= (SELECT clock_timestamp()) AND deadline_at > (SELECT clock_timestamp())
        ORDER BY receipts.received_at LIMIT p_limit)
        UNION
        (SELECT receipts.event_id FROM receipts
        WHERE state = 'received' AND credit_cutoff_at <= (SELECT clock_timestamp()) + make_interval(secs => p_hurry_seconds)
            AND next_attempt_at <= (SELECT clock_timestamp()) AND deadline_at > (SELECT clock_timestamp())
        ORDER BY credit_cutoff_at LIMIT p_limit)
    ), overdue AS (
        SELECT receipts.event_id FROM receipts
        WHERE receipts.event_id = ANY (ARRAY(SELECT candidates.event_id FROM candidates))
            AND state IN ('received', 'settled')
            AND next_attempt_at <= (SELECT clock_timestamp())
            AND deadline_at > (SELECT clock_timestamp())
        ORDER BY next_attempt_at
        LIMIT p_limit
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE receipts SET next_attempt_at = clock_timestamp() + make_interval(secs => p_hold_seconds)
    FROM overdue
    WHERE receipts.event_id = overdue.event_id
    RETURNING receipts.event_id, receipts.token, receipts.received_at, receipts.attempts
$$;
