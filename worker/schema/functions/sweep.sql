-- The sweep: what every worker does about events that are overdue. None of it needs a leader: rows that another
-- worker has in hand are skipped, and a claimed row is not overdue again for a while.
--
-- It costs what is overdue, not what is waiting: in a deep backlog each question it asks finds its rows through an
-- index that holds nothing else, from sweep_bound on, and walks past none that are left to the queue. The time is
-- asked for in a sub-select, once: a volatile function on its own would keep the planner from the index.

-- From where the sweep has to look: a minute back at least, whatever a clock that was ahead has left behind.
CREATE OR REPLACE FUNCTION sweep_bound() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT least(
        coalesce((SELECT bound FROM sweep_bound WHERE is_only), '-infinity'),
        statement_timestamp() - interval '1 minute')
$$;

-- Move the bound up to the oldest receipt that is open, but not nearer than p_margin_seconds to now or to the
-- begin of a transaction that is still writing: what it writes is not to be seen yet. Returns the bound. Whoever
-- comes while another one moves it, leaves it.
CREATE OR REPLACE FUNCTION raise_sweep_bound(p_margin_seconds double precision) RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
    v_bound timestamptz;
    v_from timestamptz;
    v_oldest timestamptz;
BEGIN
    SELECT bound INTO v_bound FROM sweep_bound WHERE is_only FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN sweep_bound();
    END IF;
    -- A bound that a clock ahead has left hides nothing from this look, which takes it back.
    v_from := least(v_bound, clock_timestamp() - make_interval(secs => p_margin_seconds));
    -- A statement of its own before the look at the receipts: whoever has ended by now is seen by that look.
    SELECT least(clock_timestamp(), min(xact_start)) INTO v_oldest FROM pg_stat_activity
    WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid();
    SELECT least(
        v_oldest - make_interval(secs => p_margin_seconds),
        (SELECT min(credit_cutoff_at) FROM receipts WHERE state = 'received' AND credit_cutoff_at >= v_from),
        (SELECT min(greatest(least(next_attempt_at, deadline_at), settled_at)) FROM receipts
            WHERE state = 'settled' AND greatest(least(next_attempt_at, deadline_at), settled_at) >= v_from)
    ) INTO v_oldest;
    -- Not each time: under the very snapshot that it is there for, each version of its row stays, too.
    IF v_oldest > v_bound + interval '10 seconds' OR v_bound > clock_timestamp() THEN
        UPDATE sweep_bound SET bound = v_oldest WHERE is_only;
        RETURN v_oldest;
    END IF;
    RETURN v_bound;
END $$;

-- Look for what is open below the bound, and move the bound down to it. There is something where a clock was set
-- back, or where a receipt came into being long after its time. Returns the bound.
CREATE OR REPLACE FUNCTION lower_sweep_bound() RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    v_bound timestamptz;
    v_oldest timestamptz;
BEGIN
    SELECT bound INTO v_bound FROM sweep_bound WHERE is_only FOR UPDATE SKIP LOCKED;
    SELECT least(
        (SELECT min(credit_cutoff_at) FROM receipts WHERE state = 'received' AND credit_cutoff_at < v_bound),
        (SELECT min(greatest(least(next_attempt_at, deadline_at), settled_at)) FROM receipts
            WHERE state = 'settled' AND greatest(least(next_attempt_at, deadline_at), settled_at) < v_bound)
    ) INTO v_oldest;
    IF v_oldest < v_bound THEN
        UPDATE sweep_bound SET bound = v_oldest WHERE is_only;
    END IF;
    RETURN sweep_bound();
END $$;

-- Give up, in one statement, what was not decided by its credit cut-off; it is answered with 102823 while
-- there is time. Of a cashback that has a transaction a re-submission may deserve 103804: as long as there is
-- time to say so, settle_event decides it. Returns how many.
CREATE OR REPLACE FUNCTION give_up_overdue(p_limit integer) RETURNS bigint LANGUAGE sql AS $$
    SELECT require_whole();
    WITH late AS (
        SELECT event_id FROM receipts
        WHERE state = 'received'
            AND credit_cutoff_at >= (SELECT sweep_bound()) AND credit_cutoff_at <= (SELECT clock_timestamp())
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
        WHERE state = 'settled'
            AND greatest(least(next_attempt_at, deadline_at), settled_at) >= (SELECT sweep_bound())
            AND greatest(least(next_attempt_at, deadline_at), settled_at) <= (SELECT clock_timestamp())
            AND deadline_at <= (SELECT clock_timestamp())
        ORDER BY greatest(least(next_attempt_at, deadline_at), settled_at)
        LIMIT p_limit
        FOR NO KEY UPDATE SKIP LOCKED
    ), closed AS (
        UPDATE receipts
        SET state = 'expired', closed_at = clock_timestamp(), unconfirmed = (code = 200 AND confirmed_by IS NULL),
            last_error = coalesce(last_error, no_answer_because(runs, attempts))
        FROM late
        WHERE receipts.event_id = late.event_id
        RETURNING receipts.unconfirmed
    )
    SELECT count(*), count(*) FILTER (WHERE closed.unconfirmed) FROM closed
$$;

-- How many events are unconfirmed, counted up to `p_most`: money moved, and BETCORE has not said that it knows.
CREATE OR REPLACE FUNCTION count_unconfirmed(p_most integer) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT count(*) FROM (SELECT FROM receipts WHERE unconfirmed LIMIT p_most) AS counted
$$;

-- When the first of these events that is on record was received; null where none is. They lie at the queue's head, the
-- next one to be taken first, and the queue is first in, first out: whoever was received before has left it. What a
-- message says of its time is not asked: anybody can write one.
CREATE OR REPLACE FUNCTION received_first(p_event_ids uuid[]) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT received_at
    FROM unnest(p_event_ids) WITH ORDINALITY AS at_head (event_id, place)
        JOIN receipts ON receipts.event_id = at_head.event_id
    ORDER BY at_head.place
    LIMIT 1
$$;

-- Claim overdue events that are worth another run. p_lost_before: what was received before this moment is
-- not waiting in the queue any more (null: nothing waits there); later ones are left to the queue until
-- their cut-off is nearer than p_hurry_seconds. p_cutoff_seconds: how long after its receipt an event has its
-- cut-off, by which those from before a moment are found; one that was promised more waits that much longer.
--
-- Each partner in p_partners has a queue of its own, and its moment in p_partners_lost_before; of the others nobody knows,
-- and theirs are claimed in a hurry alone. Partners' events are claimed
-- beside those of our own receiver, p_limit of each, so that no producer's backlog keeps another one's from it.
--
-- In a hurry is who has less than p_hurry_seconds to its cut-off, or, once settled, to its deadline. A claimed event is
-- not overdue again for p_hold_seconds, or half of the time that it has been here where that is more; but for no more
-- than half of the time that it has left, and so that it is found again in its hurry, while that lasts.
--
-- The reasons to claim an event are asked for one by one, because no index serves an OR of them. The row is
-- looked at once more under its lock.
CREATE OR REPLACE FUNCTION claim_overdue(
    p_limit integer, p_hold_seconds double precision, p_hurry_seconds double precision, p_lost_before timestamptz,
    p_cutoff_seconds double precision, p_partners text[] DEFAULT NULL, p_partners_lost_before timestamptz[] DEFAULT NULL
) RETURNS TABLE (
    event_id uuid, token text, received_at timestamptz, runs integer, is_settled boolean, is_in_a_hurry boolean,
    producer text
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
    v_bound timestamptz := sweep_bound();
    v_hold interval := make_interval(secs => p_hold_seconds);
    v_hurry interval := make_interval(secs => p_hurry_seconds);
    v_cutoff interval := make_interval(secs => p_cutoff_seconds);
    v_overdue uuid[];
BEGIN
    WITH candidates AS (
        (SELECT event_id FROM receipts
        WHERE state = 'settled' AND next_attempt_at <= v_now AND deadline_at > v_now
            AND greatest(least(next_attempt_at, deadline_at), settled_at) >= v_bound
            AND greatest(least(next_attempt_at, deadline_at), settled_at) <= v_now
        ORDER BY greatest(least(next_attempt_at, deadline_at), settled_at) LIMIT p_limit)
        UNION
        (SELECT event_id FROM receipts
        WHERE state = 'received' AND producer IS NULL AND received_at < coalesce(p_lost_before, 'infinity')
            AND credit_cutoff_at >= v_bound
            AND credit_cutoff_at < coalesce(p_lost_before + v_cutoff, 'infinity')
            AND next_attempt_at <= v_now AND deadline_at > v_now
        ORDER BY credit_cutoff_at LIMIT p_limit)
        UNION
        (SELECT event_id FROM receipts
        WHERE state = 'received' AND producer IS NULL AND credit_cutoff_at >= v_bound
            AND credit_cutoff_at <= v_now + v_hurry
            AND next_attempt_at <= v_now AND deadline_at > v_now
        ORDER BY credit_cutoff_at LIMIT p_limit)
        UNION
        (SELECT event_id FROM receipts
        WHERE state = 'received' AND producer IS NOT NULL AND credit_cutoff_at >= v_bound
            AND credit_cutoff_at <= v_now + v_hurry
            AND next_attempt_at <= v_now AND deadline_at > v_now
        ORDER BY credit_cutoff_at LIMIT p_limit)
        UNION
        (SELECT lost.event_id
        FROM unnest(p_partners, p_partners_lost_before) AS partner (name, lost_before)
            CROSS JOIN LATERAL (
                SELECT event_id FROM receipts
                WHERE state = 'received' AND producer = partner.name
                    AND received_at < coalesce(partner.lost_before, 'infinity')
                    AND credit_cutoff_at >= v_bound
                    AND credit_cutoff_at < coalesce(partner.lost_before + v_cutoff, 'infinity')
                    AND next_attempt_at <= v_now AND deadline_at > v_now
                ORDER BY credit_cutoff_at LIMIT p_limit
            ) AS lost)
    )
    SELECT array_agg(event_id) INTO v_overdue FROM candidates;
    -- So that a sweep that finds nothing opens none of the tokens' partitions.
    IF v_overdue IS NULL THEN
        RETURN;
    END IF;

    RETURN QUERY
    WITH overdue_of_our_own AS (
        SELECT event_id, CASE state WHEN 'settled' THEN deadline_at ELSE credit_cutoff_at END - v_now AS time_left
        FROM receipts
        WHERE event_id = ANY (v_overdue) AND state IN ('received', 'settled') AND producer IS NULL
            AND next_attempt_at <= v_now AND deadline_at > v_now
        ORDER BY next_attempt_at
        LIMIT p_limit
        FOR NO KEY UPDATE SKIP LOCKED
    ), overdue_of_partners AS (
        SELECT event_id, CASE state WHEN 'settled' THEN deadline_at ELSE credit_cutoff_at END - v_now AS time_left
        FROM receipts
        WHERE event_id = ANY (v_overdue) AND state IN ('received', 'settled') AND producer IS NOT NULL
            AND next_attempt_at <= v_now AND deadline_at > v_now
        ORDER BY next_attempt_at
        LIMIT p_limit
        FOR NO KEY UPDATE SKIP LOCKED
    ), overdue AS (
        SELECT * FROM overdue_of_our_own UNION ALL SELECT * FROM overdue_of_partners
    ), claimed AS (
        UPDATE receipts SET next_attempt_at = clock_timestamp() + CASE
            WHEN time_left <= v_hurry THEN v_hold
            ELSE greatest(v_hurry / 2, least(
                greatest(v_hold, least(v_now - coalesce(settled_at, received_at), time_left) / 2),
                time_left - v_hurry))
            END
        FROM overdue
        WHERE receipts.event_id = overdue.event_id
        RETURNING receipts.event_id, receipts.received_at, receipts.runs, state = 'settled' AS is_settled,
            time_left <= v_hurry AS is_in_a_hurry, coalesce(receipts.producer, own_producer()) AS producer
    )
    SELECT claimed.event_id, tokens.token, claimed.received_at, claimed.runs, is_settled, is_in_a_hurry,
        claimed.producer
    FROM claimed JOIN tokens ON tokens.slot = token_slot(claimed.received_at)
        AND tokens.received_at = claimed.received_at AND tokens.event_id = claimed.event_id;
END $$;
