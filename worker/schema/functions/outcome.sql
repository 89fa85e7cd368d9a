-- What becomes of an event beside its settlement: given up, answered, closed, or put off.
--
-- The states that an update applies to are said by what they are not, which no index can look for: the row is found
-- by its key (decision 14).

-- Decide 102823 for an event whose cut-off has passed undecided. Nulls: no receipt, nobody vouches for it.
CREATE OR REPLACE FUNCTION give_up_event(p_event_id uuid) RETURNS settlement LANGUAGE plpgsql AS $$
DECLARE
    v_receipt receipts;
BEGIN
    PERFORM require_whole();
    UPDATE receipts SET state = 'settled', code = 102823, settled_at = clock_timestamp()
    WHERE event_id = p_event_id AND state = 'received' AND clock_timestamp() >= credit_cutoff_at;
    SELECT * INTO v_receipt FROM receipts WHERE event_id = p_event_id;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN settlement_of(v_receipt);
END $$;

-- Of very many accepts of an event the first 20 and the last 20, in the order in which they were sent, each once.
CREATE OR REPLACE FUNCTION first_and_last(p_accepts accept_attempt[]) RETURNS accept_attempt[] LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(placed.accept ORDER BY placed.place)
    FROM (
        SELECT accept, row_number() OVER (ORDER BY (accept).sent_at, accept) AS place, count(*) OVER () AS total
        FROM (SELECT DISTINCT given::accept_attempt AS accept FROM unnest(p_accepts) AS given) AS distinct_ones
    ) AS placed
    WHERE placed.place <= 20 OR placed.place > placed.total - 20
$$;

-- What is on record of the accepts of an event, once more of them were sent.
CREATE OR REPLACE FUNCTION with_accepts(p_before accept_attempt[], p_more accept_attempt[]) RETURNS accept_attempt[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_more IS NULL THEN p_before
        -- Nearly always: one was enough.
        WHEN p_before IS NULL AND cardinality(p_more) = 1 THEN p_more
        ELSE first_and_last(p_before || p_more)
    END
$$;

-- The accepts of one event as a worker hands them over: a list of objects with the members of accept_attempt. Null: none.
CREATE OR REPLACE FUNCTION accepts_of(p_accepts json) RETURNS accept_attempt[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(accept) FROM json_populate_recordset(NULL::accept_attempt, p_accepts) AS accept
$$;

-- Put accepts on record of events that have come to their end meanwhile, by another run or by the sweep. The arguments are
-- those of mark_answered. What stands there is not added again.
CREATE OR REPLACE FUNCTION add_to_ended(p_event_ids uuid[], p_accepts json) RETURNS void LANGUAGE sql AS $$
    UPDATE receipts SET
        accepts = with_accepts(receipts.accepts, sent.accepts),
        attempts = receipts.attempts + (
            SELECT count(*) FROM unnest(sent.accepts) AS accept WHERE accept <> ALL (coalesce(receipts.accepts, '{}')))
    FROM ROWS FROM (unnest(p_event_ids), json_to_recordset(p_accepts) AS (accepts accept_attempt[]))
        AS sent (event_id, accepts)
    WHERE receipts.event_id = sent.event_id AND receipts.state <> ALL ('{received,settled}')
        AND NOT coalesce(receipts.accepts, '{}') @> sent.accepts
$$;

-- BETCORE acknowledged these events. True whatever else was thought of them: another run of the same
-- event may have given it up in the meantime.
--
-- With 103804 it acknowledged the Value of the first event: the money is confirmed, whatever becomes of that event. It is
-- written to the first one's receipt, also before its end: who closes it waits for this row, and then sees it. This
-- row comes after those of the group, out of order; what two groups can lead to by that, PostgreSQL ends, and the
-- marks are written again.
--
-- p_accepts: for each event, side by side with p_event_ids, an object whose `accepts` are those that were sent; one was at
-- least.
CREATE OR REPLACE FUNCTION mark_answered(p_event_ids uuid[], p_accepts json DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_marked bigint;
    v_again uuid[];
BEGIN
    WITH marked AS (
        UPDATE receipts
        SET state = 'answered', closed_at = clock_timestamp(), unconfirmed = false, last_error = NULL,
            attempts = receipts.attempts + greatest(1, cardinality(sent.accepts)),
            accepts = with_accepts(receipts.accepts, sent.accepts)
        FROM ROWS FROM (unnest(p_event_ids), json_to_recordset(p_accepts) AS (accepts accept_attempt[]))
            AS sent (event_id, accepts)
        WHERE receipts.event_id = sent.event_id AND receipts.state <> ALL ('{received,answered}')
        RETURNING receipts.event_id, receipts.code
    )
    SELECT count(*), array_agg(event_id) FILTER (WHERE code = 103804) INTO v_marked, v_again FROM marked;
    IF v_again IS NOT NULL THEN
        UPDATE receipts SET confirmed_by = again.event_id, unconfirmed = false
        FROM receipts AS again JOIN transactions USING (transaction_id)
        WHERE again.event_id = ANY (v_again) AND receipts.event_id = transactions.event_id
            AND receipts.confirmed_by IS NULL AND receipts.state <> ALL ('{received,answered}');
    END IF;
    IF v_marked < cardinality(p_event_ids) THEN
        PERFORM add_to_ended(p_event_ids, p_accepts);
    END IF;
    RETURN v_marked;
END $$;

-- What went wrong last, and where that was no answer of BETCORE's, the last one that it gave. Answers begin with their
-- HTTP status.
CREATE OR REPLACE FUNCTION with_last_answer(p_error text, p_before text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT left(CASE WHEN p_error LIKE 'HTTP %' THEN p_error
        ELSE concat_ws('; last answer: ', left(p_error, 300), substring(p_before FROM '(?:^|; last answer: )(HTTP .*)$'))
        END, 500)
$$;

-- Why an event ends without a word of BETCORE's. p_runs: those that may have sent an accept whose worker ended before it
-- was counted.
CREATE OR REPLACE FUNCTION no_answer_because(p_runs integer, p_attempts integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_runs <= 0 AND p_attempts = 0 THEN 'no attempt reached BETCORE before the deadline'
        ELSE 'no answer of BETCORE''s is known' END
$$;

-- Close an event that came to a bad end: 'refused' or 'expired', after these accepts more. p_error: null where nothing new
-- is known. True if that changed anything; accepts that were sent are put on record in any case.
CREATE OR REPLACE FUNCTION close_event(p_event_id uuid, p_state text, p_error text, p_accepts json DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_accepts accept_attempt[] := accepts_of(p_accepts);
BEGIN
    IF p_state NOT IN ('refused', 'expired') THEN
        RAISE EXCEPTION '% is no bad end', p_state USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE receipts SET
        state = p_state,
        closed_at = clock_timestamp(),
        unconfirmed = (code = 200 AND confirmed_by IS NULL),
        attempts = attempts + coalesce(cardinality(v_accepts), 0),
        accepts = with_accepts(accepts, v_accepts),
        last_error = coalesce(
            CASE WHEN p_error IS NULL THEN last_error ELSE with_last_answer(p_error, last_error) END,
            -- Without an error it is a run that sends nothing which closes.
            no_answer_because(runs - 1, attempts + coalesce(cardinality(v_accepts), 0)))
    WHERE event_id = p_event_id AND state <> ALL ('{received,answered,refused,expired}');
    IF FOUND THEN
        RETURN true;
    END IF;
    PERFORM add_to_ended(ARRAY[p_event_id], json_build_array(json_build_object('accepts', p_accepts)));
    RETURN false;
END $$;

-- Put off the next attempt of an open event, after these accepts more; p_delay_seconds says when it becomes overdue.
CREATE OR REPLACE FUNCTION postpone_event(
    p_event_id uuid, p_delay_seconds double precision, p_error text, p_accepts json DEFAULT NULL
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_accepts accept_attempt[] := accepts_of(p_accepts);
BEGIN
    UPDATE receipts SET
        next_attempt_at = clock_timestamp() + make_interval(secs => p_delay_seconds),
        attempts = attempts + coalesce(cardinality(v_accepts), 0),
        accepts = with_accepts(accepts, v_accepts),
        last_error = with_last_answer(p_error, last_error)
    WHERE event_id = p_event_id AND state <> ALL ('{answered,refused,expired}');
    IF FOUND THEN
        RETURN true;
    END IF;
    PERFORM add_to_ended(ARRAY[p_event_id], json_build_array(json_build_object('accepts', p_accepts)));
    RETURN false;
END $$;

-- Hold settled events whose accepts are in flight: they are not overdue before p_seconds from now. Returns how many are
-- still open.
CREATE OR REPLACE FUNCTION hold_events(p_event_ids uuid[], p_seconds double precision) RETURNS bigint LANGUAGE sql AS $$
    WITH held AS (
        UPDATE receipts SET next_attempt_at = clock_timestamp() + make_interval(secs => p_seconds)
        WHERE event_id = ANY (p_event_ids) AND state <> ALL ('{received,answered,refused,expired}')
        RETURNING 1
    )
    SELECT count(*) FROM held
$$;
