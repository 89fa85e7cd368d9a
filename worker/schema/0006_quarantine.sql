-- Messages that no worker can settle: kept as they stood in the queue, for an operator to look at, and to put
-- back once their cause is repaired. A message leaves Redis only after its row is here.

CREATE TABLE quarantine (
    quarantine_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- SHA-256 of why and of what: the same message, delivered again, is counted and makes no second row.
    digest bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 64),
    detail text NOT NULL CHECK (length(detail) <= 1000),
    queue text NOT NULL CHECK (length(queue) BETWEEN 1 AND 255),
    -- What the message says of itself, cut and without tokens: for people's eyes, nothing is sent from it.
    task_id text CHECK (length(task_id) <= 255),
    task_name text CHECK (length(task_name) <= 255),
    headers jsonb NOT NULL,
    content_type text CHECK (length(content_type) <= 255),
    content_encoding text CHECK (length(content_encoding) <= 255),
    -- The queue's entry, byte for byte, and how long it was; longer ones are cut and cannot be put back.
    message bytea NOT NULL CHECK (octet_length(message) <= 1048576),
    message_bytes bigint NOT NULL,
    quarantined_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_count bigint NOT NULL DEFAULT 1,
    requeued_at timestamptz,
    requeue_count bigint NOT NULL DEFAULT 0,
    CHECK (message_bytes >= octet_length(message)),
    CHECK ((requeued_at IS NULL) = (requeue_count = 0))
);
-- `cashback quarantine list --reason`, newest first.
CREATE INDEX quarantine_by_reason ON quarantine (reason, quarantine_id);
-- What prune_quarantine goes by: the last time that anything happened to the message.
CREATE INDEX quarantine_by_age ON quarantine (greatest(last_seen_at, requeued_at));

-- Keep a message. Returns its id and how often it has been seen by now.
CREATE FUNCTION quarantine_message(
    p_digest bytea, p_reason text, p_detail text, p_queue text, p_task_id text, p_task_name text, p_headers jsonb,
    p_content_type text, p_content_encoding text, p_message bytea, p_message_bytes bigint,
    OUT quarantine_id bigint, OUT seen_count bigint
) LANGUAGE sql AS $$
    INSERT INTO quarantine AS kept (
        digest, reason, detail, queue, task_id, task_name, headers,
        content_type, content_encoding, message, message_bytes
    )
    VALUES (
        p_digest, p_reason, p_detail, p_queue, p_task_id, p_task_name, p_headers,
        p_content_type, p_content_encoding, p_message, p_message_bytes
    )
    ON CONFLICT (digest) DO UPDATE SET
        seen_count = kept.seen_count + 1,
        last_seen_at = clock_timestamp(),
        detail = excluded.detail
    RETURNING kept.quarantine_id, kept.seen_count
$$;

-- Retention: delete what nothing has happened to for p_keep_seconds, and of the rest the oldest ones beyond
-- p_keep_rows, at most p_limit at a time. Returns how many were deleted; call it again while that is p_limit.
-- Several callers at once do not wait for each other, and a message that is just being put back stays.
CREATE FUNCTION prune_quarantine(p_keep_seconds double precision, p_keep_rows bigint, p_limit integer)
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
