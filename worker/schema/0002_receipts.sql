-- Receipts: one row for each received event, from receipt to its end. Nothing here moves money.
--
--   received ──▶ settled ──▶ answered     BETCORE acknowledged our accept
--                        ├─▶ refused      BETCORE said 103752
--                        └─▶ expired      the deadline passed without an acknowledgement
--   An acknowledgement that another run of the same event got wins over expired and refused.

CREATE TABLE receipts (
    event_id uuid PRIMARY KEY,
    token text NOT NULL CHECK (length(token) BETWEEN 1 AND 16384),
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
CREATE INDEX receipts_by_cashback ON receipts (cashback_id);
CREATE INDEX receipts_open ON receipts (next_attempt_at) WHERE state IN ('received', 'settled');
COMMENT ON COLUMN receipts.code IS 'the ErrorCode that accept carries; decided once, never changed';
COMMENT ON COLUMN receipts.transaction_id IS 'for 200 the transaction that this event made, for 103804 the first one';
COMMENT ON COLUMN receipts.unconfirmed IS 'money moved for this event and BETCORE did not acknowledge it';

CREATE FUNCTION guard_receipt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'received' THEN
            RAISE EXCEPTION 'a receipt begins as received' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    ELSIF OLD.code IS NOT NULL AND (NEW.code, NEW.transaction_id) IS DISTINCT FROM (OLD.code, OLD.transaction_id) THEN
        RAISE EXCEPTION 'the outcome of event % is decided', OLD.event_id
            USING ERRCODE = 'integrity_constraint_violation';
    ELSIF (NEW.event_id, NEW.token, NEW.cashback_id, NEW.received_at, NEW.credit_cutoff_at, NEW.deadline_at)
            IS DISTINCT FROM
            (OLD.event_id, OLD.token, OLD.cashback_id, OLD.received_at, OLD.credit_cutoff_at, OLD.deadline_at) THEN
        RAISE EXCEPTION 'event, token and times of a receipt never change'
            USING ERRCODE = 'integrity_constraint_violation';
    ELSIF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
            ('received', 'settled'),
            ('settled', 'answered'), ('settled', 'refused'), ('settled', 'expired'),
            ('expired', 'answered'), ('refused', 'answered')) THEN
        RAISE EXCEPTION 'event % cannot go from % to %', OLD.event_id, OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    ELSIF OLD.code IS NULL AND NEW.transaction_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM transactions
            WHERE transaction_id = NEW.transaction_id AND cashback_id = NEW.cashback_id
                AND (event_id = NEW.event_id) = (NEW.code = 200)) THEN
        RAISE EXCEPTION 'event % does not stand behind transaction %', NEW.event_id, NEW.transaction_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER receipts_guard BEFORE INSERT OR UPDATE ON receipts FOR EACH ROW EXECUTE FUNCTION guard_receipt();

-- Record that an event was received; true if it is new. The times count from the earlier of the
-- receiver's stamp and this server's clock: a receiver whose clock runs ahead gains no time by it.
CREATE FUNCTION record_receipt(
    p_event_id uuid,
    p_token text,
    p_cashback_id bigint,
    p_received_at timestamptz,
    p_cutoff_seconds double precision,
    p_deadline_seconds double precision,
    p_next_attempt_seconds double precision
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_received_at timestamptz := least(p_received_at, clock_timestamp());
BEGIN
    INSERT INTO receipts (event_id, token, cashback_id, received_at, credit_cutoff_at, deadline_at, next_attempt_at)
    VALUES (
        p_event_id, p_token, p_cashback_id, v_received_at,
        v_received_at + make_interval(secs => p_cutoff_seconds),
        v_received_at + make_interval(secs => p_deadline_seconds),
        v_received_at + make_interval(secs => p_next_attempt_seconds)
    )
    ON CONFLICT (event_id) DO NOTHING;
    RETURN FOUND;
END $$;
