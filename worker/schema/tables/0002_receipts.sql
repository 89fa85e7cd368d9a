-- Receipts: one row for each received event, from receipt to its end. Nothing here moves money.
--
--   received ──▶ settled ──▶ answered     BETCORE acknowledged our accept
--                        ├─▶ refused      BETCORE said 103752
--                        └─▶ expired      the deadline passed without an acknowledgement
--   An acknowledgement that another run of the same event got wins over expired and refused.

-- One accept that was sent, and what came of it. Times in milliseconds from sending to the answer; status and code (BETCORE's
-- ErrorCode) are null where none came.
CREATE TYPE accept_attempt AS (
    sent_at timestamptz,
    duration_ms integer,
    status smallint,
    code integer,
    worker text,
    detail text
);

CREATE TABLE receipts (
    event_id uuid PRIMARY KEY,
    cashback_id bigint NOT NULL CHECK (cashback_id > 0),
    received_at timestamptz NOT NULL,
    credit_cutoff_at timestamptz NOT NULL,
    deadline_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'received'
        CHECK (state IN ('received', 'settled', 'answered', 'refused', 'expired')),
    code integer,
    transaction_id bigint REFERENCES transactions,
    runs integer NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    last_error text CHECK (length(last_error) <= 500),
    settled_at timestamptz,
    closed_at timestamptz,
    unconfirmed boolean NOT NULL DEFAULT false,
    confirmed_by uuid,
    producer text CHECK (producer ~ '^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$' AND producer <> 'betcore'),
    -- What the event asks for, as its token says it: null where that cannot be read.
    user_id text CHECK (length(user_id) <= 128),
    transaction_type integer,
    amount numeric,
    -- The accepts that were sent, in their order: the first ones and the last ones where there were very many.
    accepts accept_attempt[] CHECK (cardinality(accepts) <= 40),
    CHECK (received_at < credit_cutoff_at AND credit_cutoff_at < deadline_at),
    CHECK ((state = 'received') = (code IS NULL)),
    CHECK ((code IS NOT NULL AND code IN (200, 103804)) = (transaction_id IS NOT NULL)),
    CHECK ((state IN ('answered', 'refused', 'expired')) = (closed_at IS NOT NULL)),
    CHECK (NOT unconfirmed OR (state IN ('refused', 'expired') AND code = 200 AND confirmed_by IS NULL))
)
-- Each event leaves two dead rows: in a large table the defaults, shares of all rows, would come too seldom.
WITH (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 10000,
    autovacuum_analyze_scale_factor = 0.01, autovacuum_analyze_threshold = 1000
);
COMMENT ON COLUMN receipts.code IS 'the ErrorCode that accept carries; decided once, never changed';
COMMENT ON COLUMN receipts.transaction_id IS 'for 200 the transaction that this event made, for 103804 the first one';
COMMENT ON COLUMN receipts.runs IS 'how often a worker has had it in hand and come as far as its settlement';
COMMENT ON COLUMN receipts.attempts IS 'accepts sent, but for those whose worker ended before it knew what came of them';
COMMENT ON COLUMN receipts.amount IS 'major units, as the token has them';
COMMENT ON COLUMN receipts.unconfirmed IS 'money moved for this event and BETCORE acknowledged no event of its transaction';
COMMENT ON COLUMN receipts.confirmed_by IS 'with 200: another event of the same transaction, which BETCORE acknowledged';

-- A name would stand in each of the three versions of a row, and be checked with each: 24 bytes of table and as many of log.
-- A null costs nothing, as there are others in every version.
COMMENT ON COLUMN receipts.producer IS
    'the partner service that handed the event in, the first one where there were several; null: our own receiver, betcore';

-- A receipt is written three times, and each time anew in every index that holds it: an index of its own for a
-- question pays only where it holds few states (decision 23).
--
-- No other index of all receipts holds event_id: PostgreSQL 18 can look for a later column of an index alone, by
-- walking all of its entries, and on an empty table that costs no more than the primary key (decision 14).
CREATE INDEX receipts_by_cashback ON receipts (cashback_id);
-- Newest first within a state, a page at a time: `cashback list`. Oldest first: retention.
CREATE INDEX receipts_ended ON receipts (state, received_at) WHERE state IN ('answered', 'refused', 'expired');
-- What was declined, by whom and by what code: `cashback list`. A credit is in neither, and is found by its user's entries
-- (decision 47).
CREATE INDEX receipts_declined_by_user ON receipts (user_id, state, received_at)
    WHERE state IN ('answered', 'refused', 'expired') AND code <> 200;
CREATE INDEX receipts_declined_by_code ON receipts (code, state, received_at)
    WHERE state IN ('answered', 'refused', 'expired') AND code <> 200;
-- Unconfirmed receipts are few among many, so a page of them must not be searched for among the others.
CREATE INDEX receipts_unconfirmed ON receipts (received_at, event_id) WHERE unconfirmed;
-- What the sweep asks, by when it has to look at a receipt. Of what is settled that is the next attempt, or the
-- deadline where that is earlier; never before it was settled, so that no new entry stands below sweep_bound.
-- The producer, so that a partner's backlog is walked past here and not in the table.
CREATE INDEX receipts_undecided ON receipts (credit_cutoff_at, producer) WHERE state = 'received';
CREATE INDEX receipts_unanswered ON receipts (greatest(least(next_attempt_at, deadline_at), settled_at))
    WHERE state = 'settled';
-- What is lost of one partner's, whatever waits of all others. Of our own receiver's it holds nothing, and costs nothing.
CREATE INDEX receipts_undecided_of_partners ON receipts (producer, credit_cutoff_at)
    WHERE state = 'received' AND producer IS NOT NULL;

CREATE TRIGGER receipts_guard BEFORE INSERT OR UPDATE ON receipts FOR EACH ROW EXECUTE FUNCTION guard_receipt();

-- Below it the two indexes of the sweep hold nothing that is open. What is closed leaves them when it is vacuumed,
-- and that waits for the oldest snapshot of the whole database: who began at their lower end would read all events
-- since then.
CREATE TABLE sweep_bound (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    bound timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO sweep_bound DEFAULT VALUES;

-- The tokens, written once and apart from what is written often. One partition for each week, used again after
-- 32 weeks: an old week is emptied as a whole (prune_tokens), and nobody has to make a week ahead of time. The
-- tokens of events without a good end move to tokens_kept first.
CREATE TABLE tokens (
    received_at timestamptz NOT NULL,
    event_id uuid NOT NULL,
    slot smallint NOT NULL,
    -- Told by octets, as a token is ASCII: to count the characters of one costs a tenth and more of recording it.
    token text NOT NULL CONSTRAINT tokens_token_check CHECK (octet_length(token) BETWEEN 1 AND 16384)
) PARTITION BY LIST (slot);
COMMENT ON COLUMN tokens.slot IS 'token_slot(received_at), or -1 for what is kept for ever';
DO $$
BEGIN
    FOR v_slot IN 0..31 LOOP
        -- Written once: frozen by the first vacuum, and never read by another one.
        EXECUTE format('CREATE TABLE %I PARTITION OF tokens FOR VALUES IN (%s) WITH (autovacuum_freeze_min_age = 0)',
            'tokens_' || lpad(v_slot::text, 2, '0'), v_slot);
    END LOOP;
    CREATE TABLE tokens_kept PARTITION OF tokens FOR VALUES IN (-1);
END $$;
-- By time, not by event: entries are added at its upper end alone.
CREATE INDEX tokens_by_time ON tokens (received_at);
CREATE TRIGGER tokens_never_change BEFORE UPDATE ON tokens
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_token_change();
