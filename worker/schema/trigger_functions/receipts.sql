-- What guards the receipts, called by the trigger of tables/0002_receipts.sql.

-- A receipt begins as received, goes the ways that tables/0002_receipts.sql draws, and keeps what was decided.
CREATE OR REPLACE FUNCTION guard_receipt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'received' THEN
            RAISE EXCEPTION 'a receipt begins as received' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    ELSIF OLD.code IS NOT NULL AND (NEW.code, NEW.transaction_id) IS DISTINCT FROM (OLD.code, OLD.transaction_id) THEN
        RAISE EXCEPTION 'the outcome of event % is decided', OLD.event_id
            USING ERRCODE = 'integrity_constraint_violation';
    ELSIF (NEW.event_id, NEW.cashback_id, NEW.received_at, NEW.credit_cutoff_at, NEW.deadline_at, NEW.producer)
            IS DISTINCT FROM
            (OLD.event_id, OLD.cashback_id, OLD.received_at, OLD.credit_cutoff_at, OLD.deadline_at, OLD.producer) THEN
        RAISE EXCEPTION 'event, cashback, times and producer of a receipt never change'
            USING ERRCODE = 'integrity_constraint_violation';
    -- Said once, by who makes the receipt or by who settles it.
    ELSIF (NEW.user_id, NEW.transaction_type, NEW.amount) IS DISTINCT FROM (
            coalesce(OLD.user_id, NEW.user_id), coalesce(OLD.transaction_type, NEW.transaction_type),
            coalesce(OLD.amount, NEW.amount)) THEN
        RAISE EXCEPTION 'what event % asks for never changes', OLD.event_id
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

-- A token is what BETCORE signed.
CREATE OR REPLACE FUNCTION refuse_token_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a token never changes' USING ERRCODE = 'integrity_constraint_violation';
END $$;
