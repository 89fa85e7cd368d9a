-- Quarantine: a message that no worker can settle leaves Redis only after its row is here.

-- Keep a message. p_producer: who put it onto the queue; null: our own receiver. Returns its id and how often it has been
-- seen by now.
CREATE OR REPLACE FUNCTION quarantine_message(
    p_digest bytea, p_reason text, p_detail text, p_queue text, p_task_id text, p_task_name text, p_headers jsonb,
    p_content_type text, p_content_encoding text, p_message bytea, p_message_bytes bigint, p_producer text DEFAULT NULL,
    OUT quarantine_id bigint, OUT seen_count bigint
) LANGUAGE sql AS $$
    INSERT INTO quarantine AS kept (
        digest, reason, detail, queue, task_id, task_name, headers,
        content_type, content_encoding, message, message_bytes, producer
    )
    VALUES (
        p_digest, p_reason, p_detail, p_queue, p_task_id, p_task_name, p_headers,
        p_content_type, p_content_encoding, p_message, p_message_bytes, coalesce(p_producer, own_producer())
    )
    ON CONFLICT (digest) DO UPDATE SET
        seen_count = kept.seen_count + 1,
        last_seen_at = clock_timestamp(),
        detail = excluded.detail
    RETURNING kept.quarantine_id, kept.seen_count
$$;
