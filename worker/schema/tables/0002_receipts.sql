-- Receipts: one row for each received event, from receipt to its end. Nothing here moves money.
--
--   received ──▶ settled ──▶ answered     BETCORE acknowledged our accept
--                        ├─▶ refused      BETCORE said 103752
--                        └─▶ expired      the deadline passed without an acknowledgement
--   An acknowledgement that another run of the same event got wins over expired and refused.

CREATE TABLE receipts (
    event_id uuid PRIMARY KEY,
    -- Told by octets, as a token is ASCII: to count the characters of one costs a tenth and more of recording its
    -- receipt, and as much again at each update of the row.
    token text NOT NULL CHECK (octet_length(token) BETWEEN 1 AND 16384),
    cashback_id bigint NOT NULL CHECK (cashback_id > 0),
    received_at timestamptz NOT NULL,
    credit_cutoff_at timestamptz NOT NULL,
    deadline_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'received'
        CHECK (state IN ('received', 'settled', 'answered', 'refused', 'expired')),
    code integer,
    transaction_id bigint REFERENCES transactions,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    last_error text CHECK (length(last_error) <= 500),
    settled_at timestamptz,
    closed_at timestamptz,
    unconfirmed boolean NOT NULL DEFAULT false,
    CHECK (received_at < credit_cutoff_at AND credit_cutoff_at < deadline_at),
    CHECK ((state = 'received') = (code IS NULL)),
    CHECK ((code IS NOT NULL AND code IN (200, 103804)) = (transaction_id IS NOT NULL)),
    CHECK ((state IN ('answered', 'refused', 'expired')) = (closed_at IS NOT NULL)),
    CHECK (NOT unconfirmed OR (state IN ('refused', 'expired') AND code = 200))
);
COMMENT ON COLUMN receipts.code IS 'the ErrorCode that accept carries; decided once, never changed';
COMMENT ON COLUMN receipts.transaction_id IS 'for 200 the transaction that this event made, for 103804 the first one';
COMMENT ON COLUMN receipts.unconfirmed IS 'money moved for this event and BETCORE did not acknowledge it';

-- No other index of all receipts holds event_id: PostgreSQL 18 can look for a later column of an index alone, by
-- walking all of its entries, and on an empty table that costs no more than the primary key (decision 14).
CREATE INDEX receipts_by_cashback ON receipts (cashback_id);
-- Newest first within a state, a page at a time: `cashback list`.
CREATE INDEX receipts_by_state ON receipts (state, received_at);
-- Unconfirmed receipts are few among many, so a page of them must not be searched for among the others.
CREATE INDEX receipts_unconfirmed ON receipts (received_at, event_id) WHERE unconfirmed;
-- What the sweep asks: one index for each of its questions.
CREATE INDEX receipts_undecided_by_time ON receipts (received_at) WHERE state = 'received';
CREATE INDEX receipts_undecided_by_cutoff ON receipts (credit_cutoff_at) WHERE state = 'received';
CREATE INDEX receipts_unanswered_by_attempt ON receipts (next_attempt_at) WHERE state = 'settled';
CREATE INDEX receipts_unanswered_by_deadline ON receipts (deadline_at) WHERE state = 'settled';

CREATE TRIGGER receipts_guard BEFORE INSERT OR UPDATE ON receipts FOR EACH ROW EXECUTE FUNCTION guard_receipt();
