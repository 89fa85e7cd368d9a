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

-- Mark a message as put back onto its queue, which the caller does before it commits, and note it in the audit. Unless
-- p_again only one that is open: it was not put back, or has come back since. The row stays locked until the commit.
--
-- outcome: `marked`; or why not, and nothing was changed: `not_found`, `not_whole` (only its beginning is kept),
-- `already_requeued`. queue and message: what is to be put where.
CREATE OR REPLACE FUNCTION requeue_message(
    p_quarantine_id bigint, p_again boolean, p_person text, p_reason text,
    OUT outcome text, OUT queue text, OUT message bytea
) LANGUAGE plpgsql AS $$
DECLARE
    v_kept quarantine;
BEGIN
    SELECT * INTO v_kept FROM quarantine WHERE quarantine_id = p_quarantine_id FOR UPDATE;
    outcome := CASE
        WHEN NOT FOUND THEN 'not_found'
        WHEN octet_length(v_kept.message) <> v_kept.message_bytes THEN 'not_whole'
        WHEN v_kept.last_seen_at <= v_kept.requeued_at AND NOT p_again THEN 'already_requeued'
        ELSE 'marked'
    END;
    IF outcome <> 'marked' THEN
        RETURN;
    END IF;
    queue := v_kept.queue;
    message := v_kept.message;
    UPDATE quarantine SET requeued_at = clock_timestamp(), requeue_count = requeue_count + 1
    WHERE quarantine_id = p_quarantine_id;
    PERFORM note_action('quarantine.requeue', p_quarantine_id::text, p_person, p_reason,
        jsonb_build_object('requeue_count', v_kept.requeue_count, 'requeued_at', v_kept.requeued_at),
        jsonb_build_object('requeue_count', v_kept.requeue_count + 1, 'queue', v_kept.queue,
            'producer', v_kept.producer, 'reason', v_kept.reason, 'task_id', v_kept.task_id));
END $$;
