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

-- BETCORE acknowledged these events. True whatever else was thought of them: another run of the same
-- event may have given it up in the meantime.
--
-- With 103804 it acknowledged the Value of the first event: the money is confirmed, whatever becomes of that event. It is
-- written to the first one's receipt, also before its end: who closes it waits for this row, and then sees it. This
-- row comes after those of the group, out of order; what two groups can lead to by that, PostgreSQL ends, and the
-- marks are written again.
--
-- One accept was sent for each; p_sent_besides holds an event once for each further one.
CREATE OR REPLACE FUNCTION mark_answered(p_event_ids uuid[], p_sent_besides uuid[] DEFAULT '{}') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_marked bigint;
    v_again uuid[];
BEGIN
    WITH marked AS (
        UPDATE receipts
        SET state = 'answered', closed_at = clock_timestamp(), unconfirmed = false, last_error = NULL,
            attempts = attempts + 1 + cardinality(array_positions(p_sent_besides, event_id))
        WHERE event_id = ANY (p_event_ids) AND state <> ALL ('{received,answered}')
        RETURNING event_id, code
    )
    SELECT count(*), array_agg(event_id) FILTER (WHERE code = 103804) INTO v_marked, v_again FROM marked;
    IF v_again IS NOT NULL THEN
        UPDATE receipts SET confirmed_by = again.event_id, unconfirmed = false
        FROM receipts AS again JOIN transactions USING (transaction_id)
        WHERE again.event_id = ANY (v_again) AND receipts.event_id = transactions.event_id
            AND receipts.confirmed_by IS NULL AND receipts.state <> ALL ('{received,answered}');
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

-- Close an event that came to a bad end: 'refused' or 'expired', after p_sent more accepts. p_error: null where nothing new
-- is known. True if that changed anything.
CREATE OR REPLACE FUNCTION close_event(p_event_id uuid, p_state text, p_error text, p_sent integer DEFAULT 0)
RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF p_state NOT IN ('refused', 'expired') THEN
        RAISE EXCEPTION '% is no bad end', p_state USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE receipts SET
        state = p_state,
        closed_at = clock_timestamp(),
        unconfirmed = (code = 200 AND confirmed_by IS NULL),
        attempts = attempts + p_sent,
        last_error = coalesce(
            CASE WHEN p_error IS NULL THEN last_error ELSE with_last_answer(p_error, last_error) END,
            -- Without an error it is a run that sends nothing which closes.
            no_answer_because(runs - 1, attempts + p_sent))
    WHERE event_id = p_event_id AND state <> ALL ('{received,answered,refused,expired}');
    RETURN FOUND;
END $$;

-- Put off the next attempt of an open event, after p_sent more accepts; p_delay_seconds says when it becomes overdue.
CREATE OR REPLACE FUNCTION postpone_event(
    p_event_id uuid, p_delay_seconds double precision, p_error text, p_sent integer DEFAULT 0
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE receipts SET
        next_attempt_at = clock_timestamp() + make_interval(secs => p_delay_seconds),
        attempts = attempts + p_sent,
        last_error = with_last_answer(p_error, last_error)
    WHERE event_id = p_event_id AND state <> ALL ('{answered,refused,expired}');
    RETURN FOUND;
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
