-- The sweep: what every worker does about events that are overdue. None of it needs a leader: rows that another
-- worker has in hand are skipped, and a claimed row is not overdue again for a while.
--
-- It costs what is overdue, not what is waiting: in a deep backlog each question it asks finds its rows through an
-- index of its own, and walks past none that are left to the queue. The time is asked for in a sub-select, once: a
-- volatile function on its own would keep the planner from the index.

-- Give up, in one statement, what was not decided by its credit cut-off; it is answered with 102823 while
-- there is time. Of a cashback that has a transaction a re-submission may deserve 103804: as long as there is
-- time to say so, settle_event decides it. Returns how many.
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

-- Close what nobody acknowledged by its deadline. Returns how many, and how many of them are unconfirmed.
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

-- Claim overdue events that are worth another run. p_lost_before: what was received before this moment is
-- not waiting in the queue any more (null: nothing waits there); later ones are left to the queue until
-- their cut-off is nearer than p_hurry_seconds.
--
-- The three reasons to claim an event are asked for one by one, because no index serves an OR of them. The row is
-- looked at once more under its lock.
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
