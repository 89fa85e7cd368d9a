-- What guards the corrections, called by the trigger of tables/0007_corrections.sql.

-- An adjustment is of a user's account, goes the ways that tables/0007_corrections.sql draws, keeps what was
-- asked for, and stands behind the transaction that it names: one of its own kind, account and amount.
CREATE OR REPLACE FUNCTION guard_adjustment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (SELECT FROM accounts WHERE account_id = NEW.account_id AND kind = 'user') THEN
            RAISE EXCEPTION 'adjustment % is of no user''s account', NEW.adjustment_key USING ERRCODE = 'foreign_key_violation';
        END IF;
    ELSE
        IF OLD.state <> 'open' THEN
            RAISE EXCEPTION 'adjustment % is decided', OLD.adjustment_key
                USING ERRCODE = 'integrity_constraint_violation';
        ELSIF (NEW.adjustment_key, NEW.account_id, NEW.amount_minor, NEW.reason, NEW.asked_at, NEW.asked_by, NEW.asked_person)
                IS DISTINCT FROM
                (OLD.adjustment_key, OLD.account_id, OLD.amount_minor, OLD.reason, OLD.asked_at, OLD.asked_by, OLD.asked_person)
                THEN
            RAISE EXCEPTION 'what an adjustment asks for never changes' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;
    IF NEW.transaction_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM transactions
            WHERE transactions.transaction_id = NEW.transaction_id AND kind = 'adjustment'
                AND (transactions.account_id, transactions.amount_minor) = (NEW.account_id, NEW.amount_minor)) THEN
        RAISE EXCEPTION 'adjustment % does not stand behind transaction %', NEW.adjustment_key, NEW.transaction_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
