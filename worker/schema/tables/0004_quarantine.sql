-- Messages that no worker can settle: kept as they stood in the queue, for an operator to look at, and to put
-- back once their cause is repaired. A message leaves Redis only after its row is here.

CREATE TABLE quarantine (
    quarantine_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- SHA-256 of why and of what: the same message, delivered again, is counted and makes no second row.
    digest bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 64),
    detail text NOT NULL CHECK (length(detail) <= 1000),
    queue text NOT NULL CHECK (length(queue) BETWEEN 1 AND 255),
    -- Who may write to that queue, and so put it there. Here our own receiver has its name: there are few rows.
    producer text NOT NULL DEFAULT 'betcore' CHECK (producer ~ '^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$'),
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
