-- Corrections of accounts by people: what they may do alone, and each adjustment that was asked for.
--
--   (asked) ──▶ posted       within the limits at once, above them when a second person has approved
--           └─▶ rejected     nothing was posted, and its key is used up
--
-- What an adjustment posts is a transaction of its own kind in the books.

-- What the person at the command may do. `cashback migrate` writes it, with the owner's rights: whoever has a password
-- of the operator's cannot.
CREATE TABLE correction_rules (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    -- Major units of whichever currency the account is in.
    adjust_limit numeric NOT NULL DEFAULT 100 CHECK (adjust_limit >= 0),
    adjust_daily_limit numeric NOT NULL DEFAULT 1000 CHECK (adjust_daily_limit >= 0),
    approver text NOT NULL DEFAULT 'database_user' CHECK (approver IN ('database_user', 'person')),
    may_overdraw boolean NOT NULL DEFAULT true
);
INSERT INTO correction_rules DEFAULT VALUES;
CREATE TRIGGER correction_rules_stay BEFORE DELETE OR TRUNCATE ON correction_rules
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
COMMENT ON COLUMN correction_rules.adjust_limit IS 'one adjustment above it needs a second person''s approval';
COMMENT ON COLUMN correction_rules.adjust_daily_limit IS
    'so does one that brings what a database user posted in this currency within 24 hours, on its own, above it';
COMMENT ON COLUMN correction_rules.approver IS
    'who is a second person: another database user, or also another person that this one names';
COMMENT ON COLUMN correction_rules.may_overdraw IS 'whether an adjustment may take a balance below zero, as a cancel may';

CREATE TABLE adjustments (
    adjustment_key text PRIMARY KEY CHECK (length(adjustment_key) BETWEEN 1 AND 100),
    -- No foreign key: it would have every change of a balance look here (adjustments_guard asks instead).
    account_id bigint NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0 AND abs(amount_minor) < 1000000000000000),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'posted', 'rejected')),
    transaction_id bigint UNIQUE REFERENCES transactions,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Whom PostgreSQL let in, and what the person says of itself, as in the audit.
    asked_by name NOT NULL DEFAULT session_user,
    asked_person text NOT NULL CHECK (length(asked_person) BETWEEN 1 AND 200),
    decided_at timestamptz,
    -- Null where it was posted at once, within the limits.
    decided_by name,
    decided_person text,
    CHECK ((state = 'open') = (decided_at IS NULL)),
    CHECK ((state = 'posted') = (transaction_id IS NOT NULL)),
    CHECK ((decided_by IS NULL) = (decided_person IS NULL))
);
-- `cashback accounts adjustments --open`.
CREATE INDEX adjustments_open ON adjustments (asked_at) WHERE state = 'open';
-- The sum of a day.
CREATE INDEX adjustments_by_user ON adjustments (asked_by, decided_at) WHERE state = 'posted' AND decided_by IS NULL;
CREATE INDEX adjustments_by_account ON adjustments (account_id);
COMMENT ON TABLE adjustments IS 'corrections that people asked for, each once by its key; what is decided never changes';

CREATE TRIGGER adjustments_guard BEFORE INSERT OR UPDATE ON adjustments
    FOR EACH ROW EXECUTE FUNCTION guard_adjustment();
CREATE TRIGGER adjustments_never_deleted BEFORE DELETE OR TRUNCATE ON adjustments
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
