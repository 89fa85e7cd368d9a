-- Retention: what has come to its good end is kept for a time, the rest for ever. A pruned receipt takes no money
-- and no protection with it: the transaction and its unique business key stay. Tokens go by their age alone, a
-- week at a time.

-- Delete answered receipts that were received more than p_keep_seconds ago, at most p_limit at a time. Returns
-- how many. Several callers at once do not wait for each other.
CREATE OR REPLACE FUNCTION prune_receipts(p_keep_seconds double precision, p_limit integer) RETURNS bigint LANGUAGE sql AS $$
    WITH deleted AS (
        DELETE FROM receipts
        WHERE event_id IN (
            SELECT event_id FROM receipts
            WHERE state = 'answered'
                AND received_at < (SELECT clock_timestamp() - make_interval(secs => p_keep_seconds))
            ORDER BY received_at
            LIMIT p_limit
            FOR UPDATE SKIP LOCKED
        )
        RETURNING received_at, event_id
    ), forgotten AS (
        -- Its token was kept where the good end came late.
        DELETE FROM tokens USING deleted
        WHERE slot = -1 AND tokens.received_at = deleted.received_at AND tokens.event_id = deleted.event_id
    )
    SELECT count(*) FROM deleted
$$;

-- Copy tokens of one slot that are still needed to tokens_kept, at most p_limit of them: those of events that have no good
-- end. Returns how many; where that is less than p_limit none is left, as what is kept already does not count.
CREATE OR REPLACE FUNCTION keep_tokens(
    p_slot integer, p_oldest timestamptz, p_newest timestamptz, p_limit bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_state text;
    v_made bigint;
    v_kept bigint := 0;
BEGIN
    -- State by state, and each by its name: so that the planner knows which index holds it.
    FOREACH v_state IN ARRAY '{refused,expired,received,settled}'::text[] LOOP
        EXECUTE format('
            INSERT INTO tokens (slot, received_at, event_id, token)
            SELECT -1, received_at, event_id, tokens.token
            FROM receipts JOIN tokens USING (received_at, event_id)
            WHERE state = %L AND received_at BETWEEN $1 AND $2 AND tokens.slot = $3
                AND NOT EXISTS (
                    SELECT FROM tokens AS kept
                    WHERE kept.slot = -1 AND kept.received_at = receipts.received_at AND kept.event_id = receipts.event_id)
            LIMIT $4', v_state)
        USING p_oldest, p_newest, p_slot, p_limit - v_kept;
        GET DIAGNOSTICS v_made = ROW_COUNT;
        v_kept := v_kept + v_made;
    END LOOP;
    RETURN v_kept;
END $$;

-- Empty the slots whose youngest token was received more than p_keep_seconds ago, but for the tokens of events that
-- have no good end: those go to tokens_kept first, at most p_limit at a time. Returns how many slots it emptied
-- and how many tokens it kept; call it again while that is p_limit.
--
-- A slot is locked before it is looked at, so that no token comes in between. Nobody writes into an old slot or reads it
-- but a backup, so the lock is asked for, not waited for.
CREATE OR REPLACE FUNCTION prune_tokens(
    p_keep_seconds double precision, p_limit integer, OUT emptied bigint, OUT kept bigint
) LANGUAGE plpgsql AS $$
DECLARE
    v_slot integer;
    v_table text;
    v_oldest timestamptz;
    v_newest timestamptz;
BEGIN
    PERFORM require_whole();
    emptied := 0;
    kept := 0;
    FOR v_slot IN 0..31 LOOP
        v_table := 'tokens_' || lpad(v_slot::text, 2, '0');
        EXECUTE format('SELECT max(received_at) FROM %I', v_table) INTO v_newest;
        CONTINUE WHEN v_newest IS NULL
            OR v_newest >= clock_timestamp() - make_interval(secs => p_keep_seconds);
        BEGIN
            EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE NOWAIT', v_table);
        EXCEPTION WHEN lock_not_available THEN
            CONTINUE;
        END;
        EXECUTE format('SELECT min(received_at), max(received_at) FROM %I', v_table) INTO v_oldest, v_newest;
        CONTINUE WHEN v_newest IS NULL
            OR v_newest >= clock_timestamp() - make_interval(secs => p_keep_seconds);
        kept := kept + keep_tokens(v_slot, v_oldest, v_newest, p_limit - kept);
        EXIT WHEN kept >= p_limit;
        EXECUTE format('TRUNCATE %I', v_table);
        emptied := emptied + 1;
    END LOOP;
END $$;

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

-- Delete replays that ended more than p_keep_seconds ago, at most p_limit at a time, and orders without any. Returns how many
-- replays were deleted; call it again while that is p_limit. The audit keeps who ordered what.
CREATE OR REPLACE FUNCTION prune_replays(p_keep_seconds double precision, p_limit integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_before timestamptz := clock_timestamp() - make_interval(secs => p_keep_seconds);
    v_pruned bigint;
BEGIN
    DELETE FROM replays
    WHERE replay_id IN (
        SELECT replay_id FROM replays WHERE ended_at < v_before ORDER BY ended_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS v_pruned = ROW_COUNT;
    DELETE FROM replay_orders
    WHERE ended_at < v_before AND NOT EXISTS (SELECT FROM replays WHERE replays.order_id = replay_orders.order_id);
    RETURN v_pruned;
END $$;
