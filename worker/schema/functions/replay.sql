-- Replays: an order of a person's, the workers that claim what is due of it, and what came of it. None of these functions
-- settles or posts anything: a replay cannot come to move money.

-- Whether a cashback that this event was declined for was posted since, for another one: BETCORE was told so, and is not to be
-- told otherwise.
CREATE OR REPLACE FUNCTION is_posted_since(p_receipt receipts) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT p_receipt.code <> ALL ('{200,103804}') AND EXISTS (
        SELECT FROM transactions
        WHERE cashback_id = p_receipt.cashback_id
            AND (p_receipt.transaction_type IS NULL OR transaction_type = p_receipt.transaction_type))
$$;

-- Order that the accepts of these events are sent again, p_rate of them a second. Those that ended without an
-- acknowledgement and have no open replay are taken; p_person and p_reason go into the audit with each. Both nulls: none was.
CREATE OR REPLACE FUNCTION order_replay(
    p_event_ids uuid[], p_rate integer, p_person text, p_reason text, OUT order_id bigint, OUT events bigint
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_order_id bigint;
    v_subjects text[];
    v_before jsonb[];
    v_after jsonb[];
BEGIN
    PERFORM require_whole();
    IF cardinality(p_event_ids) > 100000 THEN
        RAISE EXCEPTION 'an order is for 100000 events at most' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO replay_orders (person, reason, rate) VALUES (p_person, p_reason, p_rate)
    RETURNING replay_orders.order_id INTO v_order_id;
    WITH made AS (
        INSERT INTO replays (order_id, event_id)
        SELECT v_order_id, event_id FROM receipts
        WHERE event_id = ANY (p_event_ids) AND state <> ALL ('{received,settled,answered}') AND NOT is_posted_since(receipts)
        -- In one order for all, so that no two orders can each hold what the other waits for.
        ORDER BY received_at, event_id
        ON CONFLICT (event_id) WHERE state = 'open' DO NOTHING
        RETURNING event_id
    )
    SELECT
        array_agg(event_id::text),
        array_agg(jsonb_build_object('state', state, 'code', code, 'unconfirmed', unconfirmed)),
        array_agg(jsonb_build_object('order_id', v_order_id, 'rate', p_rate))
    INTO v_subjects, v_before, v_after
    -- By the key of receipts: two sets of 100000 without one would be compared each with each.
    FROM made JOIN receipts USING (event_id);
    IF v_subjects IS NULL THEN
        DELETE FROM replay_orders WHERE order_id = v_order_id;
        RETURN;
    END IF;
    order_id := v_order_id;
    events := note_actions('replay', v_subjects, p_person, p_reason, v_before, v_after);
END $$;

-- Claim replays that are due, at most p_limit: nobody else gets them before p_lease_seconds have gone by. An order's rate
-- holds over all workers, as one at a time claims of it; what was not sent while nobody claimed is not caught up with.
--
-- state says what each is: open ones are to be sent, with how their event stands and the seconds that are left for further
-- tries. The others ended here: an acknowledgement came in another way, or p_max_tries workers in turn were lost with it.
-- A lost worker costs the replay no time: its window begins anew.
CREATE OR REPLACE FUNCTION claim_replays(
    p_limit integer, p_lease_seconds double precision, p_window_seconds double precision, p_max_tries integer
) RETURNS TABLE (
    replay_id bigint, tries integer, state text, seconds_left double precision,
    event_id uuid, token text, received_at timestamptz, stands settlement
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
    v_left integer := p_limit;
    v_order replay_orders;
    v_from timestamptz;
    v_room integer;
    v_due bigint[];
BEGIN
    PERFORM require_whole();
    FOR v_order IN
        SELECT * FROM replay_orders WHERE ended_at IS NULL ORDER BY next_due_at FOR UPDATE SKIP LOCKED
    LOOP
        v_from := greatest(v_order.next_due_at, v_now - interval '2 seconds');
        v_room := least(v_left, floor(extract(epoch FROM v_now - v_from) * v_order.rate));
        CONTINUE WHEN v_room <= 0;
        -- What was tried goes first, as its time runs.
        v_due := ARRAY(
            SELECT replay_id FROM replays
            WHERE order_id = v_order.order_id AND state = 'open' AND tries > 0 AND due_at <= v_now
            ORDER BY due_at LIMIT v_room FOR UPDATE SKIP LOCKED
        );
        v_due := v_due || ARRAY(
            SELECT replay_id FROM replays
            WHERE order_id = v_order.order_id AND state = 'open' AND tries = 0
            ORDER BY replay_id LIMIT v_room - cardinality(v_due) FOR UPDATE SKIP LOCKED
        );
        IF cardinality(v_due) = 0 THEN
            UPDATE replay_orders SET ended_at = v_now
            WHERE order_id = v_order.order_id
                AND NOT EXISTS (SELECT FROM replays WHERE order_id = v_order.order_id AND state = 'open');
            CONTINUE;
        END IF;
        v_left := v_left - cardinality(v_due);
        UPDATE replay_orders
        SET next_due_at = v_from + make_interval(secs => cardinality(v_due) / v_order.rate::double precision)
        WHERE order_id = v_order.order_id;
        RETURN QUERY SELECT * FROM take_replays(v_due, v_now, p_lease_seconds, p_window_seconds, p_max_tries);
    END LOOP;
END $$;

-- Take these replays in hand, as claim_replays has it.
CREATE OR REPLACE FUNCTION take_replays(
    p_replay_ids bigint[], p_now timestamptz,
    p_lease_seconds double precision, p_window_seconds double precision, p_max_tries integer
) RETURNS TABLE (
    replay_id bigint, tries integer, state text, seconds_left double precision,
    event_id uuid, token text, received_at timestamptz, stands settlement
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH standing AS MATERIALIZED (
        SELECT replays.replay_id,
            CASE
                -- An answered event's receipt may be gone.
                WHEN receipts.event_id IS NULL OR receipts.state = 'answered' THEN 'answered'
                WHEN replays.tries >= p_max_tries OR is_posted_since(receipts) THEN 'failed'
                ELSE 'open'
            END AS state,
            CASE WHEN is_posted_since(receipts) THEN 'its cashback was posted since, for another event: BETCORE knows of that'
                ELSE 'no answer of BETCORE''s is known: the workers that sent it ended before one came'
            END AS why
        FROM replays LEFT JOIN receipts USING (event_id)
        WHERE replays.replay_id = ANY (p_replay_ids)
    ), taken AS (
        UPDATE replays SET
            state = standing.state,
            tries = replays.tries + 1,
            due_at = p_now + make_interval(secs => p_lease_seconds),
            is_leased = standing.state = 'open',
            window_ends_at = CASE WHEN replays.tries = 0 OR replays.is_leased
                THEN p_now + make_interval(secs => p_window_seconds) ELSE replays.window_ends_at END,
            ended_at = CASE WHEN standing.state <> 'open' THEN p_now END,
            error = CASE WHEN standing.state = 'failed' THEN standing.why ELSE replays.error END
        FROM standing
        WHERE replays.replay_id = standing.replay_id
        RETURNING replays.replay_id, replays.tries, replays.state, replays.window_ends_at, replays.event_id
    )
    SELECT taken.replay_id, taken.tries, taken.state,
        extract(epoch FROM taken.window_ends_at - p_now)::double precision,
        taken.event_id, token_of(taken.event_id), receipts.received_at, settlement_of(receipts)
    FROM taken LEFT JOIN receipts USING (event_id)
    ORDER BY taken.replay_id;
END $$;

-- Put on record what came of replays. The arrays stand side by side: the tries at which each was claimed; 'answered',
-- 'failed', or 'open' for one more try after p_delays seconds; what BETCORE said; and in p_accepts, for each, an object whose
-- `accepts` are those that were sent.
--
-- An acknowledgement counts whoever brings it. All else counts from the worker alone that has the replay: whoever lost it
-- meanwhile knows less. Returns how many counted.
CREATE OR REPLACE FUNCTION note_replays(
    p_replay_ids bigint[], p_tries integer[], p_states text[], p_errors text[], p_delays double precision[], p_accepts json
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_noted bigint;
    v_answered uuid[];
    v_answered_accepts json;
    v_others uuid[];
    v_others_accepts json;
BEGIN
    PERFORM require_whole();
    WITH told AS MATERIALIZED (
        SELECT * FROM ROWS FROM (
            unnest(p_replay_ids), unnest(p_tries), unnest(p_states), unnest(p_errors), unnest(p_delays),
            json_to_recordset(p_accepts) AS (accepts accept_attempt[])
        ) AS given (replay_id, tries, state, error, delay_seconds, accepts)
    ), noted AS (
        UPDATE replays SET
            state = told.state,
            sent = replays.sent + coalesce(cardinality(told.accepts), 0),
            error = CASE WHEN told.state <> 'answered' THEN left(told.error, 500) END,
            due_at = clock_timestamp() + make_interval(secs => coalesce(told.delay_seconds, 0)),
            is_leased = false,
            ended_at = CASE WHEN told.state <> 'open' THEN clock_timestamp() END
        FROM told
        WHERE replays.replay_id = told.replay_id AND replays.state <> 'answered'
            AND (told.state = 'answered' OR (replays.state = 'open' AND replays.tries = told.tries))
        RETURNING replays.event_id, told.state, json_build_object('accepts', told.accepts) AS accepts
    )
    SELECT
        count(*),
        array_agg(event_id ORDER BY event_id) FILTER (WHERE state = 'answered'),
        json_agg(accepts ORDER BY event_id) FILTER (WHERE state = 'answered'),
        array_agg(event_id ORDER BY event_id) FILTER (WHERE state <> 'answered'),
        json_agg(accepts ORDER BY event_id) FILTER (WHERE state <> 'answered')
    INTO v_noted, v_answered, v_answered_accepts, v_others, v_others_accepts
    FROM noted;
    IF v_answered IS NOT NULL THEN
        PERFORM mark_answered(v_answered, v_answered_accepts);
    END IF;
    IF v_others IS NOT NULL THEN
        PERFORM add_to_ended(v_others, v_others_accepts);
    END IF;
    RETURN v_noted;
END $$;
