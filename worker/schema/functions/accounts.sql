-- The import of accounts: one transaction of three steps. prepare_accounts_import makes the temporary table
-- imported_accounts, COPY fills it, and after check_accounts_import has found no fault apply_accounts_import opens
-- and updates accounts, set by set. All act as the owner (decision 39): the caller may but fill the table.

-- One row per account of the file. line_number counts from 1; the amount is in minor units.
CREATE OR REPLACE FUNCTION prepare_accounts_import() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    CREATE TEMPORARY TABLE imported_accounts (
        line_number bigint NOT NULL,
        user_id text NOT NULL,
        currency char(3) NOT NULL,
        status text NOT NULL,
        balance_minor bigint NOT NULL CHECK (balance_minor >= 0)
    ) ON COMMIT DROP;
    EXECUTE format('GRANT INSERT ON imported_accounts TO %I', coalesce(nullif(current_setting('role'), 'none'), session_user));
END $$;

-- A table or a view of the caller's own, under the same name, would have its functions run with the owner's rights.
CREATE OR REPLACE FUNCTION require_prepared_import() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
            SELECT FROM pg_class
            WHERE oid = to_regclass('pg_temp.imported_accounts') AND relkind = 'r'
                AND pg_get_userbyid(relowner) = current_user) THEN
        RAISE EXCEPTION 'no import is prepared: call prepare_accounts_import first, in the same transaction'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
END $$;

-- The faults that only the whole file and the books can show, in the order of its lines: the first p_limit
-- of them, each with the count of all. Imports wait here for each other until they commit, so what this
-- finds stands when apply_accounts_import acts on it.
CREATE OR REPLACE FUNCTION check_accounts_import(
    p_limit integer, OUT line_number bigint, OUT fault text, OUT fault_count bigint
) RETURNS SETOF record LANGUAGE plpgsql SET work_mem = '64MB' AS $$
BEGIN
    PERFORM require_prepared_import();
    -- Any number will do that no other lock of this program has.
    PERFORM pg_advisory_xact_lock(7161399478273598312);
    ANALYZE imported_accounts;

    RETURN QUERY
    SELECT faults.line_number, faults.fault, count(*) OVER ()
    FROM (
        SELECT
            repeated.line_number,
            format('user_id %s stands on line %s already', quote_literal(repeated.user_id), twice.first_line)
        FROM (
            SELECT imported.user_id, min(imported.line_number) AS first_line
            FROM imported_accounts AS imported GROUP BY imported.user_id HAVING count(*) > 1
        ) AS twice JOIN imported_accounts AS repeated USING (user_id)
        WHERE repeated.line_number > twice.first_line
        UNION ALL
        SELECT
            imported.line_number,
            format('the account of user_id %s is in %s, not in %s',
                quote_literal(imported.user_id), accounts.currency, imported.currency)
        FROM imported_accounts AS imported JOIN accounts USING (user_id)
        WHERE accounts.currency <> imported.currency
    ) AS faults (line_number, fault)
    ORDER BY faults.line_number
    LIMIT p_limit;
END $$;

-- About how many of the file's accounts are new, from 0 to 1: a look at some pages of it, for those who wait.
-- After check_accounts_import, which has counted the rows.
CREATE OR REPLACE FUNCTION new_accounts_share() RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
    v_rows double precision := (SELECT reltuples FROM pg_class WHERE oid = to_regclass('pg_temp.imported_accounts'));
BEGIN
    PERFORM require_prepared_import();
    RETURN (
        SELECT coalesce(avg(CASE WHEN accounts.user_id IS NULL THEN 1 ELSE 0 END), 0)
        FROM imported_accounts AS imported TABLESAMPLE SYSTEM (least(100, 100 * 10000 / greatest(v_rows, 1)))
            LEFT JOIN accounts USING (user_id));
END $$;

-- Open the accounts that are new, each with its balance as an opening transaction, and give the others the
-- status of the file. The balance of an account that exists is the ledger's and stays as it is. The audit has the name
-- of the file, its SHA-256 in hexadecimal digits, and the counts.
CREATE OR REPLACE FUNCTION apply_accounts_import(
    p_file text, p_sha256 text, p_person text, p_reason text,
    OUT opened bigint, OUT updated bigint, OUT unchanged bigint
) LANGUAGE plpgsql SET work_mem = '64MB' AS $$
DECLARE
    -- Looked up once: joined, the house accounts tempt the planner into their product with all rows.
    v_house jsonb := (SELECT jsonb_object_agg(currency, account_id) FROM accounts WHERE kind = 'opening');
    v_account_ids regclass := pg_get_serial_sequence('accounts', 'account_id');
    v_rows bigint;
    v_transaction_ids regclass := pg_get_serial_sequence('transactions', 'transaction_id');
BEGIN
    PERFORM require_whole();
    PERFORM require_prepared_import();
    v_rows := (SELECT count(*) FROM imported_accounts);
    -- Numbers first: what is inserted by them needs no join with what was inserted before.
    WITH fresh AS MATERIALIZED (
        SELECT nextval(v_account_ids) AS account_id,
            CASE WHEN balance_minor > 0 THEN nextval(v_transaction_ids) END AS transaction_id,
            user_id, currency, status, balance_minor
        FROM (
            SELECT * FROM imported_accounts AS imported
            WHERE NOT EXISTS (SELECT FROM accounts WHERE accounts.user_id = imported.user_id)
            ORDER BY line_number
        ) AS absent
    ), opened AS (
        INSERT INTO accounts (account_id, kind, user_id, currency, status, balance_minor) OVERRIDING SYSTEM VALUE
        SELECT account_id, 'user', user_id, currency, status, 0 FROM fresh
    ), posted AS (
        INSERT INTO transactions (transaction_id, kind, account_id, amount_minor) OVERRIDING SYSTEM VALUE
        SELECT transaction_id, 'opening', account_id, balance_minor FROM fresh WHERE transaction_id IS NOT NULL
    ), entered AS (
        INSERT INTO entries (transaction_id, account_id, amount_minor)
        SELECT fresh.transaction_id, line.account_id, line.amount_minor
        FROM fresh CROSS JOIN LATERAL (
            VALUES
                (fresh.account_id, fresh.balance_minor),
                ((v_house ->> fresh.currency)::bigint, -fresh.balance_minor)
        ) AS line (account_id, amount_minor)
        WHERE fresh.transaction_id IS NOT NULL
    )
    SELECT count(*) INTO opened FROM fresh;

    -- What is asked from here on, and by every settlement after the commit, is planned by what the tables hold now.
    IF opened > 0 THEN
        ANALYZE accounts, transactions, entries;
    END IF;
    -- Everything slow is behind us before the first row that a settlement may want is locked: checks that
    -- are left to the commit would hold those locks for as long as they take.
    SET CONSTRAINTS ALL IMMEDIATE;
    updated := 0;
    IF opened < v_rows THEN
        UPDATE accounts SET status = imported.status
        FROM imported_accounts AS imported
        WHERE accounts.user_id = imported.user_id AND accounts.status <> imported.status;
        GET DIAGNOSTICS updated = ROW_COUNT;
    END IF;
    unchanged := v_rows - opened - updated;
    PERFORM note_action('accounts.import', p_file, p_person, p_reason, NULL,
        jsonb_build_object('sha256', p_sha256, 'opened', opened, 'updated', updated, 'unchanged', unchanged));
END $$;
