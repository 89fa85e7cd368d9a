-- Whether the schema is whole: all that makes wrong books impossible is there and works. A restore brings tables and
-- functions first, then rows, and keys, triggers and rights last: who settles in between moves money that no balance
-- knows of, or moves it twice. Decision 52.

-- What the books and the receipts rest on, by name: of the tables currencies, accounts, transactions, entries, receipts and
-- adjustments every trigger, every unique index, and every check and foreign key. A test holds them to the tables.
CREATE OR REPLACE FUNCTION required_triggers() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT '{
        currencies_never_change,
        accounts_never_deleted, accounts_begin, accounts_guard,
        transactions_append_only, transactions_have_entries,
        entries_append_only, entries_balance,
        receipts_guard,
        adjustments_guard, adjustments_never_deleted
    }'::text[]
$$;

CREATE OR REPLACE FUNCTION required_keys() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT '{
        currencies_pkey,
        accounts_pkey, accounts_user_id_key, accounts_house,
        transactions_pkey, transactions_cashback_id_transaction_type_key, transactions_reverses_key,
        entries_pkey,
        receipts_pkey,
        adjustments_pkey, adjustments_transaction_id_key
    }'::text[]
$$;

CREATE OR REPLACE FUNCTION required_checks() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT '{
        currencies_exponent_check,
        accounts_kind_check, accounts_user_id_check, accounts_status_check, accounts_check, accounts_check1,
        transactions_kind_check, transactions_cashback_id_check, transactions_tax_minor_check, transactions_check,
        transactions_check1, transactions_check2, transactions_check3, transactions_reverses_fkey,
        entries_amount_minor_check,
        receipts_cashback_id_check, receipts_state_check, receipts_last_error_check, receipts_producer_check,
        receipts_user_id_check, receipts_accepts_check, receipts_check, receipts_check1, receipts_check2,
        receipts_check3, receipts_check4, receipts_transaction_id_fkey,
        adjustments_adjustment_key_check, adjustments_amount_minor_check, adjustments_state_check, adjustments_reason_check,
        adjustments_asked_person_check, adjustments_check, adjustments_check1, adjustments_check2,
        adjustments_transaction_id_fkey
    }'::text[]
$$;

-- Rights come last in a restore, and PostgreSQL lets everybody call a function that nothing is said of.
CREATE OR REPLACE FUNCTION required_closed() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT '{settle_event, settle_events, give_up_event, give_up_overdue, apply_accounts_import, adjust_account,
        decide_adjustment}'::text[]
$$;

-- What is missing, or does not work, in words; empty where the schema is whole.
CREATE OR REPLACE FUNCTION missing_parts() RETURNS text[] LANGUAGE sql STABLE AS $$
    WITH tables AS (
        SELECT to_regclass(name)::oid AS oid
        FROM unnest('{currencies, accounts, transactions, entries, receipts, adjustments}'::text[]) AS name
    )
    SELECT coalesce(array_agg(part ORDER BY part), '{}')
    FROM (
        SELECT 'trigger ' || name AS part FROM unnest(required_triggers()) AS name
        WHERE NOT EXISTS (SELECT FROM pg_trigger JOIN tables ON tgrelid = tables.oid
            WHERE tgname = name AND tgenabled IN ('O', 'A'))
        UNION ALL
        SELECT 'unique index ' || name FROM unnest(required_keys()) AS name
        WHERE NOT EXISTS (SELECT FROM pg_index JOIN tables ON indrelid = tables.oid JOIN pg_class ON pg_class.oid = indexrelid
            WHERE relname = name AND indisunique AND indisvalid)
        UNION ALL
        SELECT 'constraint ' || name FROM unnest(required_checks()) AS name
        WHERE NOT EXISTS (SELECT FROM pg_constraint JOIN tables ON conrelid = tables.oid
            WHERE conname = name AND convalidated)
        UNION ALL
        SELECT 'trigger of the foreign key ' || conname FROM pg_trigger JOIN tables ON tgrelid = tables.oid
            JOIN pg_constraint ON pg_constraint.oid = tgconstraint
        WHERE tgisinternal AND tgenabled NOT IN ('O', 'A')
        UNION ALL
        SELECT 'rights to function ' || proname FROM pg_proc
        WHERE proname = ANY (required_closed()) AND has_function_privilege('public', pg_proc.oid, 'EXECUTE')
            AND pronamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('accounts'))
        UNION ALL
        SELECT 'session_replication_role, which is replica' WHERE current_setting('session_replication_role') = 'replica'
    ) AS missing
$$;

-- Whether nothing is missing. VOLATILE gives it a snapshot of its own, which sees what was committed while its caller waited
-- for a lock.
CREATE OR REPLACE FUNCTION look_for_parts() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN missing_parts() = '{}';
END $$;

-- The same, as of when the calling statement was planned. IMMUTABLE, and called with constants, it is asked by the planner
-- and costs nothing when the plan runs; as the plan names these tables, PostgreSQL drops it with any change of one of
-- them, of its triggers, constraints and indexes too, and plans anew.
CREATE OR REPLACE FUNCTION was_whole(regclass, regclass, regclass, regclass, regclass, regclass) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT look_for_parts() $$;

-- Raise CB002 where something is missing. Called by whatever decides about money, before it does.
CREATE OR REPLACE FUNCTION require_whole() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_missing text[];
BEGIN
    -- What follows takes these locks, too. Until the commit nobody can take away what was seen.
    LOCK TABLE accounts, transactions, entries, receipts IN ROW EXCLUSIVE MODE;
    IF current_setting('session_replication_role') <> 'replica'
            AND was_whole('currencies', 'accounts', 'transactions', 'entries', 'receipts', 'adjustments') THEN
        RETURN;
    END IF;
    -- Rights change without a word to the plan, which may say no for longer than it is true.
    v_missing := missing_parts();
    IF v_missing <> '{}' THEN
        RAISE EXCEPTION 'the schema is not whole, and nothing is settled: missing are %', concat(array_to_string(v_missing[:5], ', '),
                CASE WHEN cardinality(v_missing) > 5 THEN format(' and %s more', cardinality(v_missing) - 5) END)
            USING ERRCODE = 'CB002', HINT = 'A restore is under way or broke off: let it end, or restore into a new '
                'database (docs/operating/backup.md).';
    END IF;
END $$;
