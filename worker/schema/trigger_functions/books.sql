-- What guards the books, called by the triggers of tables/0001_books.sql.

-- The books are append-only.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is not allowed: the books are append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

-- Every INSERT into entries balances per transaction, in one currency, is the only one of its transaction, and
-- moves the balances of the users that it names. The look for an overdraft rides on the change of balances.
CREATE OR REPLACE FUNCTION post_entries() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_negative bigint[];
BEGIN
    PERFORM
    FROM inserted LEFT JOIN accounts USING (account_id)
    GROUP BY transaction_id
    HAVING sum(inserted.amount_minor) <> 0
        OR min(accounts.currency) IS DISTINCT FROM max(accounts.currency)
        OR count(accounts.currency) <> count(*)
        OR (SELECT count(*) FROM entries WHERE entries.transaction_id = inserted.transaction_id) <> count(*);
    IF FOUND THEN
        RAISE EXCEPTION 'the entries of a transaction must be inserted at once, in one currency, and sum to zero'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;

    -- Which of the accounts are users' is looked up one by one: statistics from before there were any users would have
    -- the planner take them for few, and hold each against all changes.
    WITH changed AS (
        UPDATE accounts
        SET balance_minor = accounts.balance_minor + change.amount_minor
        FROM (
            SELECT account_id, amount_minor
            FROM (SELECT account_id, sum(amount_minor)::bigint AS amount_minor FROM inserted GROUP BY account_id) AS summed
                CROSS JOIN LATERAL (
                    SELECT FROM accounts WHERE accounts.account_id = summed.account_id AND kind = 'user' OFFSET 0
                ) AS users
        ) AS change
        WHERE accounts.account_id = change.account_id
        RETURNING accounts.account_id, accounts.balance_minor
    )
    SELECT array_agg(account_id) FILTER (WHERE balance_minor < 0) INTO v_negative FROM changed;
    -- Asked only of who is below zero. To join all of them would be a product of all with all, where the planner
    -- takes them for few.
    IF v_negative IS NOT NULL AND EXISTS (
            SELECT FROM inserted JOIN transactions USING (transaction_id)
            WHERE inserted.account_id = ANY (v_negative) AND inserted.amount_minor < 0
                AND transactions.kind NOT IN ('cancel', 'opening')) THEN
        RAISE EXCEPTION 'only a cancel may overdraw an account' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

-- An account begins at zero, stays whose it is, and its balance is moved by post_entries alone.
CREATE OR REPLACE FUNCTION guard_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.balance_minor IS NOT NULL AND NEW.balance_minor <> 0 THEN
            RAISE EXCEPTION 'an account begins at zero: post an opening transaction'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    ELSIF (NEW.account_id, NEW.kind, NEW.user_id, NEW.currency)
            IS DISTINCT FROM (OLD.account_id, OLD.kind, OLD.user_id, OLD.currency) THEN
        RAISE EXCEPTION 'id, kind, user and currency of an account never change'
            USING ERRCODE = 'integrity_constraint_violation';
    ELSIF NEW.balance_minor IS DISTINCT FROM OLD.balance_minor AND pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'a balance changes by entries only' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

-- Looked at when the transaction commits, or earlier where SET CONSTRAINTS says so.
CREATE OR REPLACE FUNCTION require_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT entries_fit(NEW) THEN
        RAISE EXCEPTION 'the entries of transaction % are not what it says', NEW.transaction_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
