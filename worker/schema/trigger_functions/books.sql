-- What guards the books, called by the triggers of tables/0001_books.sql.

-- The books are append-only.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is not allowed: the books are append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

-- Every INSERT into entries balances per transaction, in one currency, is the only one of its transaction, comes to what
-- the transaction says, and moves the balances of the users that it names.
--
-- All of it is asked set by set. LEFT JOIN even where there is a match for each: a lasting plan then begins with what
-- was inserted, however small the other table was when it was made.
CREATE OR REPLACE FUNCTION post_entries() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_unknown bigint;
    v_are_balanced boolean;
    v_unfit bigint;
    v_negative bigint[];
BEGIN
    SELECT min(line.transaction_id) FILTER (WHERE line.made_id IS NULL),
        bool_and(line.sum = 0 AND line.known = line.count AND line.least_currency = line.greatest_currency)
            AND (SELECT count(*) FROM inserted) = (
                SELECT count(*) FROM (SELECT DISTINCT transaction_id FROM inserted) AS posted
                    LEFT JOIN entries USING (transaction_id)),
        min(line.transaction_id) FILTER (WHERE (CASE
            -- To a payout, a cancel and an opening the house's account of adjustments is a stranger, as another user is.
            WHEN line.strangers > 0 AND line.kind <> 'adjustment' THEN false
            -- The user gets all of it, or all but the tax.
            WHEN line.kind = 'payout' THEN line.from_house = line.amount_minor
                AND line.to_account IN (line.amount_minor, line.amount_minor - line.tax_minor)
                -- Where the tax is all of it, nothing has named the account yet.
                AND (line.to_account <> 0 OR EXISTS (SELECT FROM accounts WHERE accounts.account_id = line.account_id))
            WHEN line.kind = 'opening' THEN line.from_house = line.amount_minor AND line.to_account = line.amount_minor
            ELSE (SELECT CASE made.kind WHEN 'adjustment' THEN is_adjusted(made) ELSE reverses_payout(made) END
                FROM transactions AS made WHERE made.transaction_id = line.made_id)
        END) IS NOT TRUE)
    INTO v_unknown, v_are_balanced, v_unfit
    FROM (
        SELECT inserted.transaction_id, made.transaction_id AS made_id,
            made.kind, made.account_id, made.amount_minor, made.tax_minor,
            count(*), count(account.kind) AS known, sum(inserted.amount_minor),
            min(account.currency) AS least_currency, max(account.currency) AS greatest_currency,
            coalesce(sum(inserted.amount_minor) FILTER (WHERE inserted.account_id = made.account_id), 0) AS to_account,
            coalesce(-sum(inserted.amount_minor) FILTER (WHERE account.kind IN ('cashback', 'opening')), 0) AS from_house,
            count(*) FILTER (WHERE inserted.account_id <> made.account_id AND account.kind IN ('user', 'adjustment'))
                AS strangers
        FROM inserted LEFT JOIN accounts AS account ON account.account_id = inserted.account_id
            LEFT JOIN transactions AS made ON made.transaction_id = inserted.transaction_id
        GROUP BY inserted.transaction_id, made.transaction_id
    ) AS line;
    IF v_unknown IS NOT NULL THEN
        RAISE EXCEPTION 'entries of transaction %, which does not exist', v_unknown USING ERRCODE = 'foreign_key_violation';
    ELSIF NOT v_are_balanced THEN
        RAISE EXCEPTION 'the entries of a transaction must be inserted at once, in one currency, and sum to zero'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;

    -- CASE: of the users the planner may know nothing but that there were none, and would hold each against all changes.
    WITH changed AS (
        UPDATE accounts
        SET balance_minor = accounts.balance_minor + change.amount_minor
        FROM (
            SELECT account_id, sum(amount_minor)::bigint AS amount_minor FROM inserted GROUP BY account_id ORDER BY account_id
        ) AS change
        WHERE accounts.account_id = change.account_id AND CASE WHEN accounts.kind = 'user' THEN true ELSE false END
        RETURNING accounts.account_id, accounts.balance_minor
    )
    SELECT array_agg(account_id) FILTER (WHERE balance_minor < 0) INTO v_negative FROM changed;
    -- The look for an overdraft rides on the change of balances, and asks only of who is below zero.
    IF v_negative IS NOT NULL AND EXISTS (
            SELECT FROM inserted JOIN transactions USING (transaction_id)
            WHERE inserted.account_id = ANY (v_negative) AND inserted.amount_minor < 0
                AND transactions.kind NOT IN ('cancel', 'opening', 'adjustment')) THEN
        RAISE EXCEPTION 'only a cancel or an adjustment may overdraw an account' USING ERRCODE = 'integrity_constraint_violation';
    ELSIF v_unfit IS NOT NULL THEN
        RAISE EXCEPTION 'the entries of transaction % are not what it says', v_unfit
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

-- An account begins at zero, in a currency that is known.
CREATE OR REPLACE FUNCTION open_accounts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM inserted WHERE balance_minor <> 0) THEN
        RAISE EXCEPTION 'an account begins at zero: post an opening transaction'
            USING ERRCODE = 'integrity_constraint_violation';
    ELSIF EXISTS (
            SELECT FROM (SELECT DISTINCT currency FROM inserted) AS used
            WHERE NOT EXISTS (SELECT FROM currencies WHERE currencies.currency = used.currency)) THEN
        RAISE EXCEPTION 'an account is in a currency that currencies does not have' USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;

-- An account stays whose it is, and its balance is moved by post_entries alone.
CREATE OR REPLACE FUNCTION guard_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.account_id, NEW.kind, NEW.user_id, NEW.currency)
            IS DISTINCT FROM (OLD.account_id, OLD.kind, OLD.user_id, OLD.currency) THEN
        RAISE EXCEPTION 'id, kind, user and currency of an account never change'
            USING ERRCODE = 'integrity_constraint_violation';
    ELSIF NEW.balance_minor IS DISTINCT FROM OLD.balance_minor AND pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'a balance changes by entries only' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

-- Looked at when the transaction commits, or earlier where SET CONSTRAINTS says so. What the entries come to was looked
-- at when they were inserted, and nothing can be added to them or taken from them.
CREATE OR REPLACE FUNCTION require_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM entries WHERE entries.transaction_id = NEW.transaction_id) THEN
        RAISE EXCEPTION 'the entries of transaction % are not what it says: it has none', NEW.transaction_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
