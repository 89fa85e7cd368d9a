-- How events stand, for whoever handed them in.

-- How those of these events stand that are on record. p_producer: whoever asks sees its own alone; null: all of them.
CREATE OR REPLACE FUNCTION states_of(p_event_ids uuid[], p_producer text) RETURNS TABLE (
    event_id uuid,
    state text,
    code integer,
    received_at timestamptz,
    settled_at timestamptz,
    closed_at timestamptz,
    unconfirmed boolean
) LANGUAGE sql STABLE AS $$
    SELECT receipts.event_id, receipts.state, receipts.code, receipts.received_at, receipts.settled_at, receipts.closed_at,
        receipts.unconfirmed
    FROM receipts
    WHERE receipts.event_id = ANY (p_event_ids)
        AND (p_producer IS NULL OR coalesce(receipts.producer, own_producer()) = p_producer)
$$;
