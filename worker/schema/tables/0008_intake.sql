-- The intake: a person closes it for a planned window, and it opens by itself at the window's end. Every receiver
-- reads it from here.

CREATE TABLE intake (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    -- Null: nobody has closed it, or somebody has opened it since.
    paused_until timestamptz,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Who closed or opened it last, and why; the audit has all of them.
    person text CHECK (length(person) BETWEEN 1 AND 200),
    reason text CHECK (length(reason) BETWEEN 1 AND 500),
    CHECK (paused_until IS NULL OR (person IS NOT NULL AND reason IS NOT NULL)),
    CHECK (paused_until <= changed_at + interval '24 hours')
);
INSERT INTO intake DEFAULT VALUES;
COMMENT ON COLUMN intake.paused_until IS 'until then receivers answer 503 to makes and to what partners hand in';
