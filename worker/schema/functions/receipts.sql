-- Receipts are made: one, or many in one statement. Each with its token, which stands in a table of its own.

-- Where the token of an event that was received at this moment stands: one slot for each week, 32 in turn.
CREATE OR REPLACE FUNCTION token_slot(p_received_at timestamptz) RETURNS smallint LANGUAGE sql STABLE AS $$
    SELECT (((floor(date_part('epoch', p_received_at) / 604800)::bigint % 32) + 32) % 32)::smallint
$$;

-- The token of an event; null where it is not on record, or not any more.
CREATE OR REPLACE FUNCTION token_of(p_event_id uuid) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT tokens.token
    FROM receipts JOIN tokens ON tokens.slot IN (token_slot(receipts.received_at), -1)
        AND tokens.received_at = receipts.received_at AND tokens.event_id = receipts.event_id
    WHERE receipts.event_id = p_event_id
    LIMIT 1
$$;

-- The id of the event that a token stands for, as event_id_of of producer/client/cashback_client/contract.py has it. A credit needs a
-- receipt, and no receipt is made for an event that is not its token's.
CREATE OR REPLACE FUNCTION event_id_of(p_token text) RETURNS uuid LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    v_digest bytea := sha256(convert_to(p_token, 'UTF8'));
BEGIN
    RETURN encode(set_byte(set_byte(substring(v_digest FROM 1 FOR 16),
        6, get_byte(v_digest, 6) & 15 | 128), 8, get_byte(v_digest, 8) & 63 | 128), 'hex')::uuid;
END $$;

CREATE OR REPLACE FUNCTION refuse_event(p_event_id uuid) RETURNS uuid LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RAISE EXCEPTION 'event % is not the one of its token', p_event_id USING ERRCODE = 'check_violation';
END $$;

-- Record that an event was received; true if it is new. p_producer: who handed it in; null: our own receiver. What it asks
-- for is written by who settles it. The times count from the earlier of the receiver's stamp and this server's clock: a
-- receiver whose clock runs ahead gains no time by it.
CREATE OR REPLACE FUNCTION record_receipt(
    p_event_id uuid,
    p_token text,
    p_cashback_id bigint,
    p_received_at timestamptz,
    p_cutoff_seconds double precision,
    p_deadline_seconds double precision,
    p_next_attempt_seconds double precision,
    p_producer text DEFAULT NULL
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_received_at timestamptz := least(p_received_at, clock_timestamp());
BEGIN
    IF p_event_id IS DISTINCT FROM event_id_of(p_token) THEN
        PERFORM refuse_event(p_event_id);
    END IF;
    INSERT INTO receipts
        (event_id, cashback_id, received_at, credit_cutoff_at, deadline_at, next_attempt_at, producer)
    VALUES (
        p_event_id, p_cashback_id, v_received_at,
        v_received_at + make_interval(secs => p_cutoff_seconds),
        v_received_at + make_interval(secs => p_deadline_seconds),
        v_received_at + make_interval(secs => p_next_attempt_seconds),
        nullif(p_producer, own_producer())
    )
    ON CONFLICT (event_id) DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO tokens (slot, received_at, event_id, token)
    VALUES (token_slot(v_received_at), v_received_at, p_event_id, p_token);
    RETURN true;
END $$;

-- Record that several events were received, in one statement and so with one flush to disk. Returns the ids of
-- those that are new. The arrays stand side by side, one element for each event; p_received_ms is Unix time in
-- milliseconds, p_producers is null where all are of our own receiver; the last three are what the tokens ask for. The times of each count as in record_receipt; of
-- an event that stands there twice the earlier one counts. All or none: a row that cannot be stored fails the statement, and the caller then records one by
-- one.
CREATE OR REPLACE FUNCTION record_receipts(
    p_event_ids uuid[],
    p_tokens text[],
    p_cashback_ids bigint[],
    p_received_ms bigint[],
    p_cutoff_seconds double precision,
    p_deadline_seconds double precision,
    p_next_attempt_seconds double precision,
    p_producers text[] DEFAULT NULL,
    p_user_ids text[] DEFAULT NULL,
    p_transaction_types integer[] DEFAULT NULL,
    p_amounts numeric[] DEFAULT NULL
) RETURNS SETOF uuid LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_cutoff interval := make_interval(secs => p_cutoff_seconds);
    v_deadline interval := make_interval(secs => p_deadline_seconds);
    v_next_attempt interval := make_interval(secs => p_next_attempt_seconds);
BEGIN
    RETURN QUERY
    WITH made AS MATERIALIZED (
        -- Asked of each row that is inserted: subscripts of an array need not begin at 1.
        SELECT DISTINCT ON (event_id)
            CASE WHEN event_id = event_id_of(token) THEN event_id ELSE refuse_event(event_id) END AS event_id,
            token, cashback_id,
            least(to_timestamp(received_ms / 1000::double precision), v_now) AS received_at,
            nullif(producer, own_producer()) AS producer, user_id, transaction_type, amount
        FROM unnest(p_event_ids, p_tokens, p_cashback_ids, p_received_ms, p_producers,
                p_user_ids, p_transaction_types, p_amounts)
            AS given (event_id, token, cashback_id, received_ms, producer, user_id, transaction_type, amount)
        ORDER BY event_id, received_ms
    ), recorded AS (
        INSERT INTO receipts
            (event_id, cashback_id, received_at, credit_cutoff_at, deadline_at, next_attempt_at, producer,
            user_id, transaction_type, amount)
        SELECT event_id, cashback_id, received_at,
            received_at + v_cutoff, received_at + v_deadline, received_at + v_next_attempt, producer,
            user_id, transaction_type, amount
        FROM made
        -- In one order for all, so that no two groups can each hold what the other waits for.
        ORDER BY event_id
        ON CONFLICT (event_id) DO NOTHING
        RETURNING receipts.event_id
    ), kept AS (
        INSERT INTO tokens (slot, received_at, event_id, token)
        SELECT token_slot(received_at), received_at, event_id, token
        FROM made
        -- IS TRUE keeps it a look-up by hash: as a join it would compare each with each.
        WHERE (event_id IN (SELECT recorded.event_id FROM recorded)) IS TRUE
    )
    SELECT recorded.event_id FROM recorded;
END $$;

-- How far events have come: those of p_event_ids that a worker has settled, and how long the events have waited that wait
-- longest of one producer's (null: our own receiver's; each has a list of its own), but for the first p_stuck: null where no
-- more than these wait. Who cannot be settled in time any more does not count, nor a cancel that waits for its payout.
CREATE OR REPLACE FUNCTION progress_of(
    p_event_ids uuid[], p_stuck integer, p_producer text, OUT settled uuid[], OUT age_seconds double precision
) LANGUAGE sql STABLE
-- Without statistics the planner takes those that wait for few, and would sort all of them to find the oldest.
SET enable_sort = off SET enable_bitmapscan = off AS $$
    SELECT
        ARRAY(
            SELECT event_id FROM receipts
            WHERE event_id = ANY (p_event_ids) AND (state <> 'received' OR runs > 0)),
        -- Each by the index that has its own and no others'.
        CASE WHEN p_producer IS NULL THEN
            (SELECT extract(epoch FROM clock_timestamp() - received_at)::double precision FROM receipts
            WHERE state = 'received' AND runs = 0 AND credit_cutoff_at > (SELECT clock_timestamp()) AND producer IS NULL
            ORDER BY credit_cutoff_at
            OFFSET p_stuck LIMIT 1)
        ELSE
            (SELECT extract(epoch FROM clock_timestamp() - received_at)::double precision FROM receipts
            WHERE state = 'received' AND runs = 0 AND credit_cutoff_at > (SELECT clock_timestamp()) AND producer = p_producer
            ORDER BY credit_cutoff_at
            OFFSET p_stuck LIMIT 1)
        END
$$;
